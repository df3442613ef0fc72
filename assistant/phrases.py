"""Every fixed sentence that the assistant says to a reader, in each language that it answers in."""

from collections.abc import Mapping

from corpus.enrich import FAULTS

Phrase = Mapping[str, str]

NOT_COVERED: Phrase = {
    "nb": "Artiklene sier ikke noe om dette. Jeg lar heller være å svare enn å gjette.",
    "nn": "Artiklane seier ikkje noko om dette. Eg lèt heller vere å svare enn å gjette.",
    "en": "The articles do not say anything about this, and I would rather not answer than guess.",
    "pl": "W artykułach nie ma nic na ten temat. Wolę nie odpowiadać, niż zgadywać.",
    "lt": "Straipsniuose apie tai nieko nerašoma. Verčiau neatsakysiu, nei spėliosiu.",
    "uk": "У статтях про це нічого не сказано. Я краще не відповідатиму, ніж гадатиму.",
}
NEAREST: Phrase = {
    "nb": "Disse artiklene ligger nærmest:",
    "nn": "Desse artiklane ligg nærast:",
    "en": "These articles come closest:",
    "pl": "Najbliższe tematycznie artykuły:",
    "lt": "Artimiausi pagal temą straipsniai:",
    "uk": "Найближчі за темою статті:",
}
GREETING: Phrase = {
    "nb": "Hei! Jeg svarer på spørsmål om HMS, arbeidsliv og regnskap ut fra artiklene våre, og viser hvor svaret står. "
    "Hva lurer du på?",
    "nn": "Hei! Eg svarar på spørsmål om HMS, arbeidsliv og rekneskap ut frå artiklane våre, og viser kvar svaret står. "
    "Kva lurer du på?",
    "en": "Hello! I answer questions on health and safety, working life and accounting from our articles, "
    "and show where the answer stands. What would you like to know?",
    "pl": "Dzień dobry! Odpowiadam na pytania o BHP, sprawy pracownicze i księgowość na podstawie naszych artykułów "
    "i wskazuję, gdzie znajduje się odpowiedź. O co chcesz zapytać?",
    "lt": "Sveiki! Atsakau į klausimus apie darbuotojų saugą ir sveikatą, darbo santykius ir apskaitą pagal mūsų straipsnius "
    "ir nurodau, kur rasti atsakymą. Ko norėtumėte paklausti?",
    "uk": "Вітаю! Я відповідаю на запитання про охорону праці, трудові відносини та бухгалтерський облік на основі наших "
    "статей і вказую, де саме знайти відповідь. Про що хочете запитати?",
}
CLARIFY: Phrase = {
    "nb": "Hva gjelder det? Skriv gjerne litt mer, for eksempel hvilken regel, konto eller situasjon du tenker på.",
    "nn": "Kva gjeld det? Skriv gjerne litt meir, til dømes kva regel, konto eller situasjon du tenkjer på.",
    "en": "What is it about? Please tell a little more, for instance which rule, account or situation you have in mind.",
    "pl": "Czego dotyczy pytanie? Napisz, proszę, trochę więcej, na przykład jaką zasadę, jakie konto lub jaką sytuację "
    "masz na myśli.",
    "lt": "Apie ką klausiate? Parašykite šiek tiek daugiau, pavyzdžiui, kokią taisyklę, sąskaitą ar situaciją turite omenyje.",
    "uk": "Чого стосується запитання? Напишіть, будь ласка, трохи докладніше: наприклад, яке правило, який рахунок чи яку "
    "ситуацію ви маєте на увазі.",
}
REFUSED: Phrase = {
    "nb": "Det kan jeg ikke hjelpe med. Jeg svarer bare på spørsmål om HMS, arbeidsliv og regnskap ut fra artiklene.",
    "nn": "Det kan eg ikkje hjelpe med. Eg svarar berre på spørsmål om HMS, arbeidsliv og rekneskap ut frå artiklane.",
    "en": "I cannot help with that. I only answer questions on health and safety, working life and accounting from the articles.",
    "pl": "W tym nie mogę pomóc. Odpowiadam tylko na pytania o BHP, sprawy pracownicze i księgowość na podstawie artykułów.",
    "lt": "Čia padėti negaliu. Atsakau tik į klausimus apie darbuotojų saugą ir sveikatą, darbo santykius ir apskaitą pagal "
    "straipsnius.",
    "uk": "Із цим я не можу допомогти. Я відповідаю лише на запитання про охорону праці, трудові відносини та бухгалтерський "
    "облік на основі статей.",
}
ACUTE: Phrase = {
    "nb": "**Er noen skadd eller i fare nå? Ring 113 (ambulanse), 110 (brann) eller 112 (politi).** "
    "Hold linjen åpen og følg rådene du får. Trenger du noen å snakke med, ring Mental Helse på 116 123.",
    "nn": "**Er nokon skadd eller i fare no? Ring 113 (ambulanse), 110 (brann) eller 112 (politi).** "
    "Hald linja open og følg råda du får. Treng du nokon å snakke med, ring Mental Helse på 116 123.",
    "en": "**Is somebody hurt or in danger now? Call 113 (ambulance), 110 (fire) or 112 (police).** "
    "Stay on the line and do as you are told. If you need somebody to talk to, call Mental Helse on 116 123.",
    "pl": "**Czy ktoś jest teraz ranny lub w niebezpieczeństwie? Dzwoń: 113 (pogotowie), 110 (straż pożarna) lub 112 "
    "(policja).** Nie rozłączaj się i stosuj się do wskazówek. Jeśli chcesz z kimś porozmawiać, zadzwoń do Mental Helse: "
    "116 123.",
    "lt": "**Ar dabar kas nors sužeistas arba kam nors gresia pavojus? Skambinkite 113 (greitoji pagalba), 110 (gaisrinė) "
    "arba 112 (policija).** Nepadėkite ragelio ir laikykitės gautų nurodymų. Jei jums reikia su kuo nors pasikalbėti, "
    "skambinkite į „Mental Helse“ tel. 116 123.",
    "uk": "**Хтось зараз поранений або в небезпеці? Телефонуйте 113 (швидка), 110 (пожежна) або 112 (поліція).** "
    "Залишайтеся на лінії та виконуйте вказівки. Якщо вам потрібно з кимось поговорити, телефонуйте до Mental Helse: "
    "116 123.",
}
ACUTE_MORE: Phrase = {
    "nb": "Dette sier artiklene:",
    "nn": "Dette seier artiklane:",
    "en": "This is what the articles say:",
    "pl": "Oto co mówią artykuły:",
    "lt": "Štai kas rašoma straipsniuose:",
    "uk": "Ось що сказано в статтях:",
}
# Before quotes that are in another language than the question; it cites the first of them.
FRAME: Phrase = {
    "nb": "",
    "nn": "Dette seier artiklane, på bokmål: [1]",
    "en": "This is what the articles say, in Norwegian: [1]",
    "pl": "Oto co mówią artykuły (po norwesku): [1]",
    "lt": "Štai kas rašoma straipsniuose (norvegų kalba): [1]",
    "uk": "Ось що сказано в статтях (норвезькою): [1]",
}
# Before an answer whose article has another figure than the law.
CORRECTION: Phrase = {
    "nb": "**{says}** ({basis}); «{quote}» i artikkelen er utdatert.",
    "nn": "**{says}** ({basis}); «{quote}» i artikkelen er utdatert.",
    "en": "**The rule today, in Norwegian: {says}** ({basis}); “{quote}” in the article is outdated.",
    "pl": "**Obecnie obowiązuje (po norwesku): {says}** ({basis}); „{quote}” w artykule jest nieaktualne.",
    "lt": "**Šiuo metu galioja (norvegų kalba): {says}** ({basis}); straipsnyje nurodyta „{quote}“ jau nebegalioja.",
    "uk": "**Зараз діє таке правило (норвезькою): {says}** ({basis}); «{quote}» у статті — застаріла інформація.",
}
SINCE: Phrase = {
    "nb": ", siden {date}",
    "nn": ", sidan {date}",
    "en": ", since {date}",
    "pl": ", od {date}",
    "lt": ", nuo {date}",
    "uk": ", з {date}",
}
OUTDATED: Phrase = {
    "nb": "utdatert",
    "nn": "utdatert",
    "en": "outdated",
    "pl": "nieaktualne",
    "lt": "nebegalioja",
    "uk": "застаріло",
}
# Before a law's own words, below what the articles say.
STATUTE: Phrase = {
    "nb": "**Loven selv sier** ({name}):",
    "nn": "**Lova sjølv seier** ({name}):",
    "en": "**The law itself says, in Norwegian** ({name}):",
    "pl": "**Sama ustawa stanowi, po norwesku** ({name}):",
    "lt": "**Pačiame įstatyme norvegų kalba rašoma** ({name}):",
    "uk": "**У самому законі норвезькою сказано** ({name}):",
}
# Before what was taken out of a question because it is somebody's own, and what that is.
PRIVACY: Phrase = {
    "nb": "Dette er fjernet fra spørsmålet ditt, og er verken lagret eller sendt videre: {what}.",
    "nn": "Dette er fjerna frå spørsmålet ditt, og er verken lagra eller sendt vidare: {what}.",
    "en": "Removed from your question, and neither stored nor passed on: {what}.",
    "pl": "Usunięto z pytania; nie zostało to zapisane ani przekazane dalej: {what}.",
    "lt": "Pašalinta iš jūsų klausimo, neišsaugota ir niekam neperduota: {what}.",
    "uk": "Вилучено з вашого запитання; це не збережено й нікому не передано: {what}.",
}
PRIVATE: Mapping[str, Phrase] = {
    "fødselsnummer": {
        "nb": "fødselsnummer",
        "nn": "fødselsnummer",
        "en": "national identity number",
        "pl": "numer identyfikacyjny",
        "lt": "asmens kodas",
        "uk": "персональний номер",
    },
    "D-nummer": {
        "nb": "D-nummer",
        "nn": "D-nummer",
        "en": "D number",
        "pl": "numer D",
        "lt": "D numeris",
        "uk": "D-номер",
    },
    "bankkonto": {
        "nb": "bankkontonummer",
        "nn": "bankkontonummer",
        "en": "bank account number",
        "pl": "numer rachunku bankowego",
        "lt": "banko sąskaitos numeris",
        "uk": "номер банківського рахунку",
    },
    "e-post": {
        "nb": "e-postadresse",
        "nn": "e-postadresse",
        "en": "e-mail address",
        "pl": "adres e-mail",
        "lt": "el. pašto adresas",
        "uk": "адреса електронної пошти",
    },
    "telefon": {
        "nb": "telefonnummer",
        "nn": "telefonnummer",
        "en": "telephone number",
        "pl": "numer telefonu",
        "lt": "telefono numeris",
        "uk": "номер телефону",
    },
    "navn": {
        "nb": "navn",
        "nn": "namn",
        "en": "name",
        "pl": "imię i nazwisko",
        "lt": "vardas ir pavardė",
        "uk": "імʼя",
    },
    "adresse": {
        "nb": "adresse",
        "nn": "adresse",
        "en": "address",
        "pl": "adres",
        "lt": "adresas",
        "uk": "адреса",
    },
}
SEARCHING: Phrase = {
    "nb": "Leter i artiklene",
    "nn": "Leitar i artiklane",
    "en": "Searching the articles",
    "pl": "Szukam w artykułach",
    "lt": "Ieškau straipsniuose",
    "uk": "Шукаю в статтях",
}
CHECKING: Phrase = {
    "nb": "Kontrollerer svaret mot kildene",
    "nn": "Kontrollerer svaret mot kjeldene",
    "en": "Checking the answer against its sources",
    "pl": "Sprawdzam zgodność odpowiedzi ze źródłami",
    "lt": "Tikrinu atsakymą pagal šaltinius",
    "uk": "Звіряю відповідь із джерелами",
}
# After a sentence of a model whose sources bear it in part.
PARTLY: Phrase = {
    "nb": "delvis støttet av kilden",
    "nn": "delvis støtta av kjelda",
    "en": "partly supported by the source",
    "pl": "częściowo potwierdzone w źródle",
    "lt": "šaltinis tai patvirtina tik iš dalies",
    "uk": "джерело підтверджує це частково",
}
EXAMPLES: tuple[str, ...] = (
    "Hvor mange ansatte må vi være før vi trenger verneombud?",
    "Hvem betaler for bedriftshelsetjenesten?",
    "Hvilke paragrafer i arbeidsmiljøloven gjelder for HMS?",
    "Når må virksomheten ha arbeidsmiljøutvalg?",
    "Hva dekker yrkesskadeforsikringen?",
    "Hva er internkontroll?",
)

# Why an answer is in the articles' own words although there is a model.
FALLBACK = {
    **FAULTS,
    "budget": "Dagens kvote for språkmodellen er brukt opp",
    "unmarked": "Svaret fra språkmodellen viste ikke til kildene",
    "language": "Språkmodellen svarte på et annet språk",
    "repeats": "Svaret fra språkmodellen gjentok seg selv",
    "unsupported": "For mye av svaret fra språkmodellen sto ikke i kildene",
}
INSTEAD = "{reason}; dette er artiklenes egne ord."
