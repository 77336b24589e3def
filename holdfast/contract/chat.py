"""What a node says to a model, and what it gets back."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar

from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, JsonValue

from holdfast.domain.model import Frozen

StructuredT = TypeVar("StructuredT", bound=BaseModel)

ToolChoice = Literal["auto", "required", "none"]


class Tool(Frozen):
    """A function that the model may call. `parameters` is a JSON schema of an object.

    `lenient` is for a tool whose call counts more than its arguments, such as calling a person: broken
    characters in them are replaced, and arguments that cannot be read at all are taken for none, where
    else the call would be refused.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    lenient: bool = False

    @classmethod
    def of(
        cls, arguments: type[BaseModel], *, name: str, description: str, lenient: bool = False
    ) -> "Tool":
        """A tool whose arguments are the fields of a pydantic model."""
        return cls(
            name=name,
            description=description,
            parameters=arguments.model_json_schema(),
            lenient=lenient,
        )


class ToolCall(Frozen):
    """A call of a tool that was offered. `arguments` is a JSON object that can be stored, within the
    bounds of depth and size; it is not validated yet."""

    id: str
    name: str
    arguments: dict[str, JsonValue]


class Completion(Frozen):
    """A model's answer: text, tool calls, or both. `price` is in US dollars, and 0 where
    it is not known (`priced`).

    `degraded` says that the offline model answered.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    provider: str
    model: str
    degraded: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    price: Decimal = Decimal(0)
    priced: bool = True

    def as_message(self) -> ChatCompletionMessageParam:
        """The assistant message to append to the conversation with the model."""
        if not self.tool_calls:
            return {"role": "assistant", "content": self.text}
        return {
            "role": "assistant",
            "content": self.text or None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                }
                for call in self.tool_calls
            ],
        }


class ChatModel(Protocol):
    """The model as a node sees it. Calls made before, in an attempt that died, are not repeated."""

    async def chat(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        *,
        tools: Sequence[Tool] = (),
        tool_choice: ToolChoice = "auto",
    ) -> Completion:
        """One completion. An answer that cannot be used is shown to the model once, and then the next
        provider is asked; `holdfast.llm.answer` says what can be used.

        Raises:
            ModelAnswerUnusable: no provider gave one that can be used.
            ModelRefused: every provider refuses the request itself.
            TurnBudgetExceeded: the turn has reached its bound of model calls or of money.
            ModelUnavailable: no provider of the chain could answer; the turn waits for one.
        """
        ...

    async def structured(
        self, messages: Sequence[ChatCompletionMessageParam], schema: type[StructuredT]
    ) -> StructuredT:
        """One completion that fits `schema`; for one that does not, and for what is raised, see `chat`."""
        ...
