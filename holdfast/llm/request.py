"""A request to a model, whichever one it will be: what is sent, and the digest that names it."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from holdfast.contract.chat import Tool, ToolChoice
from holdfast.domain.ids import canonical_json, json_digest
from holdfast.llm.schema import response_format


@dataclass(frozen=True)
class ModelRequest:
    """The body of a chat-completions request without what belongs to a provider (the model's name),
    so that a request has the same digest when another provider answers it."""

    body: dict[str, Any]

    @classmethod
    def chat(
        cls,
        messages: Sequence[ChatCompletionMessageParam],
        tools: Sequence[Tool] = (),
        tool_choice: ToolChoice = "auto",
    ) -> "ModelRequest":
        body: dict[str, Any] = {"messages": list(messages)}
        if tools:
            body["tools"] = [
                {"type": "function", "function": tool.model_dump(mode="json", exclude={"lenient"})}
                for tool in tools
            ]
            body["tool_choice"] = tool_choice
        return cls(body)

    @classmethod
    def structured(
        cls, messages: Sequence[ChatCompletionMessageParam], schema: type[BaseModel]
    ) -> "ModelRequest":
        return cls({"messages": list(messages), "response_format": response_format(schema)})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the body, 64 hex digits."""
        return json_digest(self.body)

    def packed(self) -> bytes:
        """The body, compressed, for the ledger; `unpacked` reads it."""
        return zlib.compress(canonical_json(self.body).encode())


def unpacked(request: bytes) -> ModelRequest:
    """The request that `ModelRequest.packed` wrote."""
    return ModelRequest(json.loads(zlib.decompress(request)))
