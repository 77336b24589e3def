"""Which messages are the orders agent's, and which the help centre's."""

_WISH = r"\b(want|like|need|wish|please|let me|can you|could you|can we)\b"
_WHETHER_ONE_CAN = (
    r"^\W*(can|may|could|must|should) (i|we|one)\b(?![^.?!]*(#?\bw\d{7}|\bmy\b|\bcancel it\b))"
)

INTENTS: dict[str, tuple[str, ...]] = {
    "orders": (
        r"#?\bw\d{7}\b",
        r"\b(my|this|that) ([\w-]+ )?(orders?|parcels?|packages?|delivery|purchases?|items?)\b",
        r"\b(where|when)\b[^.?!]*\b(my|order|parcel|package)\b",
        r"\btrack(ing)?\b",
        rf"{_WISH}[^.?!]*\b(return|exchange|swap|cancel|refund|change|replace|order)\b"
        rf"|{_WISH}(?>[^.?!]*?\bsend)[^.?!]*back\b",
        r"^\W*(cancel|return|exchange|swap|change|track|refund|send|ship|modify|update)\b",
        rf"^(?!{_WHETHER_ONE_CAN})[\s\S]*"
        r"\b(cancel|modify|change|update|switch)\b[^.?!]*\b(order|address|payment|items?|size|colou?r)\b",
        r"\b(send|ship|deliver)\b[^.?!]*\b(to|instead)\b",
        r"\bmy (profile|account|([\w-]+ )?address|gift card|balance|payment methods?|e-?mail)\b",
        r"\b(what|which) (products|items|things) do you (sell|have|offer)\b|\bwhat do you sell\b",
        r"\bin stock\b|\bdo you sell\b",
        r"\bfraud|\b(charged|billed) (me )?(twice|double|too much)\b",
        r"^\W*do you (sell|stock|carry)\b",
        r"\b(colou?rs?|sizes?|variants?|options)\b[^.?!]*\b(come|available|there|have|offer)\b",
    ),
    "knowledge": (
        r"\b(how long|how many days|until when)\b[^.?!]*\b(return|exchange|refund|deliver|ship|cancel|take)",
        r"\b(return|refund|exchange|shipping|delivery|cancellation|privacy|payment) "
        r"(policy|policies|rules?|costs?|fees?|times?|options|methods do you)\b",
        r"\bwhen\b[^.?!]*\b(refund|money)\b",
        r"\bwhen\b(?>[^.?!]*?\b(get|receive|see|have)\b)[^.?!]*\b(refund|money)\b",
        r"^\W*how (do|can|would) (i|we|one) (?![^.?!]*(#?\bw\d{7}|\bmy\b))",
        _WHETHER_ONE_CAN,
        r"^\W*why\b[^.?!]*\b(colleague|person|human|confirm|check|approv|agree)",
        r"\b(ship|deliver) (to|abroad|internationally|on)\b[^.?!]*\?",
        r"\b(gift wrap|gift cards? work|customs|duties|abroad|internationally|opened|unopened|used items?)\b",
        r"\bhow (big|large|small|warm|do[^.?!]*fit)\b",
        r"\bhow (much|long|fast)\b[^.?!]*\b(shipping|delivery|postage|refunds?)\b",
    ),
}
