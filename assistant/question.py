"""What is asked: a checked, readable question with its language, its kind and what it follows up.

Knows words; knows nothing of articles. Every rule here errs on the side of searching: only what is plainly a greeting, plainly
an attack or plainly empty of content is not searched for.
"""

import functools
import re
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from assistant import QuestionError
from assistant.privacy import redact, without_marks
from assistant.types import Ask, Audience
from corpus.language import FOREIGN, STOP, bare, in_norwegian, words

MAX_QUESTION = 2_000  # characters
MAX_TURNS = 20
MAX_TURN = 4_000  # characters
HEADING = 90  # characters of a question that is made a heading

Kind = Literal["search", "greeting", "vague", "refused", "acute"]
LANGUAGES = ("nb", "nn", "en", *FOREIGN)
ASKING = 2  # words on a topic in a sentence that asks for something; "stemmer det?" has none


def _any(*alternatives: str) -> str:
    return f"(?:{'|'.join(alternatives)})"


def _rule(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"\b{_any(*alternatives)}", re.IGNORECASE)


GREETING = re.compile(
    _any(
        "hei|heisann|hallo|halla|hello|hi|hey|morn|god (?:dag|morgen|kveld|morgon)|ha det|bye",
        "takk|tusen takk|mange takk|thanks|thank you",
        "hvordan går det|korleis går det|how are you",
        "hvem er du|kven er du|who are you|er du (?:en robot|et menneske|ein robot)",
        "(?:hva|kva) kan du(?: hjelpe (?:meg )?med)?|what can you (?:do|help (?:me )?with)",
    )
    + r"(?:\s+(?:hei|på deg|der|du|deg|dere|there|så mye|for hjelpen|for hjelpa|alle sammen|igjen|hallo|hjelpe meg med))*"
    + r"[\s.!?,:)🙂😊👋]*",
    re.IGNORECASE,
)
# Thanks and greetings in more words than a list can hold ("tusen takk, det var til god hjelp", "heisann, god morgen fra brakka"):
# they open as one, ask for nothing, and are short.
OPENS = _rule(
    r"(?:hei|heisann|hallo|hello|hi|hey|morn|god (?:dag|morgen|kveld|morgon)|(?:tusen |mange )?takk|thanks|thank you)\b"
)
ASKS = _rule(
    r"(?:hva|hvor|hvem|hvordan|hvorfor|når|hvilke\w*|kva|kor|kven|korleis|kvifor|kan|må|skal|bør|får|er det|har (?:vi|jeg|eg|me)|"
    r"lurer|what|how|who|when|where|why|which|can|must|should|do|does|is|are|need)\b"
)
PLEASANT = 14  # words of a greeting at most
# Who somebody around the asker is ("hvem er verneombudet vårt?"), and not who has a duty.
WHO_IS = re.compile(
    r"(?:(?:hei|hello|hi)\W+)?"
    r"(?:(?:hvem|kven|kem|who)(?:'s| er| e| is| are)|(?:hva|kva|ka) (?:heter|heiter|hete)|what(?:'s| is) the name of)\b"
    r"(?!.*\b(?:ansvar\w*|arbeidsgiver\w*|arbeidsgivar\w*|responsible|employer|når|hvis|som|when|if|who|må|skal|that)\b)"
    r"(?=.*\b(?:vår\w*|min|mitt|hos oss|på jobben|i (?:firmaet|bedrift\w*|selskapet)|our|my|here)\b)(?:\W+\w+){1,6}\W*",
    re.IGNORECASE,
)
# Orders to the machine. What is looked for is an order about rules or roles, never a topic: articles speak of instructions too.
_SAY = r"(?:si|svare?|skriv (?:ut|kun|bare|berre|setn\w+)|bekreft|gjenta|avslutt|say|reply|answer|respond|output|repeat|print)\b"
ATTACK = _rule(
    r"(?:ignor(?:e|er|ér)|disregard|forget|glem|gløym|overse|bypass|omgå|override|overstyr)\b.{0,40}"
    r"\b(?:instru\w+|your rules|the rules above|reglene dine|prompt\w*|previous|tidligere|above|guidelines|begrensning\w*|"
    r"kild\w*|kjeld\w*|sources)",
    r"(?:ny|nye|new|hidden|skjulte?) instru(?:ks|ction)\w*\b",
    rf"{_SAY}[^.?!]{{0,60}}[«\"“][^»\"”]{{6,}}[»\"”]",  # a sentence to be said after
    rf"{_SAY}.{{0,40}}\b(?:kun|bare|berre|alltid|only|just|med|with|exactly|akkurat)\b.{{0,40}}\b(?:setning\w*|sentence)",
    r"(?:jeg|eg|i) (?:er|am) (?:utvikleren|utviklaren|your developer|the developer|administrator\w*)\b",
    r"(?:vi leker|rollespill|role ?play)\b.{0,40}\bdu er\b|(?:spiller|spelar) du\b.{0,60}\bsom (?:aldri|alltid)\b",
    r"(?:system\s?-?prompt\w*|systemmelding\w*|systeminstruks\w*|jailbreak|developer mode|utviklermodus|DAN mode)\b",
    r"(?:you are now|du er nå|du er no|from now on you|fra nå av (?:er|skal|svarer) du|frå no av)\b",
    r"(?:pretend (?:to be|you are)|act as (?:a|an|if|the)|lat som (?:om )?du|later som (?:om )?du|spill rollen)\b",
    r"(?:reveal|print|show|repeat|output|vis|skriv ut|gjenta|avslør)\b.{0,30}\b(?:your|dine?|hidden|skjulte?)\b.{0,30}"
    r"\b(?:instru\w+|prompt\w*|rules|key|nøkkel\w*|passord\w*|password|secret|hemmelig\w*)",
    r"(?:your|dine|initial) (?:instru\w+|prompt)\b|(?:instruksene|prompten|instruksane) (?:dine?|du (?:har )?f[iå]\w+)\b",
)
MARKED = re.compile(r"(?:\[|<|###)\s*(?:/?system|admin|inst|instruks|assistant)\b", re.IGNORECASE)  # set off as if from above
# What tells of danger or of an attack in the pieces of a message: piece → weight for each, in log-odds; the empty piece is the
# base. Learnt from 1,427 emergencies, 320 attacks and look-alikes of both (`python -m eval fit signs`): people in danger write in
# more ways than rules can hold, of which earlier ones found one in seven (eval/LOG.md, 2026-11-25).
SIGNS = Path(__file__).resolve().parent / "signs.tsv"
ACUTE, SURE, ATTACKS = -0.5, 0.5, -0.3  # bounds: a false alarm costs a reader one line, a missed one may cost a life
LETTERS = (3, 4, 5)  # of a piece of a word
# What tells, in the same way, that a question is on a matter which articles like these leave open, on none of working life or
# accounts at all, and on what only those around its writer know (`python -m eval fit matters`; eval/LOG.md, 2026-11-26).
MATTERS = Path(__file__).resolve().parent / "matters.tsv"
ENGLISH = frozenset(
    "the what which how is are do does did can must should who when where why and of for we our my an to in with need have"
    " there from many much required if you it company employees employee this that these those which who whose or not your"
    " their on they was were been has had would could shall will am get paid pay pays work works working boss week weeks month"
    " months hours days before after during without about between leave sick".split()
)
NORWEGIAN_TOO = frozenset("for to an do is".split())  # of those: "velges for to år" is none of it
PLAINLY = frozenset("the what which how are does did can must should when where why need have there from get".split())
MYSELF = re.compile(r"[a-z] I (?:[a-z]|$)")  # which is written small in Norwegian
NYNORSK = frozenset(
    "ikkje kva korleis kvifor kven kvar kor eg ein eit dei frå nokon noko mykje vere vera vert blir me dykk berre hjå skal"
    " gjer gjere arbeidstakar arbeidsgjevar verksemd verksemda føretak tilsette rekneskap kvifor korleis sjølv høgt nye".split()
) - {"blir", "skal", "nye"}
BOKMAAL = frozenset("ikke hva hvordan hvorfor hvem hvor jeg fra noen noe mye være en et det hvilken hvilke".split())
# Of languages that are read by lists, without their marks, and only what is no word of the others here.
POLISH = frozenset(
    "czy jak ile kto kiedy gdzie jaki jaka jakie nie jest mam musze musi moge moze mozna sie dla przez przed w z za od po mnie"
    " moj moja szef szefowa praca pracy pracuje bez firmie miec chce dostane jesli gdy ale lub oraz byc bylo juz tylko"
    " pracodawca".split()
)
LITHUANIAN = frozenset(
    "ar kaip kiek kas kada kur kokia kokie koks yra nera turi turiu galiu gali galima reikia privalo mano mane ir uz apie jei kad"
    " darbas darbo darbe darbdavys darbdavi nuo iki mes mums savo dirbu dirbti neturi pries".split()
)
SHARED = frozenset("do od i a o to me na by may man men".split())  # stop words here that are words there
LISTED = 3  # words that a list reads in a question without marks of its own
MEANT = 2  # Norwegian words that a foreign one is searched by
# Words that say nothing about the topic: a question of these alone is asked back, or understood from the turn before.
EMPTY = frozenset(
    """
    hjelp hjelpe help spørsmål question regler regel regelen reglene reglane rules sier seier says jobb jobben skjema skjemaet
    form me med krav kravet info informasjon information fortell tell mer
    mere more meir si forklar explain eksempel eksempler example konto kontoen paragraf paragrafen lov loven lova frist
    fristen betale betaler betaling koster kost kostnad gjelder gjeld gjelde trenger treng need bruke bruker stemmer riktig
    greit ok okei ordne ting greie saken problem lurer vet veit snakk hjelpa pay who sist samme sånt slikt noe om
    """.split()
)
POINTING = re.compile(
    r"^(?:og|men|hva med|kva med|enn|så|da|and|but|what about|how about|eller)\b"
    r"|\b(?:det|den|de|dei|dem|dette|denne|disse|da|då|der|han|hun|hans|hennes|it|that|this|they|them|those|then)\b(?!\s+(?:er|å)\s+\w+\s+\w+\s+\w+\s+\w+\s+\w+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Question:
    """A question as the rest of the house reads it.

    `text` is what was asked; `before` the earlier user turns that it needs to be understood (most often ""). `language` is one of
    LANGUAGES: that of the frame around the quotes. `rewritten` is the whole question in Norwegian when a model has put it so.
    What is somebody's own has been taken out of `text` and `before`; `private` says of which kinds it was in `text`.
    """

    text: str
    language: str
    kind: Kind
    before: str = ""
    role: Audience | None = None
    page: str | None = None
    rewritten: str = ""
    private: tuple[str, ...] = ()

    @property
    def search(self) -> str:
        """The text to search for: the question after the turns that it needs, in Norwegian or English."""
        return self.rewritten or _norwegian(f"{self.before} {self.text}".strip(), self.language)

    @property
    def asks(self) -> str:
        """The part of `search` that asks, "" when all of it does: a story's other sentences tell what it is about."""
        sentences = re.split(r"(?<=[.?!])\s+", self.rewritten or _norwegian(self.text, self.language))
        asking = [each for each in sentences if each.endswith("?")] or sentences[-1:]
        part = " ".join(asking) if len(sentences) > 1 else sentences[0] if self.before and not self.rewritten else ""
        return part if len(topic(part)) >= ASKING else ""


def read(ask: Ask) -> Question:
    """Check and understand what a door hands over. Raises QuestionError with the sentence for the reader."""
    text = clean(ask.question)
    if not text:
        raise QuestionError("Spørsmålet er tomt; skriv hva du lurer på.")
    if len(ask.question) > MAX_QUESTION:
        raise QuestionError(f"Spørsmålet er på {len(ask.question)} tegn, men kan ha høyst {MAX_QUESTION}; gjør det kortere.")
    if len(ask.history) > MAX_TURNS:
        fault = f"Samtalen har {len(ask.history)} innlegg, men kan ha høyst {MAX_TURNS}; begynn en ny samtale."
        raise QuestionError(fault, "history")
    longest = max((len(turn.content) for turn in ask.history), default=0)
    if longest > MAX_TURN:
        fault = f"Et innlegg i samtalen er på {longest} tegn, men kan ha høyst {MAX_TURN}; begynn en ny samtale."
        raise QuestionError(fault, "history")
    before = context(text, [clean(turn.content) for turn in ask.history if turn.role == "user"])
    spoken, own = language(text), redact(text)
    what = kind(_norwegian(text, spoken), bool(before))  # told by all that was written, which goes no further
    return Question(own.text, spoken, what, redact(before).text, ask.role, ask.page, private=own.kinds)


def clean(text: str) -> str:
    """The text without control characters, direction marks and lone surrogates, on one line."""
    kinds = ((character, unicodedata.category(character)) for character in text)
    return " ".join("".join(" " if kind in ("Cc", "Zl", "Zp") else c for c, kind in kinds if kind not in ("Cf", "Cs")).split())


def _norwegian(text: str, language: str) -> str:
    """A text in one of FOREIGN read word by word, with its stops; others as they are."""
    text = without_marks(text)
    if language not in FOREIGN:
        return text
    sentences = re.split(r"(?<=[.?!])\s+", text)
    read = (" ".join(" ".join(word[:MEANT]) for word in in_norwegian(each, language)) for each in sentences)
    return " ".join(f"{told}{each[-1:] if each[-1:] in '.?!' else ''}" for told, each in zip(read, sentences, strict=True))


def language(text: str) -> str:
    """The question's language by its letters and function words; bokmål when in doubt."""
    found = set(words(text))
    if len(re.findall(r"[а-яіїєґ]", text.lower())) > len(text) / 3:
        return "uk"
    plain, lettered = set(words(bare(text.lower()))), text.lower()
    own = {
        "pl": len(plain & POLISH) + min(2, sum(letter in "łńśźżć" for letter in lettered)),
        "lt": len(plain & LITHUANIAN) + min(2, sum(letter in "ėįųūšž" for letter in lettered)),
    }
    likely = max(own, key=lambda spoken: own[spoken])
    if own[likely] >= 2 and own[likely] > len(found & (BOKMAAL | NYNORSK | ENGLISH)):
        return likely
    ours = bool(
        found & ((STOP | PLAINLY) - SHARED) or set("æøå") & set(lettered)
    )  # looked at first: reading by the lists takes its time
    letters, told = (
        [word for word in words(text) if word.isalpha()],
        {spoken: 0 if ours else _read(text, spoken) for spoken in own},
    )
    likely = max(own, key=lambda spoken: own[spoken] + told[spoken])
    if own[likely] + told[likely] >= LISTED and 2 * told[likely] >= len(letters) and not ours:
        return likely
    english, nynorsk, bokmaal = (len(found & marks) for marks in (ENGLISH, NYNORSK, BOKMAAL))
    english += bool(MYSELF.search(text))
    if english >= 2 and english > nynorsk + bokmaal and found & (ENGLISH - NORWEGIAN_TOO):
        return "en"
    return "nn" if nynorsk > bokmaal else "nb"


def _read(text: str, spoken: str) -> int:
    """How many of the words a foreign list reads as others; loan words ("faktura") tell nothing."""
    return sum(all(own[:3] != word[:3] for own in in_norwegian(word, spoken)[0]) for word in words(text) if word.isalpha())


def kind(text: str, follows_up: bool) -> Kind:
    """What is to be done with a question."""
    danger, attack = signs(text)
    greets = GREETING.fullmatch(text) or (
        OPENS.match(text) and "?" not in text and not ASKS.search(text) and len(text.split()) <= PLEASANT
    )
    if danger > (SURE if greets else ACUTE):
        return "acute"
    if greets:
        return "greeting"
    if attack > ATTACKS or ATTACK.search(text) or MARKED.search(text):
        return "refused"
    return "vague" if not topic(text) and not follows_up else "search"


def signs(text: str) -> tuple[float, float]:
    """The log-odds that a message tells of danger to somebody now, and that it is meant to steer the machine."""
    danger, attack = _told(SIGNS, text)
    return danger, attack


def matters(text: str) -> tuple[float, float, float]:
    """The log-odds that a question is on a matter that articles like these leave open, on none of working life or accounts, and
    on what only those around its writer know."""
    left_open, elsewhere, own = _told(MATTERS, text)
    return left_open, elsewhere, own


def asks_for_somebody(text: str) -> bool:
    """Whether a question asks who somebody around its writer is."""
    return WHO_IS.fullmatch(text) is not None


def _told(file: Path, text: str) -> Iterator[float]:
    """Each column's sum over the pieces of a text."""
    table = _table(file)
    found = [table[piece] for piece in ("", *pieces(text)) if piece in table]
    yield from map(sum, zip(*found, strict=True))


@functools.cache
def _table(file: Path) -> Mapping[str, tuple[float, ...]]:
    rows = (line.split("\t") for line in file.read_text("utf-8").splitlines())
    return {piece: tuple(map(float, weights)) for piece, *weights in rows}


def pieces(text: str) -> frozenset[str]:
    """The words of a text, its pairs of neighbours and the parts of its words; every digit counts as 0."""
    found = re.findall(r"\w+", re.sub(r"\d", "0", text.lower()))
    parts = {f"_{word}_"[at : at + size] for word in found for size in LETTERS for at in range(len(word) + 3 - size)}
    return frozenset(found) | {f"{first} {second}" for first, second in pairwise(found)} | parts


def topic(text: str) -> list[str]:
    """The words of a text that name a topic."""
    return [word for word in words(text) if word not in STOP and word not in EMPTY and (len(word) > 1 or word.isdigit())]


def context(text: str, turns: list[str]) -> str:
    """The earlier user turns that `text` cannot be understood without; "" when it stands alone.

    It leans on them when it names no topic, or points back ("og", "det", "da") and names little else. The nearest earlier
    turn with a topic of its own is enough; those between that one and `text` come along.
    """
    if not turns or not (len(topic(text)) == 0 or (POINTING.search(text) and len(topic(text)) <= 4)):
        return ""
    needed: list[str] = []
    for turn in reversed(turns):
        needed.insert(0, turn)
        if len(topic(turn)) >= 1 and not POINTING.match(turn):
            break
    return " ".join(needed[-3:])


def heading(question: str) -> str:
    """A question as a heading: the sentence of it that asks, not too long, with a capital first."""
    sentences = re.split(r"(?<=[.!?])\s+", question.rpartition("→")[2].strip())
    asking = next((each for each in reversed(sentences) if each.endswith("?")), sentences[0])
    short = textwrap.shorten(asking, HEADING, placeholder=" …")
    return short[:1].upper() + short[1:]
