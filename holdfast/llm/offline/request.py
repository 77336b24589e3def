"""A chat-completions request as the offline model reads it."""

import json
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from holdfast.contract.hints import AnsweredCall
from holdfast.domain.words import language_of

_OPTION = re.compile(r"^\s*[-*]\s+`?([\w.-]+)`?:\s+(\S.*)$", re.MULTILINE)
SOURCE = re.compile(r"^\[(\d{1,9})\] (.+)$", re.MULTILINE)
"""The line above each numbered source in a system prompt."""
_FACT = re.compile(r"^\s*([A-Za-z_]\w*):\s+(\S.*)$", re.MULTILINE)


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
        staff = [m for m in self.messages[: self._latest_user] if m.role in ("system", "developer")]
        return self._with(messages=[*staff, *self.messages[self._latest_user :]])

    @property
    def _latest_user(self) -> int:
        return max(at for at, message in enumerate(self.messages) if message.role == "user")

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
        return tuple(m for m in self.messages if m.role in ("user", "assistant") and m.text)

    @cached_property
    def asked(self) -> str:
        """The customer's latest message, or "" where there is none."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

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
        latest = next((m for m in reversed(self.spoken) if m.role == "user"), None)
        for position in range(len(self.spoken) - 1, -1, -1):
            if self.spoken[position] is latest:
                return self.spoken[:position]
        return ()

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


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def _object(text: str) -> dict[str, JsonValue]:
    value = _value(text)
    return value if isinstance(value, dict) else {}
