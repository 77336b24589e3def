"""When the shop's tools are called, by their names; writes come first, so that they win a tie."""

from holdfast import ToolHint
from holdfast_shop.hints import telling
from holdfast_shop.hints.finding import (
    ORDER_FORM,
    ORDER_ID,
    address_part,
    in_their_words,
    items_to,
    named_method,
    new_items,
    own_order,
    product,
)
from holdfast_shop.orders.wording import DOING, GERMAN

_ASKS_A_RULE = r"^\W*(how (long|do|can|does|much)|what (is|are) your|do you|is it possible)\b"
_ADDRESS_QUESTION = "To which address? Please write it in full: street and number, city, two-letter state, zip code."
_NOT_NEEDED = (
    r"\b(?:I|we) (?:no longer (?:need|want)|(?:don['’]?t|do not) (?:need|want))"
    r" (?:it|them|this|that|(?:(?:the|my|this) )?(?:order|#?w\d{7}))\b(?! (?:help|to)\b)"
    r"|(?:^|[,.;:]|\b(?:is|it['’]s|are|they['’]re))\s*(?:no longer|not) needed\b(?! to\b)"
    r"|\bI(?: have|['’]ve)? changed my mind\b"
    r"|\bbrauchen? (?:ich |wir )?(?:sie|es|das|die bestellung) nicht mehr\b"
    r"|(?:^|[,.;:])\s*nicht mehr (?:gebraucht|benötigt|nötig)\b"
)
_BY_MISTAKE = (
    r"\b(?:ordered|bought|placed)\b[^.?!,;]*\b(?:by (?:mistake|accident)|mistakenly|accidentally|twice)\b"
    r"|\b(?:mistakenly|accidentally) (?:ordered|bought|placed)\b"
    r"|(?:^|[,.;:]|\b(?:because|since))\s*(?:sorry,? )?(?:(?:it|that|this) was )?(?:by|a) (?:mistake|accident)\b"
    r"|\b(?:aus versehen|versehentlich)\b[^.?!,;]*\bbestellt\b|\bbestellt\b[^.?!,;]*\b(?:versehentlich|versehen)\b"
    r"|(?:^|[,.;:]|\b(?:weil|denn))\s*(?:(?:es|das) war )?(?:ein versehen|aus versehen|versehentlich)\s*(?:$|[.,;!])"
)
"""What is said of the order, rather than of having asked: "I asked that by mistake" is no reason."""
_NO_FIT = r"\b(?:it|this|that|they) (?:does not|doesn['’]?t|do not|don['’]?t) fit\b"
_MOVED = r"\b(?:I|we)(?: have|['’]ve)? moved\b"
_WRITES = (
    r"\bcancel|\bstornier|\bzurück(geben|send|schick)|\breturn|\bexchang|\bswap|\breplace|\bchange\b|\bmodify|\bswitch\b|\brefund|\baddress\b"
    r"|\bpay\b|\bpayment\b|\b(send|ship|deliver)\b[^?]*\b(to|back|instead)\b"
)
_ADDRESS_PARTS = ("address1", "address2", "city", "state", "country", "zip")
_ADDRESS = {part: address_part(part) for part in _ADDRESS_PARTS}
_ADDRESS_QUESTIONS = dict.fromkeys(_ADDRESS_PARTS, _ADDRESS_QUESTION)
_DELIVERED = r"\b(delivered|received|arrived|got|came|have)\b"


def _on_an_order(**more: object) -> ToolHint:
    """A hint whose order is stated by its number or looked up among the customer's."""
    order = {
        "patterns": {"order_id": ORDER_ID},
        "forms": {"order_id": ORDER_FORM},
        "questions": {"order_id": "Which order is it? Its number begins with #W."},
    }
    merged = {name: {**value, **_part(more, name)} for name, value in order.items()}
    lookups = {"order_id": own_order(), **_part(more, "lookups")}
    return ToolHint.model_validate({**more, **merged, "lookups": lookups})


def _part(more: dict[str, object], name: str) -> dict[str, object]:
    value = more.get(name, {})
    return value if isinstance(value, dict) else {}


TOOLS: dict[str, ToolHint] = {
    "transfer_to_human_agents": ToolHint(
        phrases=(
            r"\b(human|real person|representative|supervisor|manager|somebody real)\b",
            r"\b(talk|speak) (to|with) (a|an|your|some)\b",
            r"\bfraud|\b(charged|billed) (me )?(twice|double|too much)\b|\blawyer\b",
        ),
        lookups={"summary": in_their_words("The customer needs a person: ")},
        say=telling.transferred,
    ),
    "cancel_pending_order": _on_an_order(
        phrases=(r"\bcancel|\bstornier", r"\bcancel\w*\b[^.?!]*\border\b"),
        unless=(_ASKS_A_RULE, r"\bcancellation policy\b"),
        after="get_order_details",
        values={
            "reason": {
                _NOT_NEEDED: "no longer needed",
                _BY_MISTAKE: "ordered by mistake",
            }
        },
        questions={
            "reason": "Why would you like to cancel it: is it no longer needed, or was it ordered "
            "by mistake?"
        },
        doing=DOING["cancel_pending_order"],
        doing_in={"de": GERMAN["cancel_pending_order"]},
    ),
    "return_delivered_order_items": _on_an_order(
        phrases=(
            r"\breturn|\bzurück(geben|send|schick)",
            r"\bsend\b[^.?!]*\bback\b",
            r"\bgive\b[^.?!]*\bback\b",
            r"\brefund\b",
        ),
        unless=(_ASKS_A_RULE, r"\bstatus\b|\bwhen\b|\bexchang|\bswap\b|\breturn address\b"),
        lookups={
            "item_ids": items_to("return"),
            "payment_method_id": named_method(otherwise_original=True),
        },
        doing=DOING["return_delivered_order_items"],
        doing_in={"de": GERMAN["return_delivered_order_items"]},
        beside=(_NO_FIT, _NOT_NEEDED, _BY_MISTAKE),
    ),
    "exchange_delivered_order_items": _on_an_order(
        phrases=(
            r"\bexchang|\bswap",
            rf"\b(replace|change|switch)\b(?:[^.?!]*\n)?(?>[^.?!\n]*?\bfor\b).*{_DELIVERED}",
        ),
        unless=(_ASKS_A_RULE, r"\bpending\b"),
        lookups={
            "item_ids": items_to("exchange"),
            "new_item_ids": new_items("exchange"),
            "payment_method_id": named_method(otherwise_original=True),
        },
        doing=DOING["exchange_delivered_order_items"],
        doing_in={"de": GERMAN["exchange_delivered_order_items"]},
        beside=(_NO_FIT, _NOT_NEEDED, _BY_MISTAKE),
    ),
    "modify_user_address": ToolHint(
        phrases=(
            r"\b(profile|account|default)\b[^.?!]*\baddress\b",
            r"\bmy ([\w-]+ )?address\b",
            _MOVED,
            r"\baddress\b[^.?!]*\b(profile|account)\b",
        ),
        unless=(ORDER_ID, r"\border\b|\bparcel\b|\bshipping address\b|\bwhat('s| is)\b"),
        lookups=_ADDRESS,
        defaults={"address2": ""},
        questions=_ADDRESS_QUESTIONS,
        doing=DOING["modify_user_address"],
        doing_in={"de": GERMAN["modify_user_address"]},
    ),
    "modify_pending_order_address": _on_an_order(
        phrases=(
            r"\b(send|ship|deliver|redirect|reroute|forward)\b[^?]*\b(to|instead|elsewhere)\b",
            r"\b(shipping|delivery) address\b",
            r"\b(change|update|modify|correct|different|new|wrong)\b[^.?!]*\baddress\b",
        ),
        unless=(_ASKS_A_RULE, r"\b(profile|account|default) address\b|\bback\b"),
        after="get_order_details",
        lookups=_ADDRESS,
        defaults={"address2": ""},
        questions=_ADDRESS_QUESTIONS,
        doing=DOING["modify_pending_order_address"],
        doing_in={"de": GERMAN["modify_pending_order_address"]},
        beside=(_MOVED,),
    ),
    "modify_pending_order_payment": _on_an_order(
        phrases=(
            r"\b(change|switch|update|move|use|put)\b[^.?!]*\b(payment|gift card|paypal|credit card)\b",
            r"\bpay\b(?>[^.?!]*?\b(with|by)\b)[^.?!]*\b(gift card|paypal|card)\b",
        ),
        unless=(_ASKS_A_RULE, r"\breturn|\bexchang|\brefund"),
        lookups={"payment_method_id": named_method(otherwise_original=False)},
        doing=DOING["modify_pending_order_payment"],
        doing_in={"de": GERMAN["modify_pending_order_payment"]},
    ),
    "modify_pending_order_items": _on_an_order(
        phrases=(
            r"\b(change|switch|modify|replace)\b[^.?!]*\b(colou?r|size|item|to (a|the)|for (a|the)|"
            r"into)\b",
        ),
        unless=(_ASKS_A_RULE, r"\baddress\b|\bpayment\b|\bpay\b|\bgift card\b"),
        lookups={
            "item_ids": items_to("change"),
            "new_item_ids": new_items("change"),
            "payment_method_id": named_method(otherwise_original=True),
        },
        doing=DOING["modify_pending_order_items"],
        doing_in={"de": GERMAN["modify_pending_order_items"]},
    ),
    "get_user_details": ToolHint(
        phrases=(
            r"\b(my|all|list|show|which|what)\b[^.?!]*\borders\b",
            r"\bmy ([\w-]+ )?(profile|account|e-?mail|address|payment methods?|gift card|balance)\b",
        ),
        unless=(ORDER_ID,),
        then=telling.details_of_orders,
        say=telling.profile,
    ),
    "get_order_details": _on_an_order(
        phrases=(
            ORDER_ID,
            r"\border\b|\bparcel\b|\bpackage\b|\bdelivery\b",
            r"\bwhere\b|\bwhen\b|\bstatus\b|\btrack|\barriv|\bshipped\b|\bdelivered\b",
        ),
        unless=(_WRITES,),
        doing="find order {order_id}",
        say=telling.order,
    ),
    "list_all_product_types": ToolHint(
        phrases=(r"\b(products|what|which)\b[^.?!]*\bsell\b|\bcatalog|\bproduct (list|range)\b",),
        say=telling.product_types,
    ),
    "get_product_details": ToolHint(
        phrases=(
            r"\bin stock\b|\bavailable\b|\bvariants?\b|\b(which|what) (colou?rs?|sizes?|options)\b",
            r"\bhow much (is|are|does|do)\b|\bprice of\b|\bdo you (sell|have)\b",
        ),
        unless=(ORDER_ID, _WRITES),
        lookups={"product_id": product()},
        say=telling.product,
    ),
    "get_item_details": ToolHint(),
    "calculate": ToolHint(
        phrases=(r"\bcalculate\b|\bhow much is [\d(]|\bwhat is [\d(]",),
        patterns={"expression": r"((?<!\w)[\d(][\d+\-*/(). ]*[\d)])"},
        say=telling.sum_of,
    ),
    "find_user_id_by_email": ToolHint(),
    "find_user_id_by_name_zip": ToolHint(),
}
