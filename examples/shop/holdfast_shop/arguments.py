"""What the shop's reads and actions are called with.

Patterns of ids stand in the JSON schema for the model's sake and are not enforced: a wrong id is
answered by the lookup ("Order not found"), which says more than a validation error would.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

CANCEL_REASONS = ("no longer needed", "ordered by mistake")


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters, which Postgres cannot store")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_storable)]

OrderId = Annotated[
    Text,
    Field(
        description="The order's id: '#W' and 7 digits.",
        examples=["#W1234567"],
        json_schema_extra={"pattern": r"^#W\d{7}$"},
    ),
]
UserId = Annotated[
    Text,
    Field(
        description="The customer's user id: first name, last name and digits.",
        examples=["mara_lind_4821"],
        json_schema_extra={"pattern": r"^[a-z]+_[a-z]+_\d+$"},
    ),
]
ProductId = Annotated[
    Text,
    Field(
        description="The product's id, 10 digits; not to be confused with an item id.",
        examples=["1234567890"],
        json_schema_extra={"pattern": r"^\d{10}$"},
    ),
]
ItemId = Annotated[
    Text,
    Field(
        description="The id of an item, which is one variant of a product: 10 digits.",
        examples=["1234567890"],
        json_schema_extra={"pattern": r"^\d{10}$"},
    ),
]
PaymentMethodId = Annotated[
    Text,
    Field(
        description="The id of one of the customer's payment methods, as in their profile.",
        examples=["gift_card_1234567", "credit_card_1234567", "paypal_1234567"],
        json_schema_extra={"pattern": r"^(credit_card|gift_card|paypal)_\d+$"},
    ),
]
Zip = Annotated[
    Text,
    Field(
        description="The zip code, 5 digits.",
        examples=["94107"],
        json_schema_extra={"pattern": r"^\d{5}$"},
    ),
]
ItemIds = Annotated[
    list[ItemId],
    Field(
        min_length=1,
        max_length=100,
        description="The ids of the order's items concerned; an item ordered twice may be named twice.",
    ),
]
NewItemIds = Annotated[
    list[ItemId],
    Field(
        min_length=1,
        max_length=100,
        description="For each of `item_ids`, in the same order, the id of the item to have instead: "
        "another available variant of the same product.",
    ),
]


class Arguments(BaseModel):
    """Arguments of a read or an action: immutable, and unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Address(Arguments):
    """A postal address."""

    address1: Annotated[
        Text,
        Field(min_length=1, description="Street and number.", examples=["12 Harbor Street"]),
    ]
    address2: Annotated[
        Text,
        Field(description="Apartment, suite or floor; empty if none.", examples=["Suite 4", ""]),
    ]
    city: Annotated[Text, Field(min_length=1, description="The city.", examples=["Portland"])]
    state: Annotated[
        Text,
        Field(
            description="The state, as its two letters.",
            examples=["OR"],
            json_schema_extra={"pattern": r"^[A-Z]{2}$"},
        ),
    ]
    country: Annotated[Text, Field(min_length=1, description="The country.", examples=["USA"])]
    zip: Zip

    def as_record(self) -> dict[str, str]:
        """The address alone, also where the arguments name an order or a user besides."""
        return {name: getattr(self, name) for name in Address.model_fields}

    def in_words(self) -> str:
        """The address in one line."""
        return address_in_words(self.as_record())


def address_in_words(record: dict[str, str]) -> str:
    """An address record in one line: '12 Harbor Street, Suite 4, Portland, OR 97201, USA'."""
    streets = [line for line in (record["address1"], record["address2"]) if line]
    return ", ".join(
        [*streets, record["city"], f"{record['state']} {record['zip']}", record["country"]]
    )


class CancelPendingOrder(Arguments):
    order_id: OrderId
    reason: Annotated[
        Text,
        Field(
            description="Why the customer cancels; no other reason is accepted.",
            json_schema_extra={"enum": list(CANCEL_REASONS)},
        ),
    ]


class ModifyPendingOrderAddress(Address):
    order_id: OrderId


class ModifyUserAddress(Address):
    user_id: UserId


class ModifyPendingOrderPayment(Arguments):
    order_id: OrderId
    payment_method_id: PaymentMethodId


class ReturnItems(Arguments):
    order_id: OrderId
    item_ids: ItemIds
    payment_method_id: PaymentMethodId


class SwapItems(Arguments):
    """Items of an order, and the variants to have instead."""

    order_id: OrderId
    item_ids: ItemIds
    new_item_ids: NewItemIds
    payment_method_id: PaymentMethodId
