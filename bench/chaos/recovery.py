"""How long conversations stood still after what worked for them was killed."""

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
    """Seconds from each kill to the next progress of each conversation that it affected, by victim.

    Progress is a call of the model or an event. Later kills of what took over are not subtracted.
    Conversations that were about to end, and had no progress to make, are left out.
    """
    progress = await _progress(stack, seen)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for harm in journal.harm:
        if harm.kind == "killed":
            for key in harm.affected:
                times = progress[key]
                after = bisect_right(times, harm.at)
                if after < len(times):
                    found[harm.victim].append(times[after] - harm.at)
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
