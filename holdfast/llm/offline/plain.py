"""What a customer plainly asks for, in English or German.

Rules can't understand a sentence. So an action's words count only where they stand in one of the request
forms below ("please cancel …", "I would like to cancel …", "bitte stornieren Sie …"), with nothing around
them that takes it back or makes it depend on something. Whatever else speaks of an action is no request.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import pairwise

Span = tuple[int, int]


def _any(*expressions: str) -> re.Pattern[str]:
    return re.compile("|".join(expressions), re.IGNORECASE)


_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?\n]*")
_CLAUSE_END = _any(
    r"(?<=[,;:–—])\s|\s-+\s",
    r"\s(?=(?:and|but|however|because|since|instead(?! of)|und|aber|sondern|stattdessen|weil|denn)\b)",
    r"\s(?=so\b(?! (?:sure|certain|much|many|far|soon)\b))",
)
_NUMBER = re.compile(r"(?<![#\w-])[#\w-]*\d[\w-]*")

_OPENING = (
    r"\W*(?:(?>(?:please|pls|plz|kindly|just|then|so|and|but|yes|yep|ok(?:ay)?|well|now|sorry|hi|hello|hey|"
    r"good (?:morning|afternoon|evening|day)|because|since|instead|also|thanks|bitte|und|aber|dann|ja|"
    r"hallo|guten (?:tag|morgen|abend)|sondern|stattdessen|weil|denn)\b)\W*)*"
)
"""A word counts in one way only, or the ways to read a text would double with each of them."""
_THING = r"(?:a|an|the|my|our|this|die|das|den|eine?n?|meine?n?) "
_WISHES = r"(?:i|we)(?: (?:really|just|now))?(?: (?:want|need|wish|would (?:really )?like)|'d (?:really )?like)"
_YOU = r"(?:can|could|would|will) you(?: (?:please|kindly|also|just))*"
_POLITE = rf"(?:{_YOU}|(?:i was|i am|i'm) wondering if you (?:can|could)|(?:can|could|may) (?:i|we) please)"
_TO = (
    rf"(?:{_WISHES}(?: you)? to|(?:i|we)(?: have|'ve)(?: decided)? to|"
    rf"(?:i|we)(?: am| are|'m|'re) trying to)(?: please)?"
)
_VERB_NEXT = _any(rf"{_OPENING}(?:(?:{_TO}|{_POLITE}) )?")
_THING_NEXT = _any(
    rf"{_OPENING}(?:{_WISHES} {_THING}|(?:(?:{_TO}|{_POLITE}) )?"
    rf"(?:make|arrange|request|issue|start|initiate) {_THING})"
)
_CHANGED_NEXT = _any(
    rf"{_OPENING}(?:(?:{_TO}|{_POLITE}) )?(?:change|update|modify|correct|switch|set|use)(?: {_THING}| )"
)
"""Before what isn't a verb: "change my address"."""
_DONE_NEXT = _any(rf"{_OPENING}{_WISHES} (?:to (?:have|get) )?(?P<thing>.+?) (?:to be )?")
_GERMAN_LAST = _any(
    rf"{_OPENING}(?:(?<=bitte )|(?:ich|wir) (?:möchten?|will|wollen|muss|müssen|würden? gerne?)|"
    r"(?:können|könnten|würden) (?:sie|wir bitte)|(?:kannst|könntest|würdest) du)(?P<thing> ?.*?) ?"
)
_MAY_ASK = _any(
    rf"{_OPENING}(?:{_POLITE}|(?:können|könnten|würden) sie|(?:kannst|könntest|würdest) du)\b"
)
"""The forms that may have a question mark."""
_END = _any(r"\W*(?:(?:lassen|haben|please|pls|now|today|bitte|danke|thanks)\W*)*")

_DONE = _any(r"\w{3,}ed\b|\w+iert\b|(?:zurück|um|ab)ge(?!ben?\b)\w+|geändert\b")
"""The form of a verb that tells what was done, or should be."""
_NOUN = _any(r"\b\w+(?:ations?|als?|ing|ung(?:en)?)\b")
_INFINITIVE = _any(r"\w+en\b")

_NEGATION = _any(
    r"\b(?:not|never|no|nobody|none|neither|nor|cannot|nicht|nie|niemals|kein\w*|weder|ungern|\w+n't|dont|wont|cant)\b",
    r"\b(?:instead of|rather than|anstatt|statt|als)\b",
)
_POLITE_IF = (
    r"(?! possible\b| you (?:can|could|please|would|don't mind)\b"
    r"| (?:that's|it's|that is|it is) (?:ok|okay|possible|fine|all ?right)\b)"
)
_DEPENDS = _any(
    rf"\bif\b{_POLITE_IF}|\b(?:unless|until|when|whenever|once|whether|before|after|in case|as soon as|"
    r"hypothetically|suppos\w+|imagine|falls|wenn(?! möglich)|sofern|sobald|bevor|nachdem|bis|ob|dass)\b",
)
_DOUBT = _any(
    r"\b(?:maybe|perhaps|possibly|might|not (?:so |quite |really |yet )?(?:sure|certain)|unsure|undecided|"
    r"thinking|think (?:about|of|it)|consider\w*|wonder\w*|should (?:i|we)|later|tomorrow|some ?day|next (?:week|"
    r"month|year|time)|one day|theoretically|like|nothing|not yet|yet)\b",
    r"\b(?:vielleicht|eventuell|evtl|möglicherweise|womöglich|unsicher|sicher|überleg\w*|soll(?:te)? (?:ich|wir)|"
    r"später|morgen|erst|theoretisch|überhaupt|wohl|notfall|stelle)\b",
)
_QUOTED = _any(
    r"\b(?:said|says?|saying|told|tells?|wrote|writes?|written|reads?|asked|asks|suggest\w*|claims?|shows?|"
    r"typed|sag\w*|schr(?:ie|ei)b\w*|steht|meint\w*|lautet)\b"
)
"""Somebody else's words are near."""
_QUOTATION = re.compile(
    r"^[ \t]*>.*$|\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|»[^«]*«|(?<!\w)[‘'][^'\n]*'(?!\w)",
    re.MULTILINE,
)
"""Words that are passed on: marked, or of a message that is answered."""
_LEADS_NOT = _any(
    r"(?:\b(?:not|never|nicht|nie|circumstances|no case|fall)|n't|\bdont)(?: (?:want|wish|like|need|think))?\W*$",
    r"\bto \w+\W*$",
)
"""What follows belongs to a negation or to another verb: "do not, please, cancel"."""
_TAKEN_BACK = _any(
    r"\W*(?:(?:but|and|or|oh|wait|hm+|no|please|pls|actually|rather|better|on second thoughts?|sorry|aber|"
    r"und|oder|nein|ach|bitte|lieber|besser|moment|entschuldigung)\W+)*"
    r"(?:do not|don't|dont|not|no|nope|never|stop|wait|hold on|scratch that|nicht|nein|doch nicht|"
    r"lass(?:en sie)?(?: es| das)?(?: sein)?|halt|warten? sie|warte|moment)"
    r"(?:\W+(?:do it|do that|yet|please|pls|bitte|thanks|thank you|danke))*\W*"
)
"""A whole clause that takes back what was said before."""
_REVOKES = _any(
    r"\b(?:keep|keeping|still (?:need|want|like)|after all|ignore|forget|never ?mind|kidding|joking|undo|revoke|"
    r"leave (?:it|that|this|everything|the|my)|take (?:it|that|this) back|on (?:second thoughts?|reflection)|"
    r"actually|nothing|anyone|(?:asked|wrote|typed|pressed|request\w*|question|message)\b.*\b(?:mistake\w*|wrong|accident\w*))\b",
    r"\b(?:behalt\w*|doch|quatsch|scherz|verg(?:iss|essen)|ignorier\w*|erledigt|brauche (?:\w+ )?noch|lass\w*|nichts|"
    r"(?:nehme|ziehe) .*zurück|(?:geschrieben|gefragt|gebeten|frage|bitte)\b.*versehen\w*)\b",
)


@dataclass(frozen=True)
class Plain:
    """What a customer plainly asks for: the text of it, and where the words that ask for something stand
    in the message. `reserved` says that an action was spoken of otherwise."""

    text: str
    asked: frozenset[Span]
    reserved: bool


@dataclass(frozen=True)
class _Clause:
    """A clause, with what stands before and after it in its sentence."""

    start: int
    end: int
    text: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    sentence: int

    @property
    def questions(self) -> bool:
        return "?" in (self.after[-1] if self.after else self.text)

    @property
    def numbers(self) -> set[str]:
        return set(_NUMBER.findall(self.text))


def plainly(text: str, speaking: Callable[[str], Set[Span]]) -> Plain:
    """The plain requests of `text`, with what is said around them; `speaking` finds the actions' words.

    A text that speaks of no action stays as it is: it may answer a question.
    """
    text = straight(text)
    spans = speaking(text)
    if not spans:
        return Plain(text, frozenset(), reserved=False)
    clauses = [*_clauses(text)]
    said = {clause: _inside(clause, spans) for clause in clauses}
    passed_on = [quotation.span() for quotation in _QUOTATION.finditer(text)]
    own = {span for span in spans if not any(one <= span[0] < other for one, other in passed_on)}
    asked = {
        clause: found
        for clause in clauses
        if (found := frozenset(span for span in said[clause] & own if _asks(clause, span)))
    }
    nothing = Plain("", frozenset(), reserved=True)
    if not asked:
        return nothing
    last = max(clause.start for clause in asked)
    wanted = {number for clause in asked for number in clause.numbers}
    kept = []
    for clause in clauses:
        later = clause.start > last
        others = {n for n in clause.numbers - wanted if _shape(n) in {_shape(w) for w in wanted}}
        negated = _NEGATION.search(clause.text) is not None
        if clause in asked:
            kept.append(clause)
        elif said[clause]:
            if later and negated and not others:
                return nothing
        elif (later and takes_back(clause.text)) or (negated and clause.numbers & wanted):
            return nothing
        elif not others or (_continues(clause, asked) and not negated):
            kept.append(clause)
    return Plain(
        " ".join(clause.text for clause in kept),
        frozenset(span for found in asked.values() for span in found),
        reserved=any(said[clause] and clause not in asked for clause in clauses),
    )


def takes_back(clause: str) -> bool:
    """Whether a clause takes back or leaves open what was asked before."""
    return any((_TAKEN_BACK.fullmatch(clause), _REVOKES.search(clause), _DOUBT.search(clause)))


def is_plain_answer(text: str) -> bool:
    """Whether a message may be the answer to a question, as far as it takes nothing back and asks nothing."""
    text = straight(text)
    if "?" in text or _QUOTED.search(text):
        return False
    return not any(takes_back(clause.text) for clause in _clauses(text))


def without_reserve(text: str, speaking: Callable[[str], Set[Span]]) -> str:
    """`text` without the sentences that speak of something in a question, a negation or a doubt."""
    text = straight(text)
    spans = speaking(text)
    clauses = [*_clauses(text)]
    reserved = {
        clause.sentence
        for clause in clauses
        if _inside(clause, spans)
        and (
            (clause.questions and not _MAY_ASK.match(clause.text))
            or any(expression.search(clause.text) for expression in (_NEGATION, _DEPENDS, _DOUBT))
        )
    }
    return " ".join(clause.text for clause in clauses if clause.sentence not in reserved)


def is_state(phrase: str) -> bool:
    """Whether a word of the phrase has the form of something done."""
    return any(_DONE.fullmatch(word) for word in phrase.split())


def straight(text: str) -> str:
    """The text with one kind of apostrophe."""
    return re.sub("[’´`]", "'", text)


def sentences_of(text: str) -> list[str]:
    """The sentences of a message."""
    return [sentence[0] for sentence in _SENTENCE.finditer(text) if sentence[0].strip()]


def _clauses(text: str) -> Iterator[_Clause]:
    for number, sentence in enumerate(_SENTENCE.finditer(text)):
        if not sentence[0].strip():
            continue
        start = sentence.start()
        gaps = [start + gap.end() for gap in _CLAUSE_END.finditer(sentence[0])]
        edges = [start, *(gap for gap in gaps if gap < sentence.end()), sentence.end()]
        parts = [text[one:other] for one, other in pairwise(edges)]
        for at, (one, other) in enumerate(pairwise(edges)):
            before, after = tuple(parts[:at]), tuple(parts[at + 1 :])
            yield _Clause(one, other, parts[at], before, after, number)


def _inside(clause: _Clause, spans: Set[Span]) -> frozenset[Span]:
    return frozenset(span for span in spans if clause.start <= span[0] < clause.end)


def _continues(clause: _Clause, asked: Iterable[_Clause]) -> bool:
    """Whether a clause goes on with a request of its sentence."""
    return any(one.sentence == clause.sentence and one.start < clause.start for one in asked)


def _asks(clause: _Clause, span: Span) -> bool:
    """Whether the words at `span` stand in a request form, with nothing around that spoils it."""
    before = clause.text[: span[0] - clause.start]
    word = clause.text[len(before) :]
    rest = re.sub(r"^\w+", "", word)
    if clause.questions and not _MAY_ASK.match(clause.text):
        return False
    if not _in_form(before, word, rest):
        return False
    if any(word[:4].lower() == noun[0][:4].lower() for noun in _NOUN.finditer(rest)):
        return False  # "cancel the cancellation"
    return not _NEGATION.search(rest) and not any(_LEADS_NOT.search(part) for part in clause.before)


def _in_form(before: str, word: str, rest: str) -> bool:
    done, noun = _DONE.match(word), _NOUN.match(word)
    if not done and not noun and (_VERB_NEXT.fullmatch(before) or _CHANGED_NEXT.fullmatch(before)):
        return True
    if not done and _THING_NEXT.fullmatch(before):
        return True
    if not _END.fullmatch(rest):
        return False
    last = _DONE_NEXT if done else _GERMAN_LAST if _INFINITIVE.match(word) else None
    found = last.fullmatch(before) if last else None
    return found is not None and not any(e.search(found["thing"]) for e in (_NEGATION, _NO_THING))


_NO_THING = _any(r"\b(?:to|that|who|you|was|were|is|been|are|for|mich|mir|wer|wie|behalten)\b")
"""Words that no thing has in its name."""


def _shape(number: str) -> str:
    """What a number looks like: "W-00" of "w-17"."""
    return re.sub(r"\d", "0", number).upper()
