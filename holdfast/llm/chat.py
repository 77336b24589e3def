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
    """A function that the model may call. `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]

    @classmethod
    def of(cls, arguments: type[BaseModel], *, name: str, description: str) -> "Tool":
        """A tool whose arguments are the fields of a pydantic model."""
        return cls(name=name, description=description, parameters=arguments.model_json_schema())


class ToolCall(Frozen):
    """A call that the model asks for. `arguments` is not validated yet."""

    id: str
    name: str
    arguments: dict[str, JsonValue]


class Completion(Frozen):
    """A model's answer: text, tool calls, or both. `price` is in US dollars, and 0 where
    it is not known (`priced`).

    `degraded` says that the offline model answered, since no real one could or none is configured.
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
        """One completion. Tool calls that cannot be read are repaired once.

        Raises:
            InvalidModelOutput: the repaired answer has unreadable tool calls, too.
            InvalidModelRequest: a provider refuses the request itself.
            ModelUnavailable: no provider of the chain could answer; the step is retried.
        """
        ...

    async def structured(
        self, messages: Sequence[ChatCompletionMessageParam], schema: type[StructuredT]
    ) -> StructuredT:
        """One completion that fits `schema`; a first answer that does not is repaired once.

        Raises:
            InvalidModelOutput: the repaired answer did not fit either.
            InvalidModelRequest: a provider refuses the request itself.
            ModelUnavailable: no provider of the chain could answer; the step is retried.
        """
        ...
