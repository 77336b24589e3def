"""At the client: every accepted message has one answer, a repeated one the same, and no event is missed."""

import asyncio
import random

from bench.chaos.clients import ConversationKey, Seen
from bench.chaos.load import event_digest
from bench.chaos.oracle.verdict import Verdict
from bench.chaos.plan import ConversationPlan, PlannedMessage, Round
from bench.chaos.stack import ChaosStack
from bench.chaos.wording import last_words, understood
from holdfast.client.views import SentMessage
from holdfast.domain.errors import HoldfastError

_AT_ONCE = 6
_CUT_STREAMS = 60
"""Conversations whose stream is cut at every index, at most."""
_ASKED_AGAIN = 200
"""Messages that are sent once more in the end, at most."""

_PATIENCE_SECONDS = 60.0

_EXPECTED_CODES = {"MessageConflict"}


async def judge_unfinished(stack: ChaosStack, seen: Seen, verdict: Verdict) -> None:
    """Say of each conversation that did not come to its end where it stands."""
    for key in sorted(seen.plans.keys() - seen.finished):
        planned = seen.plans[key].rounds[seen.rounds.get(key, 0)]
        silent = [one.id for one in planned.messages if not seen.answers[(*key, one.id)]]
        handle = stack.temporal_client.get_workflow_handle("/".join(key))
        described = await handle.describe()
        status = described.status.name if described.status else "unknown"
        pending = [
            f"{one.activity_type.name} (attempt {one.attempt}, {one.last_failure.message[:200]})"
            for one in described.raw_description.pending_activities
        ]
        verdict.lost(
            f"conversation {'/'.join(key)} did not come to its end: round {planned.kind}, without "
            f"answers: {silent}, its workflow is {status}, with {pending}"
        )


async def judge_answers(stack: ChaosStack, seen: Seen, verdict: Verdict) -> None:
    """Look at what the clients were told while everything was being killed."""
    rows = await stack.database.fetch(
        "select tenant, message_id, error from holdfast.turns where error is not null"
    )
    reasons = {(row["tenant"], row["message_id"]): row["error"] for row in rows}
    for broken in seen.broken:
        verdict.diverged(f"client of {broken.tenant}/{broken.conversation}: {broken.problem}")
    for code in seen.ended_by_themselves:
        verdict.diverged(f"a client ended by itself, with exit code {code}")
    for key in seen.finished:
        plan = seen.plans[key]
        for message, planned in plan.firsts():
            answers = seen.answers[(*key, message.id)]
            reason = reasons.get((plan.tenant, message.id), "no reason")
            _judge_message(plan, message, planned, answers, reason, verdict)
    _judge_refusals(seen, verdict)


def _judge_message(
    plan: ConversationPlan,
    message: PlannedMessage,
    planned: Round,
    answers: list[SentMessage],
    reason: str,
    verdict: Verdict,
) -> None:
    verdict.checked["answers"] += len(answers)
    name = f"message {plan.tenant}/{message.id}"
    if not answers:
        verdict.lost(f"{name} has no answer")
        return
    different = set(answers)
    if len(different) > 1:
        verdict.diverged(f"{name} has different answers: {sorted(map(str, different))}")
    if understood(message.text) is None:
        return
    for sent in different:
        if sent.status == "answered" and sent.reply != last_words(message.id):
            verdict.diverged(f"{name} was answered {sent.reply!r} (degraded: {sent.degraded})")
        if sent.status not in _may_end(message, planned):
            verdict.diverged(f"{name} ended {sent.status}: {reason}")


def _may_end(message: PlannedMessage, planned: Round) -> set[str]:
    """How the first answer of a message may be called."""
    match planned.kind:
        case "decided" | "expired" | "withdrawn":
            return {"awaiting_approval"}
        case "cancelled":
            return {"answered", "cancelled", "awaiting_human"}  # the last after an effect
        case "interrupted":
            interrupts = message.on_busy == "interrupt"
            ends = {"answered", "awaiting_human"}
            return ends if interrupts else {*ends, "cancelled"}
        case _:
            return {"answered"}


def _judge_refusals(seen: Seen, verdict: Verdict) -> None:
    conflicting = {
        (plan.tenant, message.id, message.text)
        for plan in seen.plans.values()
        for one in plan.rounds
        for message in one.messages
        if message.conflicts
    }
    for refusal in seen.refusals:
        verdict.checked["refusals"] += 1
        planned = (refusal.tenant, refusal.message, refusal.text) in conflicting
        if not planned or refusal.code not in _EXPECTED_CODES:
            verdict.diverged(
                f"message {refusal.tenant}/{refusal.message} was refused: {refusal.code}"
            )
    for tenant, conversation, message in seen.answers:
        for sent in seen.answers[tenant, conversation, message]:
            if sent.status == "accepted":
                verdict.lost(f"message {tenant}/{message} was accepted only")


async def judge_repetitions(stack: ChaosStack, seen: Seen, verdict: Verdict, seed: int) -> None:
    """Send messages once more, now that all is quiet: they get the answer that they got before."""
    chance = random.Random(f"{seed}-again")
    messages = [
        (plan, message)
        for key in sorted(seen.finished)
        for plan in (seen.plans[key],)
        for message in plan.messages().values()
        if seen.answers[(*key, message.id)]
    ]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def repeat(plan: ConversationPlan, message: PlannedMessage) -> None:
        first = seen.answers[plan.tenant, plan.conversation, message.id][0]
        name = f"message {plan.tenant}/{message.id}"
        verdict.checked["messages sent again in the end"] += 1
        try:
            async with slots:
                sent = await stack.client.for_tenant(plan.tenant).send(
                    plan.conversation,
                    message.text,
                    customer=plan.customer,
                    message_id=message.id,
                    timeout=_PATIENCE_SECONDS,
                )
        except HoldfastError as error:
            verdict.diverged(f"{name}, sent again in the end: {error.code}: {error}")
            return
        if sent != first:
            verdict.diverged(f"{name} was answered {first}, now {sent}")

    chosen = chance.sample(messages, k=min(_ASKED_AGAIN, len(messages)))
    await asyncio.gather(*(repeat(*one) for one in chosen))


async def judge_streams(stack: ChaosStack, seen: Seen, verdict: Verdict, seed: int) -> None:
    """Compare what the clients followed with the whole stream, and cut that at every index."""
    chance = random.Random(f"{seed}-streams")
    keys = sorted(seen.finished)
    cut = set(chance.sample(keys, k=min(_CUT_STREAMS, len(keys))))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def look(key: ConversationKey) -> None:
        async with slots:
            uncut = await _stream(stack, key, after=0)
            _compare_followed(seen, key, uncut, verdict)
            for after in range(1, len(uncut) if key in cut else 1):
                verdict.checked["cuts of streams"] += 1
                if await _stream(stack, key, after=after) != uncut[after:]:
                    verdict.diverged(f"the stream of {'/'.join(key)} differs when cut at {after}")

    await asyncio.gather(*(look(key) for key in keys))


async def _stream(stack: ChaosStack, key: ConversationKey, *, after: int) -> list[tuple[int, str]]:
    tenant, conversation = key
    client = stack.client.for_tenant(tenant)
    return [
        (event.seq, event_digest(event)) async for event in client.events(conversation, after=after)
    ]


def _compare_followed(
    seen: Seen, key: ConversationKey, uncut: list[tuple[int, str]], verdict: Verdict
) -> None:
    name = f"the stream of {'/'.join(key)}"
    followed = [(one.seq, one.digest) for one in seen.followed[key]]
    verdict.checked["events followed"] += len(followed)
    if [seq for seq, _ in uncut] != list(range(1, len(uncut) + 1)):
        verdict.lost(f"{name} has gaps: {[seq for seq, _ in uncut]}")
    numbers = [seq for seq, _ in followed]
    if len(set(numbers)) < len(numbers):
        verdict.duplicated(f"{name} told events twice: {numbers}")
    elif followed != uncut[: len(followed)]:
        verdict.diverged(f"{name} was followed as {followed}, and is {uncut}")
