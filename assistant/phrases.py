"""Every fixed sentence that the assistant says to a reader, in bokmål, nynorsk and English."""

from collections.abc import Mapping

Phrase = Mapping[str, str]

NOT_COVERED: Phrase = {
    "nb": "Artiklene sier ikke noe om dette. Jeg lar heller være å svare enn å gjette.",
    "nn": "Artiklane seier ikkje noko om dette. Eg lèt heller vere å svare enn å gjette.",
    "en": "The articles do not say anything about this, and I would rather not answer than guess.",
}
NEAREST: Phrase = {
    "nb": "Disse artiklene ligger nærmest:",
    "nn": "Desse artiklane ligg nærast:",
    "en": "These articles come closest:",
}
GREETING: Phrase = {
    "nb": "Hei! Jeg svarer på spørsmål om HMS, arbeidsliv og regnskap ut fra artiklene våre, og viser hvor svaret står. "
    "Hva lurer du på?",
    "nn": "Hei! Eg svarar på spørsmål om HMS, arbeidsliv og rekneskap ut frå artiklane våre, og viser kvar svaret står. "
    "Kva lurer du på?",
    "en": "Hello! I answer questions on health and safety, working life and accounting from our articles, "
    "and show where the answer stands. What would you like to know?",
}
CLARIFY: Phrase = {
    "nb": "Hva gjelder det? Skriv gjerne litt mer, for eksempel hvilken regel, konto eller situasjon du tenker på.",
    "nn": "Kva gjeld det? Skriv gjerne litt meir, til dømes kva regel, konto eller situasjon du tenkjer på.",
    "en": "What is it about? Please tell a little more, for instance which rule, account or situation you have in mind.",
}
REFUSED: Phrase = {
    "nb": "Det kan jeg ikke hjelpe med. Jeg svarer bare på spørsmål om HMS, arbeidsliv og regnskap ut fra artiklene.",
    "nn": "Det kan eg ikkje hjelpe med. Eg svarar berre på spørsmål om HMS, arbeidsliv og rekneskap ut frå artiklane.",
    "en": "I cannot help with that. I only answer questions on health and safety, working life and accounting from the articles.",
}
ACUTE: Phrase = {
    "nb": "**Er noen skadd eller i fare nå? Ring 113 (ambulanse), 110 (brann) eller 112 (politi).** "
    "Hold linjen åpen og følg rådene du får. Trenger du noen å snakke med, ring Mental Helse på 116 123.",
    "nn": "**Er nokon skadd eller i fare no? Ring 113 (ambulanse), 110 (brann) eller 112 (politi).** "
    "Hald linja open og følg råda du får. Treng du nokon å snakke med, ring Mental Helse på 116 123.",
    "en": "**Is somebody hurt or in danger now? Call 113 (ambulance), 110 (fire) or 112 (police).** "
    "Stay on the line and do as you are told. If you need somebody to talk to, call Mental Helse on 116 123.",
}
ACUTE_MORE: Phrase = {
    "nb": "Dette sier artiklene:",
    "nn": "Dette seier artiklane:",
    "en": "This is what the articles say:",
}
# Before quotes that are in another language than the question; it cites the first of them.
FRAME: Phrase = {
    "nb": "",
    "nn": "Dette seier artiklane, på bokmål: [1]",
    "en": "This is what the articles say, in Norwegian: [1]",
}
# Before an answer whose article has another figure than the law.
CORRECTION: Phrase = {
    "nb": "**{says}** ({basis}); «{quote}» i artikkelen er utdatert.",
    "nn": "**{says}** ({basis}); «{quote}» i artikkelen er utdatert.",
    "en": "**The rule today, in Norwegian: {says}** ({basis}); “{quote}” in the article is outdated.",
}
SINCE: Phrase = {"nb": ", siden {date}", "nn": ", sidan {date}", "en": ", since {date}"}
OUTDATED: Phrase = {"nb": "utdatert", "nn": "utdatert", "en": "outdated"}
# Before a law's own words, below what the articles say.
STATUTE: Phrase = {
    "nb": "**Loven selv sier** ({name}):",
    "nn": "**Lova sjølv seier** ({name}):",
    "en": "**The law itself says, in Norwegian** ({name}):",
}
SEARCHING: Phrase = {"nb": "Leter i artiklene", "nn": "Leitar i artiklane", "en": "Searching the articles"}
EXAMPLES: tuple[str, ...] = (
    "Hvor mange ansatte må vi være før vi trenger verneombud?",
    "Hvem betaler for bedriftshelsetjenesten?",
    "Hvilke paragrafer i arbeidsmiljøloven gjelder for HMS?",
    "Når må virksomheten ha arbeidsmiljøutvalg?",
    "Hva dekker yrkesskadeforsikringen?",
    "Hva er internkontroll?",
)
