"""What the platform itself says to customers, by language; everything else is said by the agents."""

from typing import Literal

Phrase = Literal["handed_over", "not_finished", "closed_idle", "takes_longer"]

_TEXTS: dict[str, dict[Phrase, str]] = {
    "en": {
        "handed_over": "I am handing you over to a colleague, who will answer you here.",
        "not_finished": "I am sorry, something went wrong on our side and I could not finish this. "
        "Please try again.",
        "takes_longer": "This takes longer than usual. Your message has arrived, and the answer will come "
        "here; you need not send it again.",
        "closed_idle": "This conversation was closed since nobody wrote for a while. Write here to reopen it.",
    },
    "de": {
        "handed_over": "Ich übergebe an eine Kollegin oder einen Kollegen; die Antwort kommt hier.",
        "not_finished": "Es tut mir leid, bei uns ist etwas schiefgegangen, und ich konnte das nicht "
        "abschließen. Bitte versuchen Sie es noch einmal.",
        "takes_longer": "Das dauert gerade länger als sonst. Ihre Nachricht ist angekommen, und die "
        "Antwort kommt hier; Sie brauchen sie nicht noch einmal zu schicken.",
        "closed_idle": "Dieses Gespräch wurde geschlossen, da eine Weile niemand geschrieben hat. "
        "Schreiben Sie hier, um es wieder zu öffnen.",
    },
}


def customer_text(phrase: Phrase, language: str) -> str:
    """The phrase in the customer's language (a tag such as `de` or `de-AT`), else in English."""
    return _TEXTS.get(language.split("-")[0].lower(), _TEXTS["en"])[phrase]
