"""What in a text is somebody's own, taken out: numbers of people and of bank accounts, telephones, addresses, names.

Knows how people write them; knows nothing of who stores or sends the text. A number is known by its check digits, by the word
before it, or by the groups it is written in. Kontoplan, amounts, years, dates, § and organisation numbers are left alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stdnum import iban
from stdnum.no import fodselsnummer, kontonr

Match = re.Match[str]
GAP = r"[ \t\u00a0\u2007\u2009\u202f.·‑–-]"  # one sign between the groups of a number


@dataclass(frozen=True)
class Redacted:
    """A text with "[kind]" for what was taken out of it, and the kinds, each once: keys of `phrases.PRIVATE`."""

    text: str
    kinds: tuple[str, ...] = ()


def redact(text: str) -> Redacted:
    """The text without what is somebody's own. Time is linear in the text; a redacted text stays as it is."""
    found: dict[str, None] = {}
    for rule in RULES if re.search(r"\d", text) else RULES_OF_WORDS:
        text = rule.pattern.sub(lambda match, rule=rule: _instead(match, rule, found), text)  # type: ignore[misc]
    return Redacted(text, tuple(found))


def without_marks(text: str) -> str:
    """A redacted text without its "[kind]"s, which would be searched for like words."""
    return MARK.sub(" ", text)


@dataclass(frozen=True)
class Rule:
    """What to take out: the group `own` of the pattern, where `so` holds."""

    kind: str
    pattern: re.Pattern[str]
    so: Callable[[Match], bool] = bool


def _instead(match: Match, rule: Rule, found: dict[str, None]) -> str:
    if not rule.so(match):
        return match[0]
    kind = rule.kind
    if kind == "fødselsnummer" and _digits(match)[0] in "4567":
        kind = "D-nummer"
    found[kind] = None
    start, end = (place - match.start() for place in match.span("own"))
    return f"{match[0][:start]}[{kind}]{match[0][end:]}"


def _digits(match: Match) -> str:
    return "".join(str(int(sign)) for sign in match["own"] if sign.isdecimal())


def _person(match: Match) -> bool:
    """By both check digits, so that D-, H- and FH-numbers count too, and those of people not born yet by a wrong clock."""
    digits = _digits(match)
    return digits[9:] == fodselsnummer.calc_check_digit1(digits) + fodselsnummer.calc_check_digit2(digits) and any(
        map(int, digits)
    )


def _account(match: Match) -> bool:
    digits = _digits(match)
    return (
        any(map(int, digits)) and kontonr.is_valid(digits) and not re.search(r"(?i)\bkid\W*$", match.string[: match.start("own")])
    )


def _telephone(match: Match) -> bool:
    """Whether eight digits are a telephone's, by what stands around them: sums and other numbers can look like it."""
    before = match.string[max(0, match.start("own") - 60) : match.start("own")]
    return not (_digits(match).endswith("000") or OTHER_BEFORE.search(before)) and _no_sum(match)


def _no_sum(match: Match) -> bool:
    return not OTHER_AFTER.match(match.string[match.end("own") :])


def _grouped(*ways: str) -> str:
    """Digits in groups of these sizes ("6 5"), one sign between them."""
    return "|".join(GAP.join(rf"\d{{{size}}}" for size in way.split()) for way in ways)


def _rule(kind: str, pattern: str, so: Callable[[Match], bool] = bool) -> Rule:
    return Rule(kind, re.compile(pattern), so)


# Words before a number that say whose it is, whatever its check digits.
PERSON = (
    r"(?i:f[øo]dsels?-?\s?(?:nummer\w*|nr)|person-?\s?(?:nummer\w*|nr)|\b(?:[fpd]\.?\s?nr|[dh]-?\s?nummer\w*)|national id|"
    r"(?:personal|birth|id|identity|identification|security) number|\bssn\b|pesel|asmens kod|"
    r"(?:персональн|ідентифікаційн)\w+ \w+)"
)
BANK = r"(?i:\b(?:bank|lønns|spare|bruks)?-?konto(?:nummer\w*|nr|en)?\b|\bbank\w*|\bkto\b|account|rachun\w+|sąskait\w+|рахун\w+)"
PHONE = (
    r"(?i:\b(?:tlf|tel|telefon|mob|mobil|cell|phone|telefono)(?:en|nr|nummer\w*)?|\bring(?:e|es|er)?|\bsms|\bvipps\w*|\bn[åa]s|"
    r"\bnummer(?:et)?(?: mitt| hennes| hans| til)|\bmitt nummer|\b(?:my|phone) number|\bcall|\breach me|\bnumer\w*|\bтел\w*|"
    r"\bномер\w*)"
)
LINK = r"(?i:[\s.:=(]|\b(?:er|meg|på|mitt|min|til|nr|nummer|nummeret|is|me|on|at|my|no|number|gjerne)\b){0,10}"
# What tells that eight digits are no telephone: sums, and numbers of other things.
OTHER_BEFORE = re.compile(
    r"(?i)(?:\b(?:kr|nok|eur|usd|kid|id|ref|art|nr)\b|[€$§]|beløp|sum|omset|inntekt|inntek|utgift|kost|balanse|saldo|lønn|løn|tap|"
    r"skudd|skot|resultat|gjeld|lån|kapital|verdi|pris|konto|gruppe|klasse|org|faktura|bilag|ordre|sak|kunde|serie|løpe|journal|"
    r"referanse|forskrift|\blov|budsjett|avgift|skatt|faktur|amount|invoice|revenue|turnover|sales|total|prosjekt)\w*[^\w,;.!?\n]{0,3}(?:\w+[^\w,;.!?\n]+){0,3}$"
)
OTHER_AFTER = re.compile(
    r"(?i)\s*(?:kr\b|kron|nok\b|,-|[,.]\d|mill|mrd|prosent|%|stk|ansatt|dag|time|euro|i (?:omset|sum)|eks|inkl|mva)"
)
CAPITAL = "A-ZÀ-ÖØ-ÞĄĆĘŁŃŚŹŻČĖĮŠŲŪŽА-ЯІЇЄҐ"
NAME = rf"(?:[{CAPITAL}]\.|[{CAPITAL}][\w'’-]+)"
NAMES = rf"{NAME}(?: (?:(?:von|van|de|der|af|el|al|bin) )?{NAME}){{0,3}}"
STOP = (
    r"(?!(?:og|men|som|er|har|hadde|jobb\w*|arbeid\w*|lurer|lur|undr\w*|vil|kan|må|skal|treng\w*|ønsk\w*|ynskj\w*|fr[aå]|i|på|ved|"
    r"med|hos|til|for|det|den|dette|ikk\w*|så|jeg|eg|vi|me|hv\w+|kv\w+|kor\w*|når|noe|noko|annet|and|from|work\w*|need|want|have|am|"
    r"is|in|at|but|the|the same|not|what|how|eier|driver|driv|leder|skriv\w*|bor|bur|fikk|ble|vart)\b)"
)
SMALL = rf"{STOP}[^\W\d_][\w'’-]+(?: {STOP}[^\W\d_][\w'’-]+)?"  # "ola nordmann", when nothing is written large
CALLED = (
    r"(?i:\b(?:(?:jeg|eg|æ|æg|ej|je) (?:heter|heiter|hete|heite|hetter|hette)|"
    r"(?:mitt|fulle?) (?:fulle )?na[mv]n(?: er|:)|"
    r"(?:navnet|namnet) mitt(?: er|:)|navn:|my (?:full )?name(?: is|:|'s|’s)|name:|i am called|nazywam się|mam na imię|"
    r"mano vardas(?: yra)?|мене звати))"
)
AM = r"(?:\b(?i:jeg er|eg er|æ e|æ er|i am|jeg,|eg,)|\bI['’]m)"
OTHERS = (
    r"(?i:\b(?:han|hun|ho|hen|sjef\w*|leder\w*|leiar\w*|kolleg\w*|ansatte\w*|tilsette\w*)(?: (?:min|mi|mitt|vår|vårt))? hei?ter)"
)
ROLE = r"(?!(?:Dagleg|Daglig|Leder|Verneombud|Ansatt|Tillitsvalgt|Regnskaps\w+|Medarbeider|Styre\w+|Norsk|Polsk|Ny|Norwegian)\b)"
LIVES = r"(?i:\b(?:bor|bur|live|adresse\w*|adr)\b)"
STREET = (
    r"(?i:(?:[\w.'’-]+ ){0,3}?[\w.'’-]*(?:gata|gaten|gate|gt|veien|vegen|vei|veg|vn|all[eé]|plass|plassen|svingen|bakken|stien|"
    r"tunet|terrasse|torg|torget|brygge|kaia|lia|haugen|åsen|ringen|løkka|toppen|kroken)\.? \d{1,3}(?: ?[a-h]\b)?)"
    rf"(?:,? \d{{4}} [{CAPITAL}]\w+)?"
)
DOT = r"(?:\.|\s?[(\[](?:dot|punktum|punkt)[)\]]\s?|\s(?:dot|punktum|punkt)\s)"
AT = r"(?:\s?@\s?|\s?[(\[](?:at|a|krøll-?alfa)[)\]]\s?|\s(?:krøll-?alfa|alfakrøll|snabel-?a)\s)"
SPOKEN = r"\sat\s(?:[\w-]+\sdot\s\w+|(?:gmail|hotmail|outlook|yahoo|icloud|online)\.\w+)"
BARE, ENDED = rf"(?<!\w)(?<!\d{GAP})(?<!\d,)", rf"(?!{GAP}?\d|\w)"
TELEPHONE = rf"[2-9]\d(?:{GAP}\d\d){{3}}|[2-9]\d\d{GAP}\d\d{GAP}\d{{3}}|[49]\d\d{GAP}\d{{3}}{GAP}\d\d"
ANY_8 = rf"(?!\d{{4}}{GAP}\d{{4}}(?!\d))[2-9](?:{GAP}?\d){{7}}|[49]\d{{3}}{GAP}\d{{4}}"  # "6900 6905" are two accounts
RULES = (
    _rule("e-post", rf"(?i)(?<![\w.+-])(?P<own>[\w.+-]{{1,64}}(?:{AT}[\w-]+(?:{DOT}[\w-]+)+|{SPOKEN}))"),
    _rule(
        "bankkonto",
        r"(?<!\w)(?P<own>[A-Za-z]{2}\d{2}(?:[ .-]?[A-Za-z0-9]{4}){2,7}(?:[ .-]?[A-Za-z0-9]{1,3})?)(?!\w)",
        lambda match: iban.is_valid(match["own"].replace(".", "")),
    ),
    _rule("fødselsnummer", rf"{PERSON}\D{{0,30}}?(?P<own>\d(?:{GAP}{{0,3}}\d){{10}})(?!\d)"),
    _rule("fødselsnummer", rf"(?<!\w)(?P<own>{_grouped('11', '6 5', '2 2 2 5', '6 3 2', '2 2 2 3 2', '6 2 3')})(?!\w)", _person),
    _rule("bankkonto", rf"{BANK}\D{{0,30}}?(?P<own>{_grouped('4 2 5', '11', '4 2 2 3', '4 7')})(?!\d)"),
    _rule("bankkonto", r"(?<!\w)(?P<own>\d{4}\.\d\d\.\d{5})(?!\w)"),  # nothing else is written so
    _rule("bankkonto", rf"(?<!\w)(?P<own>{_grouped('4 2 5', '11', '4 2 2 3', '4 7', '4 2 3 2')})(?!\w)", _account),
    _rule("telefon", rf"(?<!\w)(?P<own>\(?(?:\+|00){GAP}?[1-9](?:[ ()\u00a0.-]{{0,2}}\d){{8,13}})(?!\d)", _no_sum),
    _rule("telefon", rf"{PHONE}{LINK}(?P<own>(?:47{GAP}?)?(?:{ANY_8})){ENDED}"),
    _rule("telefon", rf"{BARE}(?P<own>(?:47{GAP})?(?:{TELEPHONE})){ENDED}", _telephone),
    _rule("telefon", r"(?<![\w.,])(?P<own>(?:47)?[49]\d{7})(?!\w)", _telephone),
    _rule("navn", rf"{CALLED}[ :]+(?P<own>{NAMES}|{SMALL})"),
    _rule("navn", rf"{OTHERS} (?P<own>{NAMES})"),
    _rule("navn", rf"{AM} (?P<own>{ROLE}(?![A-ZÆØÅ]{{2}}){NAME}(?: {NAME}){{1,3}})"),
    _rule("navn", rf"(?<!\w)(?P<own>{ROLE}{NAME} {NAME}(?: {NAME})?) her(?: igjen)?[.,!]"),
    _rule(
        "navn",
        rf"(?i:\b(?:mvh|m\.v\.h|hilsen|helsing|regards|pozdrawiam)\b)[\s,.:–-]{{0,5}}(?P<own>{ROLE}{NAMES})(?=\s*(?:$|\n))",
    ),
    _rule("adresse", rf"{LIVES}\W{{1,3}}(?i:(?:jeg|eg|min|mi|er|i|på|ved|in|at|is)\W{{1,2}}){{0,3}}(?P<own>{STREET})"),
)  # fmt: skip
RULES_OF_WORDS = tuple(rule for rule in RULES if rule.kind in ("e-post", "navn"))
MARK = re.compile(rf"\[(?:D-nummer|{'|'.join({rule.kind for rule in RULES})})\]")


def counted(row: dict[str, Any]) -> dict[str, Any]:
    """A row of an answer that tells which articles were cited, and nothing of what was asked."""
    cited = [{**each, "url": each["url"].partition("#")[0], "section": "", "quote": ""} for each in row["citations"]]
    notices = [{**each, "message": "", "url": ""} for each in row["notices"]]
    empty: dict[str, Any] = {"question": "", "history": [], "page": None, "answer": "", "nearest": [], "passages": []}
    return row | empty | {"citations": cited, "notices": notices}
