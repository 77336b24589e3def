"""Words of a text as rules see them: stems, how much of a phrase somebody said, its language."""

import re

_STOPWORDS = """
    a about all also am an and any are as at be been but by can could did do does for from had
    has have he her here hers him his how i if in into is it its just me my no not of on one only or
    our please she should so some than that the their them then there these they this those to too
    up us was we were what when where which who why will with would yes you your
"""
_EMPTY = frozenset(_STOPWORDS.split())
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"“(]?[A-Z0-9])|\n\s*\n|\n(?=\s*[-*] )")

_MARKERS = {
    "en": "the and is my to of you what where i for please have it want not order do how",
    "de": "der die das und ist ich nicht mein meine bitte wo wie habe eine zu mit für bestellung möchte sie wir",
    "fr": "le la les et est je ne pas mon ma où bonjour une pour avec commande voudrais vous des",
    "es": "el la los y es mi no por favor dónde está una para con pedido quiero hola de qué",
    "it": "la che è mio mia dove non per favore una con ordine vorrei ciao di sono",
    "pt": "o a os é meu minha onde não por favor uma para com pedido quero olá está",
    "nl": "de het een en is mijn waar niet ik graag met voor bestelling wil kan hoe",
}
_MARKER_SETS = {code: frozenset(words.split()) for code, words in _MARKERS.items()}


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, in order."""
    return [word.lower() for word in _WORD.findall(text)]


def stems(text: str) -> set[str]:
    """The stems of a text's words that carry a meaning."""
    return {_stem(word) for word in words_of(text) if word not in _EMPTY}


def share_said(phrase: str, text: str) -> float:
    """How much of `phrase` occurs in `text`: 0 for nothing of it (or no words in it), 1 for all."""
    wanted = stems(phrase)
    return len(wanted & stems(text)) / len(wanted) if wanted else 0.0


def sentences(text: str) -> list[str]:
    """A text's sentences and list items, without the line breaks inside them."""
    return [
        cleaned
        for part in _SENTENCE_END.split(text)
        if (cleaned := " ".join(part.split()).removeprefix("- ").removeprefix("* "))
    ]


def language_of(text: str) -> str:
    """The two-letter code of the language a text is probably written in; "en" where nothing tells."""
    said = set(words_of(text))
    counts = {code: len(said & markers) for code, markers in _MARKER_SETS.items()}
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] > max(counts["en"], 1) else "en"


def _stem(word: str) -> str:
    for suffix in ("'s", "’s", "ing", "ed", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    return word.removesuffix("e") if len(word) > 3 else word
