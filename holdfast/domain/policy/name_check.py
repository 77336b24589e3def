"""What conditions and windows name, compared with what the actions and customers of packages have."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from holdfast.domain.policy.conditions import Condition
from holdfast.domain.policy.rules import Policy, PolicyInput

_CONVERSATION = ("id", "priority", "language", "age", "turns")
_SUMS = ("+", "-", "*", "/", "%", "<", "<=", ">", ">=")
_ANYTHING: dict[str, Any] = {}

Location = tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class KnownAction:
    """What conditions on an action may look at. `facts` are the names that it declares, None for any."""

    arguments: type[BaseModel]
    facts: Collection[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that no condition will ever see, or see as meant; `at` is where in the policy."""

    at: Location
    text: str


def check_names(
    policy: Policy, actions: Mapping[str, KnownAction], customer: Collection[str] | None = None
) -> Iterator[Problem]:
    """What is wrong with the names in a policy.

    Names of actions that are not in `actions` are passed over, unless they look like one that is misspelt.
    `customer` are the names that packages declare besides `id`, None for any.
    """
    for action, place in policy.named_actions().items():
        if action not in actions and (near := difflib.get_close_matches(action, actions, n=1)):
            yield Problem(at=place, text=f"no package brings {action!r}; is {near[0]} meant?")
    for name, rules in policy.actions.items():
        if (known := actions.get(name)) is None:
            continue
        seen = _seen_by(policy, known, customer)
        for index, rule in enumerate(rules):
            if rule.condition is not None:
                for text in _problems_of(rule.condition, seen):
                    yield Problem(at=("actions", name, index, "when"), text=text)
    for name, window in policy.windows.items():
        for action in window.actions:
            at = ("windows", name, "amount")
            if (known := actions.get(action)) is None:
                continue
            amount = tuple(window.amount.split("."))
            found = _follow(_seen_by(policy, known, customer), amount)
            if isinstance(found, str):
                yield Problem(at=at, text=f"for {action}: {found}")
            elif _is_text(found):
                yield Problem(
                    at=at, text=f"for {action}: {window.amount} is {_TEXT}, which counts nothing"
                )


_TEXT = "a text in JSON (as decimals are)"


def _seen_by(
    policy: Policy, action: KnownAction, customer: Collection[str] | None
) -> dict[str, Any]:
    """What conditions on an action see, as a JSON schema."""
    try:
        arguments = action.arguments.model_json_schema(mode="serialization", by_alias=False)
    except PydanticInvalidForJsonSchema:
        arguments = _ANYTHING
    number = {"type": "number"}
    roots: dict[str, Any] = dict.fromkeys(PolicyInput.model_fields, _ANYTHING) | {
        "args": arguments,
        "facts": _object(action.facts),
        "customer": _object(None if customer is None else {"id", *customer}),
        "conversation": _object(_CONVERSATION),
        "windows": {"properties": dict.fromkeys(policy.windows, number)},
    }
    return {"properties": roots, "$defs": arguments.get("$defs", {})}


def _object(names: Collection[str] | None) -> dict[str, Any]:
    return _ANYTHING if names is None else {"properties": dict.fromkeys(names, _ANYTHING)}


def _problems_of(condition: Condition, seen: dict[str, Any]) -> Iterator[str]:
    for path in sorted(condition.paths()):
        if isinstance(problem := _follow(seen, path), str):
            yield problem
    for node in condition.tree.walk():
        if node.text not in _SUMS:
            continue
        paths = [found for part in node.parts if (found := part.inner.path()) is not None]
        numbers = any(part.is_number for part in node.parts)
        numbers |= any(found[0] == "windows" for found in paths)
        for path in paths if numbers else []:
            if _is_text(_follow(seen, path)):
                name = ".".join(path)
                yield f"{name} is {_TEXT}: write double({name}) beside a number"


def _follow(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | str:
    """The schema at a path; a text that says what is wrong where there can be nothing."""
    definitions = schema.get("$defs", {})
    here = [schema]
    for depth, name in enumerate(path):
        choices = [one for part in here for one in _choices(part, definitions)]
        if any(not _is_closed(one) for one in choices):
            return _ANYTHING
        known = sorted({name for one in choices for name in one.get("properties", {})})
        here = [one["properties"][name] for one in choices if name in one.get("properties", {})]
        if not here:
            before = ".".join(path[:depth])
            near = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"; is {near[0]} meant?" if near else f"; it has {', '.join(known) or 'no names'}"
            )
            return f"{before} has no {name!r}{hint}"
    return {"anyOf": [one for part in here for one in _choices(part, definitions)]}


def _choices(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a value may be, without null."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _choices(definitions.get(name, _ANYTHING), definitions)
    elif "anyOf" in schema or "oneOf" in schema:
        for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            yield from _choices(one, definitions)
    elif schema.get("type") != "null":
        yield schema


def _is_closed(schema: dict[str, Any]) -> bool:
    """Whether it is known which names a value has: not so for a map, a list, or anything at all."""
    if "properties" in schema:
        return schema.get("additionalProperties", False) is False
    return schema.get("type") in ("string", "number", "integer", "boolean")


def _is_text(found: dict[str, Any] | str) -> bool:
    choices = found.get("anyOf", []) if isinstance(found, dict) else []
    return bool(choices) and all(one.get("type") == "string" for one in choices)
