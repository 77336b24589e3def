"""What the platform itself says to customers, by language; everything else is said by the agents."""

from typing import Literal

Phrase = Literal[
    "handed_over",
    "taken_over",
    "not_finished",
    "try_again",
    "cancelled",
    "done",
    "done_before",
    "not_undone",
    "not_done",
    "unclear",
    "waiting",
    "often",
    "more",
    "person_goes_on",
    "asked_colleague",
    "still_unclear",
    "ask_back",
    "nothing_found",
    "search_gave_up",
    "cannot_help",
    "can_help_with",
    "takes_longer",
    "closed_idle",
]

_TEXTS: dict[str, dict[Phrase, str]] = {
    "en": {
        "handed_over": "I am handing you over to a colleague, who will answer you here.",
        "taken_over": "A colleague has taken over and will answer you here.",
        "not_finished": "I am sorry, something went wrong on our side and I could not finish this.",
        "try_again": "Please try again.",
        "cancelled": "This was cancelled.",
        "done": "Done:",
        "done_before": "Done before, and not done again:",
        "not_undone": "Done, and could not be taken back:",
        "not_done": "Not done:",
        "unclear": "It is not certain yet whether this was done:",
        "waiting": "Waiting for a colleague's decision, so you need not ask for it again:",
        "often": "{count} × {title}",
        "more": "and {count} more",
        "person_goes_on": "Please do not send it again: a colleague takes it from here and will "
        "answer you here.",
        "asked_colleague": "I have asked a colleague to confirm this and will come back to you here "
        "as soon as they do.",
        "still_unclear": "I am still not sure that I understand you, so I am handing you over to a "
        "colleague, who will answer you here.",
        "ask_back": "I am not sure that I understood you. Could you tell me in a few more words what "
        "it is about? I can help with:",
        "nothing_found": "I found nothing about that in our help articles, and I would rather not "
        "guess. If you tell me more about it I will look again, or ask me for a person to talk to.",
        "search_gave_up": "I could not search our help articles for that just now. Please ask again in "
        "fewer words, or ask me for a person to talk to.",
        "cannot_help": "I am afraid I cannot help with that.",
        "can_help_with": "Here is what I can help you with:",
        "takes_longer": "This takes longer than usual. Your message has arrived, and the answer will come "
        "here; you need not send it again.",
        "closed_idle": "This conversation was closed since nobody wrote for a while. Write here to "
        "reopen it.",
    },
    "de": {
        "handed_over": "Ich übergebe an eine Kollegin oder einen Kollegen; die Antwort kommt hier.",
        "taken_over": "Eine Kollegin oder ein Kollege hat übernommen; die Antwort kommt hier.",
        "not_finished": "Es tut mir leid, bei uns ist etwas schiefgegangen, und ich konnte das nicht "
        "abschließen.",
        "try_again": "Bitte versuchen Sie es noch einmal.",
        "cancelled": "Das wurde abgebrochen.",
        "done": "Erledigt:",
        "done_before": "Schon vorher erledigt und nicht noch einmal ausgeführt:",
        "not_undone": "Erledigt, und die Rücknahme ist nicht gelungen:",
        "not_done": "Nicht erledigt:",
        "unclear": "Ob das erledigt wurde, steht noch nicht fest:",
        "waiting": "Wartet auf die Entscheidung im Team und muss nicht noch einmal angefragt werden:",
        "often": "{count} × {title}",
        "more": "und {count} weitere",
        "person_goes_on": "Bitte senden Sie es nicht noch einmal: Eine Kollegin oder ein Kollege "
        "macht hier weiter; die Antwort kommt hier.",
        "asked_colleague": "Ich habe eine Kollegin oder einen Kollegen um Bestätigung gebeten und "
        "melde mich hier, sobald sie da ist.",
        "still_unclear": "Ich bin noch nicht sicher, ob ich Sie verstehe, und übergebe an eine "
        "Kollegin oder einen Kollegen; die Antwort kommt hier.",
        "ask_back": "Ich bin nicht sicher, ob ich Sie verstanden habe. Können Sie mir mit ein paar "
        "Worten mehr sagen, worum es geht? Ich kann helfen bei:",
        "nothing_found": "Dazu habe ich in unseren Hilfeartikeln nichts gefunden, und raten möchte "
        "ich nicht. Wenn Sie mir mehr dazu sagen, suche ich noch einmal; oder fragen Sie nach einem "
        "Menschen.",
        "search_gave_up": "Ich konnte unsere Hilfeartikel gerade nicht danach durchsuchen. Bitte fragen "
        "Sie mit weniger Worten noch einmal, oder fragen Sie nach einem Menschen.",
        "cannot_help": "Dabei kann ich leider nicht helfen.",
        "can_help_with": "Dabei kann ich helfen:",
        "takes_longer": "Das dauert gerade länger als sonst. Ihre Nachricht ist angekommen, und die "
        "Antwort kommt hier; Sie brauchen sie nicht noch einmal zu schicken.",
        "closed_idle": "Dieses Gespräch wurde geschlossen, da eine Weile niemand geschrieben hat. "
        "Schreiben Sie hier, um es wieder zu öffnen.",
    },
}


def customer_text(phrase: Phrase, language: str) -> str:
    """The phrase in the customer's language (a tag such as `de` or `de-AT`), else in English."""
    return _TEXTS.get(language.split("-")[0].lower(), _TEXTS["en"])[phrase]
