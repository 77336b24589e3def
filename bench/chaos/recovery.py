"""How long conversations stood still after what worked for them was killed, and what approvals lost by it."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from bench.chaos.clients import ConversationKey, Seen
from bench.chaos.journal import Journal
from bench.chaos.stack import ChaosStack

_EVENTS = "select tenant, conversation, created_at from holdfast.events"


async def recovery_seconds(
    stack: ChaosStack, seen: Seen, journal: Journal
) -> dict[str, list[float]]:
    """Seconds from each kill to the next progress of each conversation that it affected, by victim; and
    of those the ones in which nothing else was harmed meanwhile, nor was just frozen.

    Progress is a call of the model or an event. Conversations that were about to end, and had no
    progress to make, are left out.
    """
    progress = await _progress(stack, seen)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for harm in journal.harm:
        if harm.kind == "killed":
            for key in harm.affected:
                times = progress[key]
                after = bisect_right(times, harm.at)
                if after == len(times):
                    continue
                seconds = times[after] - harm.at
                found[harm.victim].append(seconds)
                if journal.only(harm, until=times[after]):
                    found[f"{harm.victim}, and nothing else meanwhile"].append(seconds)
    return dict(found)


async def _progress(stack: ChaosStack, seen: Seen) -> dict[ConversationKey, Sequence[float]]:
    times: defaultdict[ConversationKey, list[float]] = defaultdict(list)
    by_text = {
        message.text: key
        for key, plan in seen.plans.items()
        for message in plan.messages().values()
    }
    for call in stack.model.calls:
        if (key := by_text.get(call.said)) is not None:
            times[key].append(call.at)
    for row in await stack.database.fetch(_EVENTS):
        times[row["tenant"], row["conversation"]].append(row["created_at"].timestamp())
    return defaultdict(list, {key: sorted(one) for key, one in times.items()})


_FOLLOW_UPS = """
    select extract(epoch from approval.decided_at)::float8 as decided,
           extract(epoch from min(event.created_at))::float8 as followed
      from holdfast.approvals as approval
      join holdfast.events as event
        on event.tenant = approval.tenant and event.conversation = approval.conversation
           and event.turn = approval.turn and event.type = 'message_sent'
           and event.created_at > approval.decided_at
     where approval.decided_at is not null
     group by approval.tenant, approval.id
"""

_SHORTLY_SECONDS = 4.0
"""A harm is felt for about this long: until a heartbeat or a workflow task is given up."""


async def follow_up_seconds(stack: ChaosStack, journal: Journal) -> dict[bool, list[float]]:
    """Seconds from the last decision on each approval to the message that follows, and whether there was
    harm meanwhile or shortly before."""
    found: defaultdict[bool, list[float]] = defaultdict(list)
    for row in await stack.database.fetch(_FOLLOW_UPS):
        decided, followed = row["decided"], row["followed"]
        harmed = journal.latest(decided - _SHORTLY_SECONDS, followed) is not None
        found[harmed].append(followed - decided)
    return dict(found)
