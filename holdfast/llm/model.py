"""The model that a node calls: every answer goes through the ledger, and is checked before it counts."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from openai.types.chat import ChatCompletionMessageParam
from pydantic import JsonValue, ValidationError

from holdfast.domain.errors import InvalidModelOutput
from holdfast.domain.model import Frozen
from holdfast.llm.chat import Completion, StructuredT, Tool, ToolCall, ToolChoice
from holdfast.llm.client import ModelClient
from holdfast.llm.ledger import CallLedger, MemoryLedger
from holdfast.llm.node import running_node
from holdfast.llm.request import ModelRequest
from holdfast.store.faults import reach
from holdfast.store.llm_calls import ModelAnswer, ModelResponse, RecordedCall

ResultT = TypeVar("ResultT")

_SAVE_GRACE_SECONDS = 5.0
"""How long a cancelled caller still waits for an answer that is paid to be recorded."""


class ModelUsage(Frozen):
    """What a step used.

    `calls` were made by this attempt, `found` came from the ledger. Tokens and price (US dollars)
    are those of the step's calls that this attempt used, whichever attempt made them; calls that an
    earlier step made before an interrupt are on that step's account. `degraded`: the offline model
    gave at least one of the answers. `unpriced` of the calls cost what nobody knows, and count as 0.
    """

    calls: int = 0
    found: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    price: Decimal = Decimal(0)
    unpriced: int = 0
    degraded: bool = False


class LedgeredModel:
    """A `ChatModel` for one attempt at a step. Nodes that run in parallel may share it.

    An answer that cannot be used (tool arguments that are no JSON object, a tool that was not
    offered, fields that do not fit the schema) is shown to the model once, with what is wrong.
    An attempt at a step that failed for unusable answers is followed by one that asks anew, rather
    than one that finds the same answers in the ledger.

    Args:
        client: makes the calls.
        ledger: has those made before.
        fault: called with `before_model_call`, `after_model_call` and `after_ledger_save` around
            every real call.
    """

    def __init__(
        self,
        client: ModelClient,
        ledger: CallLedger,
        *,
        fault: Callable[[str], Awaitable[None]] = reach,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._fault = fault
        self._occurrences: Counter[tuple[str, int, str]] = Counter()
        self._used: dict[tuple[str, str, int], RecordedCall] = {}
        self._made = 0
        self._found = 0

    async def chat(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        *,
        tools: Sequence[Tool] = (),
        tool_choice: ToolChoice = "auto",
    ) -> Completion:
        """See `ChatModel.chat`."""
        offered = {tool.name for tool in tools}
        return await self._usable(
            ModelRequest.chat(messages, tools, tool_choice),
            lambda call: _completion(call, offered),
        )

    async def structured(
        self, messages: Sequence[ChatCompletionMessageParam], schema: type[StructuredT]
    ) -> StructuredT:
        """See `ChatModel.structured`."""
        return await self._usable(
            ModelRequest.structured(messages, schema),
            lambda call: schema.model_validate_json(_without_nul(call.response.text)),
        )

    @property
    def usage(self) -> ModelUsage:
        """What was used so far."""
        own = [call for call in self._used.values() if call.step == self._ledger.step]
        return ModelUsage(
            calls=self._made,
            found=self._found,
            prompt_tokens=sum(call.prompt_tokens for call in own),
            completion_tokens=sum(call.completion_tokens for call in own),
            price=sum((call.price for call in own), Decimal(0)),
            unpriced=sum(not call.priced for call in own),
            degraded=any(call.degraded for call in self._used.values()),
        )

    async def _usable(
        self, request: ModelRequest, read: Callable[[RecordedCall], ResultT]
    ) -> ResultT:
        """`read` raises ValueError for an answer that cannot be used."""
        while True:
            first, first_found = await self._call(request)
            try:
                return read(first)
            except ValueError as problem:
                repair = request.repair(_as_text(first.response), _in_words(problem))
            second, second_found = await self._call(repair)
            try:
                return read(second)
            except ValueError as problem:
                if first_found and second_found and self._goes_on(first):
                    continue
                raise InvalidModelOutput(
                    f"{second.provider} ({second.model}) gave node {second.node} two answers that "
                    f"cannot be used: {_in_words(problem)}"
                ) from None  # a pydantic error quotes what the customer said

    def _goes_on(self, unusable: RecordedCall) -> bool:
        """Whether an earlier attempt at this step failed here, or one that failed was followed by
        another, whose answers are in the ledger, too."""
        following = self._ledger.find(
            unusable.node, unusable.request_digest, unusable.occurrence + 1
        )
        return following is not None or unusable.step == self._ledger.step

    async def _call(self, request: ModelRequest) -> tuple[RecordedCall, bool]:
        """The answer, and whether it was found. Counting precedes the first await, so that nodes in
        parallel never share an occurrence."""
        node = running_node()
        counted = (node.name, node.attempt, request.digest)
        self._occurrences[counted] += 1
        occurrence = self._occurrences[counted]
        call = self._ledger.find(node.name, request.digest, occurrence)
        found = call is not None
        if call is None:
            await self._fault("before_model_call")
            answer = await self._client.complete(request)
            self._made += 1
            await self._fault("after_model_call")
            call = await self._save(node.name, occurrence, request, answer)
            await self._fault("after_ledger_save")
        else:
            self._found += 1
        self._used[(node.name, request.digest, occurrence)] = call
        return call, found

    async def _save(
        self, node: str, occurrence: int, request: ModelRequest, answer: ModelAnswer
    ) -> RecordedCall:
        saving = asyncio.ensure_future(self._ledger.save(node, occurrence, request, answer))
        try:
            return await asyncio.shield(saving)
        except asyncio.CancelledError:
            await asyncio.wait({saving}, timeout=_SAVE_GRACE_SECONDS)
            raise


def standalone_model(client: ModelClient) -> LedgeredModel:
    """A model for a graph that runs outside of a conversation: its ledger is in memory."""
    return LedgeredModel(client, MemoryLedger())


def _completion(call: RecordedCall, offered: set[str]) -> Completion:
    return Completion(
        text=call.response.text,
        tool_calls=tuple(
            ToolCall(id=raw.id, name=_offered(raw.name, offered), arguments=_object(raw.arguments))
            for raw in call.response.tool_calls
        ),
        provider=call.provider,
        model=call.model,
        degraded=call.degraded,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        price=call.price,
        priced=call.priced,
    )


def _offered(name: str, offered: set[str]) -> str:
    if name not in offered:
        raise ValueError(f"there is no tool {name!r}; the tools are {', '.join(sorted(offered))}")
    return name


def _object(arguments: str) -> dict[str, JsonValue]:
    value = json.loads(_without_nul(arguments) or "{}")
    if not isinstance(value, dict):
        raise ValueError("the arguments of a tool must be a JSON object")
    return value


def _without_nul(text: str) -> str:
    """JSON without escaped NULs, which no Postgres column takes."""
    return text.replace("\\u0000", "")


def _as_text(response: ModelResponse) -> str:
    """The answer as the model is shown it again. Tool calls are quoted in text: as messages they
    would each need a tool's answer, and some providers refuse broken arguments."""
    quoted = [f"{call.name}({call.arguments})" for call in response.tool_calls]
    return "\n".join([response.text, *quoted]).strip() or "(no answer)"


def _in_words(problem: ValueError) -> str:
    if not isinstance(problem, ValidationError):
        return str(problem)
    return "\n".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'the answer'}: {error['msg']}"
        for error in problem.errors(include_url=False, include_input=False, include_context=False)
    )
