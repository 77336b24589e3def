"""Reading JSON schemas: references, alternatives, enumerations."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue


def resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """The schema itself, behind references and alternatives; `nullable` where null is allowed."""
    if "$ref" in schema:
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        return resolve({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, root)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            alternatives = schema[key]
            real = [one for one in alternatives if one.get("type") != "null"]
            rest = {k: v for k, v in schema.items() if k != key}
            chosen = {**resolve(real[0], root), **rest} if real else {"type": "null"}
            return {**chosen, "nullable": True} if len(real) < len(alternatives) else chosen
    return dict(schema)


def enum_of(schema: Mapping[str, Any]) -> list[JsonValue]:
    """The values that an enumeration allows; none for anything else."""
    return [value for value in schema.get("enum", ()) if value is not None]


def kind_of(schema: Mapping[str, Any]) -> str:
    """The JSON type, the first that is not null where several are allowed."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        return next((str(one) for one in kind if one != "null"), "null")
    return str(kind)
