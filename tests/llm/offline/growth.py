"""Reads texts that are hard for expressions: run in a process of its own, which hangs where one can't cope.

A text repeats a fragment of an expression's own words up to the longest message that may be understood, and
ends in something that nothing expects. `read_hostile_texts` gives such texts to every expression, and to the
offline model.
"""

import asyncio
import importlib
import pkgutil
import random
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
from pydantic import BaseModel

from holdfast.contract.hints import Hints
from holdfast.llm import offline
from holdfast.llm.offline import MODEL, OfflineTransport
from holdfast.llm.offline.builtin import BUILTIN
from holdfast.llm.offline.request import LONGEST_REQUEST

_URL = "http://offline/v1/chat/completions"
_OTHERS = ("1", "w1", "#", "@", ",", "-", ".", "?", "zz")
_JOINTS = (" ", " ", ", ", "\n", "")
_MIXED = 20
"""Fragments of several words for each expression, besides each of its words alone."""


def expressions_in(room: str) -> Iterator[re.Pattern[str]]:
    """The expressions that the modules of a package hold."""
    package = importlib.import_module(room)
    for found in pkgutil.iter_modules(package.__path__, f"{room}."):
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, re.Pattern):
                yield value


def expressions_of(hints: Hints) -> Iterator[re.Pattern[str]]:
    """The expressions among the hints' texts."""
    for text in _texts(hints):
        if "\\" in text:
            yield re.compile(text, re.IGNORECASE)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case BaseModel():
            for name in type(value).model_fields:
                yield from _texts(getattr(value, name))
        case dict():
            yield from _texts([*value, *value.values()])
        case list() | tuple():
            for part in value:
                yield from _texts(part)
        case _:
            pass


def hostile(expression: re.Pattern[str], chance: random.Random) -> Iterator[str]:
    """Texts from an expression's own words."""
    literal = re.sub(r"\\[a-zA-Z]|\(\?\w?<\w+>|\(\?i?:", " ", expression.pattern)
    words = [*sorted(set(re.findall(r"[^\W\d_]+", literal))), *_OTHERS]
    fragments = [f"{word} " for word in words]
    for _ in range(_MIXED):
        chosen = chance.choices(words, k=chance.randint(2, 3))
        fragments.append("".join(word + chance.choice(_JOINTS) for word in chosen))
    for fragment in fragments:
        yield (fragment * LONGEST_REQUEST)[: LONGEST_REQUEST - 3] + " ~~"


async def read_hostile_texts(
    expressions: Iterable[re.Pattern[str]], hints: Hints, seed: int
) -> None:
    """Has every expression and the offline model read hostile texts."""
    chance = random.Random(seed)
    asked: list[str] = []
    for expression in expressions:
        texts = [*hostile(expression, chance)]
        for text in texts:
            expression.match(text)
            expression.fullmatch(text)
        asked.extend(chance.sample(texts, 2))
    async with httpx2.AsyncClient(transport=OfflineTransport([hints])) as client:
        for text in asked:
            for said in (text, text + " please cancel order B-7", text * 16):
                for request in _requests(said, hints):
                    (await client.post(_URL, json=request)).raise_for_status()


def _requests(said: str, hints: Hints) -> Iterator[dict[str, Any]]:
    """The same message for a triage, an agent with tools, the help centre, and small talk."""
    agents = {"enum": [*hints.intents, "general", "person"]}
    fields = {"agent": agents, "intent": {"type": "string"}, "confidence": {"type": "number"}}
    schema = {"type": "object", "properties": fields}
    tools = [
        {"name": name, "parameters": {"properties": {n: {"type": "string"} for n in hint.patterns}}}
        for name, hint in hints.tools.items()
    ]
    sources = "\n".join(f"[{n}] Returns\nYou can cancel an order in {n} days." for n in range(1, 5))
    spoken = {"model": MODEL, "messages": [{"role": "user", "content": said}]}
    yield spoken
    form = {"type": "json_schema", "json_schema": {"name": "assessment", "schema": schema}}
    yield {**spoken, "response_format": form}
    yield {**spoken, "tools": [{"type": "function", "function": tool} for tool in tools]}
    yield {**spoken, "messages": [{"role": "system", "content": sources}, *spoken["messages"]]}


if __name__ == "__main__":
    from tests.llm.offline.test_reserve import PHRASES

    built_in = [*expressions_in(offline.__name__), *expressions_of(BUILTIN)]
    asyncio.run(read_hostile_texts(built_in, PHRASES, seed=int(sys.argv[1])))
