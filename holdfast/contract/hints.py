"""What a brought package may tell the offline model, whose rules know no business."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, JsonValue

from holdfast.domain.model import Strict
from holdfast.domain.words import share_said


@dataclass(frozen=True, kw_only=True)
class AnsweredCall:
    """A tool call of this turn with what it returned; an error is an object with `error` in it."""

    name: str
    arguments: Mapping[str, JsonValue]
    result: JsonValue

    @property
    def error(self) -> str | None:
        """Why the call did not succeed, where it did not."""
        if isinstance(self.result, dict) and self.result.get("error"):
            return str(self.result["error"])
        return None


@dataclass(frozen=True, kw_only=True)
class HintContext:
    """What the offline model knows while it looks for an argument.

    `words` are the customer's, about this request; `arguments` those of the call found so far.
    """

    words: str
    arguments: Mapping[str, JsonValue]
    calls: tuple[AnsweredCall, ...]

    def result(self, tool: str, **arguments: JsonValue) -> JsonValue:
        """The latest success of `tool` called with these arguments (and any others), else None."""
        for call in reversed(self.calls):
            if (
                call.name == tool
                and call.error is None
                and all(call.arguments.get(name) == value for name, value in arguments.items())
            ):
                return call.result
        return None

    def says(self, phrase: str) -> float:
        """How much of `phrase` the customer said: 0 nothing, 1 every word that carries a meaning."""
        return share_said(phrase, self.words)


@dataclass(frozen=True)
class Say:
    """Something to tell or to ask the customer instead of making the call."""

    text: str


@dataclass(frozen=True)
class ToolUse:
    """A tool to call with these arguments."""

    name: str
    arguments: dict[str, JsonValue]


class Lookup(Strict):
    """How an argument is found in what other tools returned.

    `needs` are tools that must have answered first; they are called where they have not. `find`
    gets the value, something to say instead, or None for "not there".
    """

    needs: tuple[str, ...] = ()
    find: Callable[[HintContext], JsonValue | Say]


class ToolHint(Strict):
    """When the offline model should call a tool, how it finds the arguments, and what it says then.

    Expressions are regular expressions, searched without regard to case in the customer's words, which are
    1,000 characters at most and have one space or line break between them. While one searches, the worker does
    nothing else: avoid repetitions within repetitions.
    The tool with the most matching `phrases` is called, the earlier hint at a tie; a match of
    `unless` rules it out. `after` names a tool that must have answered first. For arguments, by
    name: the first group of a match of `patterns` is the value, as it is or put into the braces of
    `forms`; several matches make several calls. `values` map {expression: value}, for enumerations
    in the customer's words. `lookups` are tried in order, then `defaults`; `questions` ask the
    customer for what is missing. `doing` names the action for explanations, with arguments in
    braces ("cancel the order {order_id}"), and `doing_in` says the same in other languages, by their
    two-letter codes. `beside` are expressions for what customers say of their reasons, which changes
    nothing about the request ("it does not fit"). Once the call has succeeded, `then` names calls that
    belong to it, and `say` words what it returned.
    """

    phrases: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    after: str | None = None
    patterns: dict[str, str] = Field(default_factory=dict)
    forms: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    lookups: dict[str, tuple[Lookup, ...]] = Field(default_factory=dict)
    defaults: dict[str, str] = Field(default_factory=dict)
    questions: dict[str, str] = Field(default_factory=dict)
    doing: str | None = None
    doing_in: dict[str, str] = Field(default_factory=dict)
    beside: tuple[str, ...] = ()
    then: Callable[[AnsweredCall, HintContext], Sequence[ToolUse]] | None = None
    say: Callable[[AnsweredCall, HintContext], str] | None = None


class Hints(Strict):
    """Hints by name: for choosing among agents (`intents`) and for calling tools (`tools`)."""

    intents: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Agent name to regular expressions that speak for it."""
    fields: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Field of a structured answer to {expression: value}, the first that matches."""
    tools: dict[str, ToolHint] = Field(default_factory=dict)
    errors: dict[str, str] = Field(default_factory=dict)
    """The text of a tool's error to a sentence that says the same to a customer."""
