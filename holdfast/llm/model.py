"""The model that a node calls: every answer goes through the ledger, and is checked before it counts."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal
from typing import TypeVar

from openai.types.chat import ChatCompletionMessageParam

from holdfast.contract.chat import Completion, StructuredT, Tool, ToolChoice
from holdfast.domain.errors import ModelAnswerUnusable, ModelRefused, TurnBudgetExceeded
from holdfast.domain.events import AnswerUnusable, BoundReached
from holdfast.domain.limits import AnswerBound
from holdfast.domain.model import Frozen
from holdfast.llm.answer import Unusable, completion_of, corrected, fitting
from holdfast.llm.client import ModelClient
from holdfast.llm.ledger import CallLedger, MemoryLedger
from holdfast.llm.node import running_node
from holdfast.llm.request import ModelRequest
from holdfast.llm.window import shorter_windows
from holdfast.store.faults import reach
from holdfast.store.llm_calls import ModelAnswer, RecordedCall

log = logging.getLogger(__name__)

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

    An answer that cannot be used is shown to the model once, with what is wrong; then the next provider
    is asked. What a turn may cost is bounded: calls that are found cost nothing.

    Args:
        client: makes the calls, and has the bounds of answers.
        ledger: has those made before.
        stand_in: whether the offline model, as a fallback, may answer these calls. Only for nodes that
            can't come to a proposal.
        fault: called with `before_model_call`, `after_model_call` and `after_ledger_save` around
            every real call.
    """

    def __init__(
        self,
        client: ModelClient,
        ledger: CallLedger,
        *,
        stand_in: bool = False,
        fault: Callable[[str], Awaitable[None]] = reach,
    ) -> None:
        self._client = client
        self._stand_in = stand_in
        self._ledger = ledger
        self._fault = fault
        self._occurrences: Counter[tuple[str, int, str]] = Counter()
        self._used: dict[tuple[str, str, int], RecordedCall] = {}
        self._made = 0
        self._found = 0
        self._under_way = 0
        self._events: list[AnswerUnusable | BoundReached] = []

    async def chat(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        *,
        tools: Sequence[Tool] = (),
        tool_choice: ToolChoice = "auto",
    ) -> Completion:
        """See `ChatModel.chat`."""
        offered = {tool.name: tool for tool in tools}
        bounds = self._client.bounds
        return await _in_a_window(
            messages,
            lambda window: self._usable(
                ModelRequest.chat(window, tools, tool_choice),
                lambda call, last: completion_of(call, offered, bounds, last=last),
            ),
        )

    async def structured(
        self, messages: Sequence[ChatCompletionMessageParam], schema: type[StructuredT]
    ) -> StructuredT:
        """See `ChatModel.structured`."""
        return await _in_a_window(
            messages,
            lambda window: self._usable(
                ModelRequest.structured(window, schema), lambda call, _: fitting(call, schema)
            ),
        )

    @property
    def events(self) -> tuple[AnswerUnusable | BoundReached, ...]:
        """What happened to this attempt's calls that is worth an event, oldest first; not recorded yet."""
        return tuple(self._events)

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
        self, request: ModelRequest, read: Callable[[RecordedCall, bool], ResultT]
    ) -> ResultT:
        """`read` gets an answer, and whether it is that to a correction."""
        passed: set[str] = set()
        while True:
            call = await self._call(request, passed)
            asked = {call.provider}
            try:
                return read(call, False)
            except Unusable as unusable:
                problem = self._noted(call, unusable)
            if problem.fault != "filtered":  # the same again would be filtered again
                call = await self._call(corrected(request, call, problem), passed)
                asked.add(call.provider)
                try:
                    return read(call, True)
                except Unusable as unusable:
                    problem = self._noted(call, unusable)
            passed |= asked
            if passed.issuperset(self._client.providers(stand_in=self._stand_in)):
                raise _given_up(call, problem)

    def _noted(self, call: RecordedCall, unusable: Unusable) -> Unusable:
        where = {"node": call.node, "provider": call.provider, "model": call.model}
        if unusable.bound:
            self._reached(unusable.bound, unusable.limit, **where)
        else:
            self._events.append(AnswerUnusable(fault=unusable.fault, **where))
        return unusable

    def _reached(self, bound: AnswerBound, limit: int | str, **where: str) -> None:
        self._events.append(BoundReached(bound=bound, limit=limit, **where))

    def _require_budget(self) -> None:
        """Counts what is under way, too, so that parallel nodes don't pass the bound together."""
        bounds, spent = self._client.bounds, self._ledger.spent
        if spent.calls + self._under_way >= bounds.turn_model_calls:
            self._reached("turn_model_calls", bounds.turn_model_calls)
            raise TurnBudgetExceeded(
                f"the turn has made {spent.calls} of {bounds.turn_model_calls} model calls",
                bound="model_calls",
            )
        if spent.dollars >= bounds.turn_dollars:
            self._reached("turn_dollars", str(bounds.turn_dollars))
            raise TurnBudgetExceeded(
                f"the turn's model calls have cost {spent.dollars} of {bounds.turn_dollars} US dollars",
                bound="model_price",
            )

    async def _call(self, request: ModelRequest, passed: Collection[str]) -> RecordedCall:
        """The answer, found or made by a provider that is not passed over. Counting precedes the first
        await, so that nodes in parallel never share an occurrence."""
        node = running_node()
        counted = (node.name, node.attempt, request.digest)
        self._occurrences[counted] += 1
        occurrence = self._occurrences[counted]
        call = self._ledger.find(node.name, request.digest, occurrence)
        if call is None:
            call = await self._made_call(node.name, occurrence, request, passed)
        else:
            self._found += 1
        self._used[(node.name, request.digest, occurrence)] = call
        return call

    async def _made_call(
        self, node: str, occurrence: int, request: ModelRequest, passed: Collection[str]
    ) -> RecordedCall:
        self._require_budget()
        self._under_way += 1
        try:
            await self._fault("before_model_call")
            answer = await self._client.complete(request, passed=passed, stand_in=self._stand_in)
            self._made += 1
            await self._fault("after_model_call")
            call = await self._save(node, occurrence, request, answer)
        finally:
            self._under_way -= 1
        await self._fault("after_ledger_save")
        return call

    async def _save(
        self, node: str, occurrence: int, request: ModelRequest, answer: ModelAnswer
    ) -> RecordedCall:
        saving = asyncio.ensure_future(self._ledger.save(node, occurrence, request, answer))
        try:
            return await asyncio.shield(saving)
        except asyncio.CancelledError:
            await asyncio.wait({saving}, timeout=_SAVE_GRACE_SECONDS)
            raise


async def _in_a_window(
    messages: Sequence[ChatCompletionMessageParam],
    ask: Callable[[Sequence[ChatCompletionMessageParam]], Awaitable[ResultT]],
) -> ResultT:
    """What `ask` makes of the messages; where every provider refuses them, of ever fewer older ones, so
    that what was said once does not make all later turns fail."""
    windows = iter(shorter_windows(messages))
    window = messages
    while True:
        try:
            return await ask(window)
        except ModelRefused as refused:
            following = next(windows, None)
            if following is None:
                raise
            log.warning("%s; asking with %d of %d messages", refused, len(following), len(messages))
            window = following


def standalone_model(client: ModelClient) -> LedgeredModel:
    """A model for a graph that runs outside of a conversation: its ledger is in memory."""
    return LedgeredModel(client, MemoryLedger())


def _given_up(call: RecordedCall, problem: Unusable) -> ModelRefused | ModelAnswerUnusable:
    """Without the problem's words, which may quote the answer, and with it the customer."""
    who = f"{call.provider} ({call.model}), the last provider,"
    if problem.fault == "filtered":
        return ModelRefused(f"{who} filtered its answer", reason="content_filter")
    return ModelAnswerUnusable(
        f"{who} gave node {call.node} an answer that cannot be used (fault: {problem.fault})"
    )
