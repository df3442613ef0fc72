"""What measures: question files in, figures out."""


class EvalError(Exception):
    """A measurement that cannot be made. One Norwegian sentence: what is wrong, with which file or value, what to do."""
