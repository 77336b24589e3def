"""At the model's endpoint: how often each call of the ledger was made, and none that was finished again."""

from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise

from bench.chaos.journal import Journal
from bench.chaos.oracle.verdict import Verdict
from bench.chaos.stack import ChaosStack

_MARGIN_SECONDS = 1.0
"""A step reads the ledger this long before it calls, at most, on a busy machine."""

_LEDGER = """
    select request_digest, count(*) as calls, min(created_at) as recorded, bool_or(degraded) as degraded
      from holdfast.llm_calls group by request_digest
"""


class ModelCalls:
    """Counts of calls: `made` at the endpoint, `repeated` of those that were made more often than the
    ledger has them, and `repeated_after` the same by the latest harm before."""

    def __init__(self) -> None:
        self.made = 0
        self.repeated = 0
        self.repeated_after: Counter[str] = Counter()
        self.keys_repeated = 0
        self.most = 0
        self.degraded = 0


async def judge_model_calls(stack: ChaosStack, journal: Journal, verdict: Verdict) -> ModelCalls:
    """Compare the endpoint's calls with the ledger.

    A call may be made again while its answer was not recorded, so that a kill costs what was in flight.
    Once it is recorded it is never made again, unless two workers were alive on one step (`doubts`).
    """
    counts = ModelCalls()
    made: defaultdict[str, list[float]] = defaultdict(list)
    for call in stack.model.calls:
        made[call.digest].append(call.at)
    recorded: dict[str, tuple[int, datetime]] = {}
    for row in await stack.database.fetch(_LEDGER):
        recorded[row["request_digest"]] = (row["calls"], row["recorded"])
        counts.degraded += row["degraded"]
    counts.made = len(stack.model.calls)
    for digest, times in made.items():
        kept, since = recorded.get(digest, (1, None))
        again = max(0, len(times) - kept)
        counts.repeated += again
        for before, then in pairwise(times[-again - 1 :] if again else ()):
            cause = journal.latest(before, then)
            counts.repeated_after[f"{cause.victim} {cause.kind}" if cause else "no harm"] += 1
        counts.keys_repeated += again > 0
        counts.most = max(counts.most, len(times))
        if since is None or not again:
            continue
        at = since.timestamp()
        late = [one for one in times if one > at + _MARGIN_SECONDS]
        if late and not journal.doubts(at - _MARGIN_SECONDS, late[0]):
            verdict.duplicated(
                f"model call {digest} was made again {late[0] - at:.1f} s after it was recorded"
            )
    for digest in recorded.keys() - made.keys():
        verdict.diverged(f"model call {digest} is in the ledger and never reached the endpoint")
    verdict.checked["model calls"] += counts.made
    return counts
