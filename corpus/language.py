"""The one tokenizer: text → terms, the same for building and asking.

Knows Norwegian word forms; knows nothing of articles or rankings. Terms are Snowball stems of lower-case words with stop words
out, and beside them what stemming would lose: law names, account numbers, § references, the parts of compounds.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

# "§ 3-1", "§ 14 A", "§ 2 A-1", "§ 3-3c": a letter may stand apart only when it is a capital ("§ 3-1 i loven" ends before "i").
WORD = re.compile(r"§+\s*\d+(?:\s?[A-Z]\b)?(?:-\d+)?(?:\s[A-Z]\b|[a-z]\b)?|\d+(?:[.,]\d+)*|[^\W\d_]+(?:-[^\W\d_]+)*")

# Function words carry no topic; question words are handled by the answerer, which reads the question itself.
STOP = frozenset(
    """
    og i jeg det at en et den til er som på de med han av ikke der så var meg seg men ett har om vi min mitt ha hadde hun nå
    over da ved fra du ut sin dem oss opp man kan hans hvor eller hva skal selv sjøl her alle vil bli ble blitt kunne inn når
    være kom noen noe ville dere deres kun ja etter ned skulle denne for deg si sine sitt mot å meget hvorfor dette disse uten
    hvordan ingen din ditt blir samme hvilken hvilke hvilket sånn inni mellom vår hver hvem vors hvis både bare enn fordi før
    også slik være vært begge siden henne hennar hennes må bør får få fått gjør gjøre går jo litt mye mange derfor ellers altså
    eg ein eit ei dei ikkje kva korleis kvifor kven kvar når kor mykje nokon noko vere vera vart blei ha hjå dykk dykkar berre
    me vi dere gjer gjere gjera frå vel treng kjem seier gjeld bør kunna oss mine våre æ e ka kem kordan korfor ække itj mæ dæ sæ
    the a an of to in is are be do does did and or for with on at by from as it its this that these those what which who how
    when where why can could should would will shall must may i you we they he she my your our their have has had not no if
    """.split()
)

# Nynorsk words whose stems do not meet the bokmål ones, whole …
BOKMAAL: Mapping[str, str] = dict(
    pair.split("=")
    for pair in """
    betaler=betale dagleg=daglig eigar=eier eigarar=eier eigen=egen fristen=frist kontoen=konto kostnader=kostnad løn=lønn
    lønna=lønn oppseiing=oppsigelse reglar=regel rekna=beregne reknar=beregner rekning=regning rettleiing=veiledning
    sal=salg seie=si selje=selge skule=skole tilsett=ansatt tilsette=ansatt utbyte=utbytte utrekning=beregning vald=valgt
    velje=velge
    """.split()
)
# … and parts of words, in compounds too (verneombodet, bedriftshelsetenesta, arbeidsmiljøutval, sjukepengar).
PARTS = tuple(
    pair.split("=")
    for pair in """
    ombod=ombud teneste=tjeneste tenesta=tjenesten rekneskap=regnskap takar=taker gjevar=giver sjuk=syk
    verksemd=virksomhet pengar=penger leiar=leder føretak=foretak eigen=egen eigedom=eiendom tryggleik=sikkerhet
    meirverdi=merverdi avskriving=avskrivning fråvær=fravær løyve=tillatelse utvale=utvalge dagpengar=dagpenger
    """.split()
)

MEMORY = 200_000  # words whose terms are kept; questions hold words without end
LAW = re.compile(r"(.{2,}lov)(?:en|a|ens|as|er|ene|s)?$")


@functools.cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("norwegian")


def words(text: str) -> Iterator[str]:
    """The lower-case words, numbers and § references of a text, in order ("§ 3-1" and "§3-1" both give "§3-1")."""
    for match in WORD.finditer(text):
        word = match[0].lower()
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
        for head in (first, first[:-1]) if first[-1] in "se" and len(first) > 4 else (first,):
            count = min(vocabulary.get(head, 0), vocabulary.get(second, 0))
            if count > best_count:
                best, best_count = (head, second), count
    return best


class Analyzer:
    """Text → terms, by the vocabulary of the indexed articles (word → number of texts that hold it)."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self.vocabulary = vocabulary
        self._known: dict[str, tuple[str, ...]] = {}

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in order, repeats kept; stop words are out."""
        return [term for word in words(text) if word not in STOP for term in self.word(word)]

    def word(self, word: str) -> tuple[str, ...]:
        """The terms of one lower-case word, the most telling first: its own stem, then a law's name, then its parts."""
        known = self._known.get(word)
        if known is None:
            known = tuple(dict.fromkeys(self._analyse(word)))
            if len(self._known) < MEMORY:
                self._known[word] = known
        return known

    def _analyse(self, word: str) -> Iterator[str]:
        word = _bokmaal(word)
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


def _bokmaal(word: str) -> str:
    word = BOKMAAL.get(word, word)
    for nynorsk, bokmaal in PARTS:
        word = word.replace(nynorsk, bokmaal)
    return word + "g" if word.endswith("utval") else word


def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))
