"""What measures: question files in, figures out."""
