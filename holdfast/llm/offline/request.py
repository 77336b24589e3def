"""A chat-completions request as the offline model reads it."""

import json
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from holdfast.contract.hints import AnsweredCall
from holdfast.domain.words import language_of

_OPTION = re.compile(r"^[^\S\n]*[-*]\s+`?([\w.-]+)`?:\s+(\S.*)$", re.MULTILINE)
SOURCE = re.compile(r"^\[(\d{1,9})\] (.+)$", re.MULTILINE)
"""The line above each numbered source in a system prompt."""
_FACT = re.compile(r"^[^\S\n]*([A-Za-z_]\w*):\s+(\S.*)$", re.MULTILINE)

LONGEST_REQUEST = 1_000
"""Characters of the longest message, or messages together, that may be understood. Nobody asks plainly for
something in more, and what the rules' expressions cost grows faster than the text."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Function(_Part):
    """A tool's name, description, and JSON schema of its arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.parameters.get("properties", {})
        return found

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.parameters.get("required", ()))


class _Tool(_Part):
    function: Function


class _Called(_Part):
    name: str
    arguments: str


class _Call(_Part):
    id: str
    function: _Called


class _TextPart(_Part):
    text: str = ""


class Message(_Part):
    """One message; `text` joins the parts of a content given in parts."""

    role: str
    content: str | list[_TextPart] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class _JsonSchema(_Part):
    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Part):
    """The form of the answer: plain text, or a JSON value of a schema."""

    type: str
    json_schema: _JsonSchema | None = None


class ChatRequest(_Part):
    """What was asked. Sampling parameters mean nothing to rules and are not read."""

    messages: list[Message] = Field(min_length=1)
    tools: list[_Tool] = Field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    response_format: ResponseFormat | None = None
    stream: bool = False
    n: int | None = None

    @property
    def functions(self) -> tuple[Function, ...]:
        return tuple(tool.function for tool in self.tools)

    def legible(self) -> "ChatRequest":
        """The same request as rules can read it: the customer's white space is regular, and nothing is there
        from before a message of theirs, other than the latest, that is too long to be understood."""
        regular = self.in_other_words(_regular)
        customers = [at for at, m in enumerate(regular.messages) if m.role == "user"]
        long = [at for at in customers[:-1] if _is_long(regular.messages[at].text)]
        return regular._since(long[-1] + 1) if long else regular

    def without_tools(self) -> "ChatRequest":
        """The same request with nothing to call."""
        return self._with(tools=[], tool_choice="none")

    def in_other_words(self, said: Callable[[str], str]) -> "ChatRequest":
        """The same request, with what `said` makes of each of the customer's messages."""
        messages = [
            message.model_copy(update={"content": said(message.text)})
            if message.role == "user"
            else message
            for message in self.messages
        ]
        return self._with(messages=messages)

    def without_latest_exchange(self) -> "ChatRequest":
        """The same request before the assistant's latest question and the customer's answer to it."""
        user = self._latest_user
        question = next(at for at in range(user - 1, -1, -1) if self.messages[at] in self.before)
        return self._with(messages=[*self.messages[:question], *self.messages[user + 1 :]])

    def latest_alone(self) -> "ChatRequest":
        """The same request as if the conversation began with the customer's latest message."""
        return self._since(self._latest_user)

    def _since(self, start: int) -> "ChatRequest":
        staff = [m for m in self.messages[:start] if m.role in ("system", "developer")]
        return self._with(messages=[*staff, *self.messages[start:]])

    @property
    def _latest_user(self) -> int:
        customers = (at for at, message in enumerate(self.messages) if message.role == "user")
        return max(customers, default=0)

    def _with(self, **changes: Any) -> "ChatRequest":
        # Not `model_copy`, which would carry along what has been worked out from the old values.
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_construct(**{**fields, **changes})

    @property
    def system(self) -> str:
        """What the developer says: the first message, where it is a system message.

        Later ones are notes of the staff, summaries and records, which quote people: nothing in them is
        a source, an option or a fact, and none of it is said to a customer.
        """
        first = self.messages[0]
        return first.text if first.role in ("system", "developer") else ""

    @cached_property
    def spoken(self) -> tuple[Message, ...]:
        """What the customer and the assistant said, oldest first."""
        return _spoken(self.messages)

    @cached_property
    def asked(self) -> str:
        """The customer's latest message, or "" where there is none."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @cached_property
    def is_too_long(self) -> bool:
        """Whether the customer's latest message is too long to be understood."""
        return _is_long(self.asked)

    @property
    def understood(self) -> str:
        """The customer's latest message, or "" where it is too long."""
        return "" if self.is_too_long else self.asked

    @property
    def answers_to(self) -> str:
        """What the assistant said just before the customer's latest message."""
        latest = self.before[-1] if self.before else None
        return latest.text if latest is not None and latest.role == "assistant" else ""

    @cached_property
    def language(self) -> str:
        """The language that the customer writes, in all of their messages."""
        return language_of(" ".join(m.text for m in self.spoken if m.role == "user"))

    @cached_property
    def before(self) -> tuple[Message, ...]:
        """What was said before the customer's latest message, oldest first."""
        return _spoken(self.messages[: self._latest_user])

    @cached_property
    def calls(self) -> tuple[AnsweredCall, ...]:
        """The tool calls that have been answered, oldest first."""
        answered: list[AnsweredCall] = []
        pending: dict[str, _Called] = {}
        for message in self.messages:
            if message.role == "assistant":
                pending = {call.id: call.function for call in message.tool_calls or ()}
            elif message.role == "tool" and message.tool_call_id in pending:
                called = pending[message.tool_call_id]
                answered.append(
                    AnsweredCall(
                        name=called.name,
                        arguments=_object(called.arguments),
                        result=_value(message.text),
                    )
                )
        return tuple(answered)

    @cached_property
    def options(self) -> dict[str, str]:
        """What the system prompt lists as "- name: description"."""
        return dict(_OPTION.findall(SOURCE.split(self.system)[0]))

    @property
    def has_sources(self) -> bool:
        """Whether the system prompt holds numbered sources to answer from."""
        return SOURCE.search(self.system) is not None

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the system prompt states in lines "name: value"; the first of a name counts."""
        found = reversed(_FACT.findall(SOURCE.split(self.system)[0]))
        return {name: value.strip() for name, value in found}


def _spoken(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(m for m in messages if m.role in ("user", "assistant") and m.text)


def _regular(text: str) -> str:
    """The text with one space between words, and one line break between lines."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(filter(None, lines))


def _is_long(text: str) -> bool:
    return len(text) > LONGEST_REQUEST


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def _object(text: str) -> dict[str, JsonValue]:
    value = _value(text)
    return value if isinstance(value, dict) else {}
