"""The words by which a message speaks of an action with a reserve, in English and German."""

import re

SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?\n]*")
REFUSED_AFTER = r"(?!\W*(?:not|do not|don't|dont|never|nicht|nie|keine?n?|noch nicht)\b)"
SEGMENT_END = re.compile(
    r"(?<=[,;:–—])\s+|\s+-+\s+"
    r"|\s+(?=(?:and|but|however|instead(?! of)|und|aber|sondern|stattdessen|weil|denn)\b)"
    r"|\s+(?=so\b(?! (?:sure|certain|much|many|far|soon)\b))"
    rf"|\s+(?=(?:please|pls|plz|bitte)\b{REFUSED_AFTER})",
    re.IGNORECASE,
)


def _any(*expressions: str) -> re.Pattern[str]:
    return re.compile("|".join(expressions), re.IGNORECASE)


NEGATION = _any(
    r"\b(?:not|never|no|nobody|none|neither|nor|without|stop|avoid|refuse|cannot|instead of|rather than)\b",
    r"\b(?:ohne|weder|statt|anstatt)\b",
    r"\b\w+n't\b",
    r"\b(?:dont|didnt|doesnt|wont|cant|isnt|wasnt|shouldnt|wouldnt|couldnt|havent|hasnt|mustnt)\b",
)
"""What follows in its segment is negated."""
GERMAN_NEGATION = _any(r"\b(?:nicht|nie|niemals|kein\w*)\b")
"""The whole segment is negated, since the verb may come before the negation."""
DANGLING = _any(
    r"\b(?:not|never|\w+n't|dont|nicht|nie|auf keinen fall)(?: (?:want|wish|like|need|think))?\W*$"
)
"""A negation whose verb comes in a later segment: "do not, please, cancel"."""
GOES_ON = re.compile(r"\W*(?:to|dass)\b|.*\bzu \w+en\b|.*\w+zu\w+en\b", re.IGNORECASE)
"""A segment that hangs on the one before it, with its negation: "it is not needed, to …"."""
NOT_THIS = _any(
    r"\b(?:not|nicht) (?=#|\w+-?\d|the\b|my\b|order\b|this\b|that\b|die\b|das\b|den\b|meine?n?\b)"
)
"""Not an action, but one of the things that it could be about: "cancel W1, not W2"."""
EXCEPTION = _any(
    r"\b(?:except|excluding|apart from|other than|(?:all|everything|both|anything) but|außer|ausgenommen|"
    r"bis auf)\b",
    r"\b(?:everything|all|both|whole|entire|alles?|beides?|ganze)\b.*\b(?:not|nicht)\b",
)
"""What is asked for isn't all of what is named."""
TAKEN_BACK = re.compile(
    r"\W*(?:(?:but|and|or|oh|wait|hm+|no|please|pls|actually|rather|better|on second thoughts?|sorry|aber|"
    r"und|oder|nein|ach|bitte|lieber|besser|moment|entschuldigung)\W+)*"
    r"(?:do not|don't|dont|not|no|nope|never|never ?mind|forget (?:it|that|about it)|leave it(?: be| alone)?|"
    r"scratch that|stop|wait|hold on|nicht|nein|doch nicht|lass(?:en sie)?(?: es| das)?(?: sein)?|"
    r"vergiss (?:es|das)|vergessen sie (?:es|das)|halt|warten? sie|warte|moment)"
    r"(?:\W+(?:do it|do that|yet|please|pls|bitte|thanks|thank you|danke))*\W*",
    re.IGNORECASE,
)
"""A segment of its own that takes back what was said before."""
DOUBT = _any(
    r"\b(?:not (?:so |quite |really |yet |entirely |completely )?(?:sure|certain|decided)|unsure|uncertain|"
    r"undecided|maybe|perhaps|possibly|might|may (?:want|need|have|decide)|thinking (?:about|of)|"
    r"think (?:about|of|it over)|consider(?:ing)?|wonder(?:ing)?(?! if you (?:can|could|would)\b)|"
    r"(?:should|shall|must|would|do|did) (?:i|we)|i should|do you think|whether|what if|in case|hypothetically|"
    r"suppos(?:e|ing)|imagine|tempted|debating|hesitat\w+|or not|some ?day|one day|eventually|"
    r"able to|possible to|allowed to|would it)\b",
    r"\b(?:vielleicht|eigentlich|wollte|eventuell|evtl|möglicherweise|unsicher|unentschlossen|überleg\w*|mal sehen|"
    r"nicht (?:ganz |so )?sicher|weiß (?:noch )?nicht|soll(?:te|en)? (?:ich|wir)|ob (?:ich|wir|man|sie)|"
    r"oder nicht|was (?:passiert|wäre|ist),? wenn|(?:kann|könnte|darf|dürfte|muss|müsste) (?:ich|man)|"
    r"können wir|(?:ist|wäre) es möglich|gegebenenfalls|ggf)\b",
)
"""The whole sentence is in doubt, up to where it becomes plain."""
ALLOWED = _any(r"\b(?:can|could|may|might) (?:i|we)\b")
"""Asks whether it may be done; with a "please", for it."""
PLEASE = _any(r"\b(?:please|pls|plz)\b")
UNLESS_POLITE = (
    r"(?! possible\b| you (?:can|could|please|would|don't mind)\b"
    r"| (?:that's|it's|that is|it is) (?:ok|okay|possible|fine|all ?right)\b)"
)
CONDITION = _any(
    rf"\bif\b{UNLESS_POLITE}",
    r"\b(?:unless|until|once i|before (?:i|you|we)|wenn(?! möglich)|falls|sofern|bevor|bis)\b",
)
"""Its segment and what follows in the sentence depend on something."""
ELSEWHEN = _any(
    r"\b(?:later|not yet|some other time|next (?:week|month|year|time)|tomorrow|going to|gonna|"
    r"plan(?:ning)? to|intend to|will probably|about to|almost|nearly|tried to|used to|was going to)\b",
    r"\b(?:später|noch nicht|ein andermal|nächste\w* (?:woche|monat|jahr|mal)|morgen|habe? vor)\b",
)
"""The whole segment is of another time."""
QUESTION_START = re.compile(
    r"\W*(?:(?:and|but|so|or|hi|hello|hey|well|und|aber|also|oder|hallo)\W+)*"
    r"(?:did|didn't|have|haven't|has|hasn't|had|hadn't|was|wasn't|were|weren't|is|isn't|are|aren't|am|"
    r"does|doesn't|do you|why|when|who|whom|whose|where|what|which|how|"
    r"hast|habt|haben|hat|hatten?|wurden?|wird|werden|war|waren|ist|sind|"
    r"warum|wieso|weshalb|wann|wer|wo|was|welche\w*|wie)\b",
    re.IGNORECASE,
)
"""The sentence asks for knowledge."""
EMBEDDED = _any(
    r"\b(?:why|how|when|who|what happens|about|regarding|concerning|confirm|explain|status of)\b"
    r"(?!.*\b(?:i want|i'd like|i would like|i need|please)\b)",
    r"\b(?:warum|wieso|weshalb|wann|wer|wie|bezüglich|wegen|bestätig\w*)\b(?!.*\b(?:möchte|bitte)\b)",
)
"""What follows in its segment is what somebody wants to know."""
REQUEST = _any(
    r"\b(?:can|could|would) (?:you|u|someone|somebody)\b|\b(?:please|pls|plz)\b",
    r"\b(?:i|we) (?:want|need|would like)\b|\b(?:i|we)'d like\b",
    r"\b(?:können|könnten|würden|kannst|könntest|würdest) (?:sie|du|ihr)\b|\bbitte\b|\bmöchten?\b",
)
"""What makes a question a request."""
PLAIN_AGAIN = re.compile(
    r"\W*(?:(?:and|so|then|und|dann)\W+)?(?:but|instead|rather|please|pls|plz|just|only|i want|i'd like|"
    r"i would like|i need|can you|could you|would you|aber|sondern|stattdessen|bitte|lieber|nur|ich möchte|"
    r"ich will|können sie|könnten sie)\b",
    re.IGNORECASE,
)
"""A segment that speaks for itself, whatever was said before it."""
DONE = re.compile(r"\w{3,}ed\b|\w+iert\b|(?:zurück|um|ab)ge(?!ben?\b)\w+|geändert\b", re.IGNORECASE)
"""The form of a verb that tells what was done, or should be."""
NOUN = re.compile(r"\w+(?:ations?|als?|ing|ung(?:en)?)\b", re.IGNORECASE)
HAPPENED = _any(
    r"\b(?:was|were|been|is|are|got|has|had|(?<!to )have|'s|'ve)(?: \S+){0,3}\s*$",
    r"\b(?:you|they|he|she|it|i|we|somebody|someone)(?: (?:already|just|also|never|have|had))?\s*$",
)
"""Right before an English participle: it tells."""
GESCHEHEN = _any(r"\b(?:wurden?|worden|ist|sind|war|waren|hat|haben|habe|hast|schon|bereits)\b")
WISHED = _any(
    r"\b(?:want|wants|need|like|mind|help|please|pls|get|request|möchten?|will|wollen|bitte|soll|brauche)\b"
)
TO_BE_DONE = _any(r"\b(?:to be|werden)\b")


NUMBERED = re.compile(r"\w*\d")
