"""The JSON schema of a structured answer, in the strict form where the model's fields allow it.

A provider that is given a strict schema generates nothing else, but takes only a part of JSON
schema: objects whose fields are all required and named, unions as `anyOf`, no constraints on values.
What is left out here is told to the model in words, and pydantic checks it afterwards.
"""

import re
from functools import cache
from typing import Any

from pydantic import BaseModel

_UNIONS = ("anyOf", "oneOf")
_STRUCTURE = {"type", "enum", "title", "description"}
_CONSTRAINTS = (
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
)
_HANDLED = {"properties", "required", "additionalProperties", "items", "$ref", "$defs", "const"}
_DROPPED = {"default", "discriminator", "examples", "deprecated"}
_KNOWN = _STRUCTURE | _HANDLED | _DROPPED | {*_CONSTRAINTS, *_UNIONS}


class _NotStrict(Exception):
    pass


@cache
def response_format(schema: type[BaseModel]) -> dict[str, Any]:
    """The `response_format` of a request whose answer shall fit `schema`; not to be changed."""
    described = schema.model_json_schema()
    name = re.sub(r"[^A-Za-z0-9_-]", "_", schema.__name__)[:64]
    try:
        if described.get("type") != "object":
            raise _NotStrict
        wanted = {"name": name, "strict": True, "schema": _strict(described)}
    except _NotStrict:
        wanted = {"name": name, "strict": False, "schema": described}
    return {"type": "json_schema", "json_schema": wanted}


def _strict(node: dict[str, Any]) -> dict[str, Any]:
    if not node.keys() <= _KNOWN or not node.keys() & {"type", "enum", "const", "$ref", *_UNIONS}:
        raise _NotStrict
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    result = {key: value for key, value in node.items() if key in _STRUCTURE}
    if "const" in node:
        result["enum"] = [node["const"]]
    if limits := [f"{key} {node[key]}" for key in _CONSTRAINTS if key in node]:
        result["description"] = f"{node.get('description', '')} ({', '.join(limits)})".strip()
    if node.get("type") == "object":
        if "properties" not in node or node.get("additionalProperties", False) is not False:
            raise _NotStrict
        result["properties"] = _each(node["properties"])
        result["required"] = list(node["properties"])
        result["additionalProperties"] = False
    if node.get("type") == "array":
        result["items"] = _strict(node.get("items", {}))
    for union in _UNIONS:
        if union in node:
            result["anyOf"] = [_strict(choice) for choice in node[union]]
    if "$defs" in node:
        result["$defs"] = _each(node["$defs"])
    return result


def _each(named: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: _strict(node) for name, node in named.items()}
