"""The one tokenizer: text → terms, the same for building and asking; and what a question may have meant beside its words.

Knows Norwegian word forms; knows nothing of articles or rankings. Terms are Snowball stems of lower-case words with stop words
out, and beside them what stemming would lose: law names, account numbers, § references, the parts of compounds. Nynorsk and
dialect are read as bokmål. The lists lie in words/: nynorsk.tsv (word, bokmål), abbreviations.tsv (short, long, "caps" when only
capitals count), parts.tsv (of nynorsk words, for compounds that no list holds), english.tsv (word or phrase, Norwegian words),
little.tsv (English words that search does without), everyday.tsv (everyday word, what articles call it), stop.txt, and one for
each of FOREIGN (beginnings of words, "=" before a whole one; Norwegian words, the most usual first).
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# "§ 3-1", "§ 14 A", "§ 2 A-1", "§ 3-3c": a letter may stand apart only when it is a capital ("§ 3-1 i loven" ends before "i").
WORD = re.compile(r"§+\s*\d+(?:\s?[A-Z]\b)?(?:-\d+)?(?:\s[A-Z]\b|[a-z]\b)?|\d+(?:[.,]\d+)*|[^\W\d_]+(?:-[^\W\d_]+)*")

# As WORD, with what a claim is held against its source by: amounts with their thousands apart, signs of percent, apostrophes.
TOKEN = re.compile(
    r"§+\s*\d+(?:\s?[A-Z]\b)?(?:-\d+)?(?:\s[A-Z]\b|[a-z]\b)?|\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:,\d+)?(?!\d)"
    r"|\d+(?:[.,]\d+)*(?:-\d+)?|%|[^\W\d_]+(?:['’ʼ-][^\W\d_]+)*"
)

LISTS = Path(__file__).resolve().parent / "words"

# Function words carry no topic; question words are handled by the answerer, which reads the question itself.
STOP = frozenset((LISTS / "stop.txt").read_text("utf-8").split())

FOREIGN = {"pl": "polish", "lt": "lithuanian", "uk": "ukrainian"}  # languages that are read by the beginnings of their words

# What a question may have meant, by how sure it is (eval/LOG.md, 2026-11-25).
JOINED, MENDED, WRITTEN_OUT, LOOKED_UP, EVERYDAY = 1.0, 0.8, 0.4, 0.7, 0.3
SPELT, LONG = 8, 11  # letters of a word that is looked up by its neighbours; of one that may hold two errors
PHRASE = 4  # words of an English phrase
SHORT = re.compile(r"[^\W\d_][\w./-]*[^\W_]\.?|\d[a-z]{1,2}\b")
SLIPS = (("ae", "æ"), ("oe", "ø"), ("aa", "å"), ("ä", "æ"), ("ö", "ø"), ("o", "ø"), ("a", "å"), ("a", "æ"))

MEMORY = 200_000  # words whose terms are kept; questions hold words without end
LAW = re.compile(r"(.{2,}lov)(?:en|a|ens|as|er|ene|s)?$")


@functools.cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("norwegian")


def words(text: str) -> Iterator[str]:
    """The lower-case words, numbers and § references of a text, in order ("§ 3-1" and "§3-1" both give "§3-1")."""
    for found in WORD.findall(text):
        word = found.lower()
        yield "§" + re.sub(r"[§\s]+", "", word) if word[0] == "§" else word


def vocabulary(counts: Mapping[str, int]) -> dict[str, int]:
    """From word → number of texts that hold it: those of two texts or more, of four letters or more and no stop words."""
    return {
        word: count for word, count in counts.items() if count > 1 and len(word) > 3 and word[0].isalpha() and word not in STOP
    }


def split(word: str, vocabulary: Mapping[str, int]) -> tuple[str, str] | None:
    """The two parts of a compound, both words of the vocabulary with four letters or more, or None.

    Of several splits the one whose rarer part is most common wins, since that is the one people would say apart. A binding
    s or e belongs to neither part.
    """
    best, best_count = None, 1
    for cut in range(4, len(word) - 3):
        first, second = word[:cut], word[cut:]
        if second not in vocabulary:
            continue
        for head in (first, first[:-1]) if first[-1] in "se" and len(first) > 4 else (first,):
            count = min(vocabulary.get(head, 0), vocabulary[second])
            if count > best_count:
                best, best_count = (head, second), count
    return best


@functools.cache
def listed(name: str) -> Mapping[str, str]:
    """One of the lists as left side → right side; a third column is put before the left side with a colon ("caps:da")."""
    rows = (line.split("\t") for line in (LISTS / f"{name}.tsv").read_text("utf-8").splitlines())
    return {":".join([*row[2:], row[0]]): row[1] for row in rows}


@functools.lru_cache(maxsize=100_000)
def bokmaal(word: str) -> str:
    """A lower-case word as bokmål has it."""
    word = _part().sub(lambda match: listed("parts")[match[0]], listed("nynorsk").get(word, word))
    return word + "g" if word.endswith("utval") else word


@functools.cache
def _part() -> re.Pattern[str]:
    return re.compile("|".join(listed("parts")))


def in_bokmaal(text: str) -> str:
    """A text with its nynorsk and dialect words as bokmål has them; the rest stays."""
    return WORD.sub(lambda match: match[0] if (own := bokmaal(low := match[0].lower())) == low else own, text)


def in_norwegian(text: str, language: str) -> list[tuple[str, ...]]:
    """A text word by word, each as the Norwegian words that it may stand for; what no list holds stands for itself."""
    parts = [re.sub(r"[§\s]+", "", match[0].lower()) for match in TOKEN.finditer(text)]
    if language not in ("en", *FOREIGN):
        return [(bokmaal(part),) for part in parts]
    parts = parts if language == "en" else [bare(part) for part in parts]
    return list(_glossed(parts, _english_at if language == "en" else functools.partial(_foreign_at, FOREIGN[language])))


def bare(text: str) -> str:
    """A text in Latin letters without their marks, which many leave out when they type ("dienų" → "dienu")."""
    marked = unicodedata.normalize("NFD", text.replace("ł", "l"))
    latin = "".join(each for each in marked if not unicodedata.combining(each))
    return latin if latin.isascii() else text


def _glossed(parts: Sequence[str], at: Callable[[Sequence[str]], tuple[int, str]]) -> Iterator[tuple[str, ...]]:
    """The words from left to right by a list, the longest phrases first; `at` gives how many words are read, and as what."""
    place = 0
    while place < len(parts):
        size, norwegian = at(parts[place : place + PHRASE + 1])
        yield tuple(norwegian.split()) if size else (parts[place],)
        place += max(size, 1)


def _english_at(parts: Sequence[str]) -> tuple[int, str]:
    for size in range(len(parts), 0, -1):
        for form in english_forms(" ".join(parts[:size])):
            for name in ("little", "english"):
                if norwegian := listed(name).get(form):
                    return size, norwegian
    return 0, ""


def _foreign_at(language: str, parts: Sequence[str]) -> tuple[int, str]:
    found = (0, "")
    for begin in _beginnings(parts[0]):
        for phrase, norwegian in _phrases(language).get(begin, ()):
            own = parts[: len(phrase)]
            if len(own) == len(phrase) > found[0] and all(map(_begins, own, phrase)):
                found = (len(phrase), norwegian)
    return found


def _beginnings(word: str) -> Iterator[str]:
    """The whole word, then its beginnings, the longest first."""
    yield "=" + word
    yield from (word[:size] for size in range(len(word), 0, -1))


def _begins(word: str, begin: str) -> bool:
    return word == begin[1:] if begin[0] == "=" else word.startswith(begin)


@functools.cache
def _phrases(language: str) -> Mapping[str, list[tuple[list[str], str]]]:
    """The entries of a list by the beginning of their first word."""
    found: dict[str, list[tuple[list[str], str]]] = {}
    for phrase, norwegian in listed(language).items():
        first, *rest = (bare(begin) for begin in phrase.split())
        found.setdefault(first, []).append(([first, *rest], norwegian))
    return found


class Analyzer:
    """Text → terms, by the vocabulary of the indexed articles (word → number of texts that hold it)."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self.vocabulary = vocabulary
        self._known: dict[str, tuple[str, ...]] = {}

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in order, repeats kept; stop words are out."""
        return [term for word in words(text) if (own := bokmaal(word)) not in STOP for term in self.word(own)]

    def word(self, word: str) -> tuple[str, ...]:
        """The terms of one lower-case word, the most telling first: its own stem, then a law's name, then its parts."""
        known = self._known.get(word)
        if known is None:
            known = tuple(dict.fromkeys(self._analyse(bokmaal(word))))
            if len(self._known) < MEMORY:
                self._known[word] = known
        return known

    def _analyse(self, word: str) -> Iterator[str]:
        if "-" in word and word[0] != "§":  # "a-melding": joined, for a match as written; then "hms" and "arbeid" apart
            yield _stem(word.replace("-", ""))
            yield from (_stem(part) for part in word.split("-") if len(part) > 1 and part not in STOP)
            return
        yield _stem(word)
        # Snowball strips -lov/-loven/-lova (aksjeloven → aksj, the same as aksje), so that "aksjeloven § 3-1" would match
        # every text on shares: the name of the law is a term of its own.
        if law := LAW.match(word):
            yield law[1]
        yield from (_stem(part) for part in split(word, self.vocabulary) or ())

    # Asking

    def meant(self, text: str, english: bool = False) -> dict[str, float]:
        """The terms of a question and, with less weight, those that it may have meant: term → weight, at most 1.

        Joined are compounds written apart, mended are misspelt words that no article holds, written out are abbreviations, and
        English words are looked up: all of them when the question is English, else those that are no Norwegian words here.
        """
        asked = [bokmaal(word) for word in words(text)]
        weights = {term: 1.0 for word in asked if word not in STOP for term in self.word(word)}
        mended = iter(()) if english else self._mended(asked)
        more = [(JOINED, self._joined(asked)), (MENDED, mended), (WRITTEN_OUT, self._written_out(text))]
        more += [] if english else [(EVERYDAY, (each for word in asked for each in everyday(word)))]
        for weight, found in (*more, (LOOKED_UP, self._looked_up([*words(text)], english))):
            for term in (term for word in found for term in self.word(word)):
                weights[term] = max(weights.get(term, 0.0), weight)
        return weights

    def _joined(self, asked: Sequence[str]) -> Iterator[str]:
        """Compounds that were written apart ("yrkes skade forsikring", "verne ombud", "arbeid giver")."""
        runs = (asked[start : start + size] for size in (3, 2) for start in range(len(asked) - size + 1))
        yield from (word for parts in runs for word in self._as_one(parts))

    def _as_one(self, parts: Sequence[str]) -> Iterator[str]:
        if all(len(part) > 2 and part.isalpha() for part in parts):
            yield from (word for word in ("".join(parts), "s".join(parts)) if word in self.vocabulary)

    def mended(self, text: str) -> str:
        """A Norwegian text as its writer may have meant it: in bokmål, compounds joined, misspelt words mended."""
        text = in_bokmaal(text)
        found, pieces, end = list(WORD.finditer(text)), [], 0
        while found:
            low = [match[0].lower() for match in found[:3]]
            runs = [low[:size] for size in (3, 2) if size <= len(low) and not STOP & set(low[:size])]
            joined = ((len(parts), word) for parts in runs for word in self._as_one(parts))
            size, word = next(joined, (1, next(self._mended(low[:1]), found[0][0])))
            pieces += [text[end : found[0].start()], word]
            end = found[size - 1].end()
            found = found[size:]
        return "".join([*pieces, text[end:]])

    def _mended(self, asked: Sequence[str]) -> Iterator[str]:
        """The nearest word of the articles for each that no article holds."""
        for word in asked:
            if len(word) > 3 and word.isalpha() and word not in STOP and not self.knows(word) and not _right(word):
                yield from self._nearest(word)

    def knows(self, word: str) -> bool:
        """Whether the articles use a word, in any form, or both parts of it."""
        return _stem(word) in self._stems or split(word, self.vocabulary) is not None

    def _nearest(self, word: str) -> list[str]:
        from symspellpy import Verbosity

        if right := next((each for each in slips(word) if each in self.vocabulary), None):
            return [right]
        if len(word) < SPELT:  # a short word has too many neighbours, and any of them may be another word ("katten", "skatten")
            return []
        found = self._speller.lookup(word, Verbosity.CLOSEST, 2 if len(word) >= LONG else 1)
        return [each.term for each in found[:1]]

    def warm(self) -> None:
        """Make the speller and the stems now, a second's work, instead of at the first misspelt word."""
        _ = self._stems, self._speller

    @functools.cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(_stem(word) for word in self.vocabulary)

    @functools.cached_property
    def _speller(self) -> Any:
        from symspellpy import SymSpell

        speller = SymSpell(max_dictionary_edit_distance=2, prefix_length=7)
        for word, count in self.vocabulary.items():
            if word.isalpha():
                speller.create_dictionary_entry(word, count)
        return speller

    @staticmethod
    def _written_out(text: str) -> Iterator[str]:
        """What abbreviations stand for."""
        known = listed("abbreviations")
        for match in SHORT.finditer(text):
            low = match[0].lower().rstrip(".")
            long = known.get(low) or known.get(f"caps:{low}" if match[0].isupper() else "")
            yield from (word for word in words(long or "") if word not in STOP)

    def _looked_up(self, asked: Sequence[str], english: bool) -> Iterator[str]:
        """The Norwegian words of English ones, the longest phrases first."""
        known = listed("english")
        place = 0
        while place < len(asked):
            for size in range(min(PHRASE, len(asked) - place), 0, -1):
                part = asked[place : place + size]
                norwegian = next((known[form] for form in english_forms(" ".join(part)) if form in known), None)
                if norwegian and (english or not all(self.knows(word) or word in STOP for word in part)):
                    yield from words(norwegian)
                    place += size - 1
                    break
            place += 1


def everyday(word: str) -> Sequence[str]:
    """What articles may call a thing that people name by an everyday word ("sjefen": arbeidsgiver, leder)."""
    return _everyday().get(_stem(word), ())


@functools.cache
def _everyday() -> Mapping[str, list[str]]:
    return {_stem(word): meant.split() for word, meant in listed("everyday").items()}


def slips(word: str) -> Iterator[str]:
    """The words that one may have meant who has no æ, ø and å, or who doubles a letter too many or too few."""
    for typed, meant in SLIPS:
        if typed in word:
            yield word.replace(typed, meant)
            yield from (f"{word[: at.start()]}{meant}{word[at.end() :]}" for at in re.finditer(typed, word))
    for at in range(1, len(word)):
        if word[at] == word[at - 1]:
            yield word[:at] + word[at + 1 :]
        elif word[at] not in "aeiouyæøå":
            yield word[: at + 1] + word[at:]


@functools.cache
def _right_stems() -> frozenset[str]:
    english = (word for phrase in listed("english") for word in phrase.split())
    return frozenset(_stem(word) for word in (*listed("nynorsk").values(), *english))


def _right(word: str) -> bool:
    """Whether a word that no article holds is a right one all the same, by the lists."""
    return _stem(word) in _right_stems() or any(form in listed("english") for form in english_forms(word))


def english_forms(phrase: str) -> Iterator[str]:
    """A phrase as it stands, then with the endings off its last word that the list leaves off."""
    yield phrase
    for ending, own in (("ies", "y"), ("es", ""), ("s", ""), ("ied", "y"), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e")):
        if phrase.endswith(ending) and len(phrase) > len(ending) + 2:
            yield phrase.removesuffix(ending) + own


def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))
