"""Structured answers are asked for strictly where the schema allows it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from holdfast.llm.schema import response_format


class Item(BaseModel):
    name: str
    count: Annotated[int, Field(ge=1, le=9)] = 1


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    size: Literal["s", "l"]


class Order(BaseModel):
    items: list[Item]
    note: str | None = None
    main: Item = Field(description="the one that matters")
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Loose(BaseModel):
    values: dict[str, str]


class Anything(BaseModel):
    value: Any


class Pair(BaseModel):
    pair: tuple[int, str]


class Generic(BaseModel):
    nested: "Generic | None" = None


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    wanted: dict[str, Any] = response_format(model)["json_schema"]
    return wanted


def test_every_field_is_required_and_no_other_is_allowed() -> None:
    wanted = schema_of(Order)
    assert wanted["strict"] is True
    schema = wanted["schema"]
    assert schema["required"] == ["items", "note", "main", "pet"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}
    assert schema["properties"]["main"] == {"$ref": "#/$defs/Item"}
    assert schema["$defs"]["Item"]["required"] == ["name", "count"]


def test_unions_become_any_of_and_constants_enumerations() -> None:
    schema = schema_of(Order)["schema"]
    assert schema["properties"]["pet"]["anyOf"] == [
        {"$ref": "#/$defs/Cat"},
        {"$ref": "#/$defs/Dog"},
    ]
    assert schema["$defs"]["Cat"]["properties"]["kind"]["enum"] == ["cat"]
    assert schema["properties"]["note"]["anyOf"] == [{"type": "string"}, {"type": "null"}]


def test_constraints_are_told_in_words() -> None:
    count = schema_of(Order)["schema"]["$defs"]["Item"]["properties"]["count"]
    assert count["description"] == "(minimum 1, maximum 9)"
    assert not count.keys() & {"minimum", "maximum", "default"}


def test_schemas_that_cannot_be_strict_are_sent_as_they_are() -> None:
    for model in (Loose, Anything, Pair):
        wanted = schema_of(model)
        assert wanted["strict"] is False
        assert wanted["schema"] == model.model_json_schema()


def test_a_recursive_root_is_sent_as_it_is() -> None:
    assert schema_of(Generic)["strict"] is False
