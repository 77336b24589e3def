"""In the database: one turn for each message, one execution and effect for each action, an unbroken chain."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Literal

from bench.chaos.clients import Seen
from bench.chaos.oracle.verdict import Verdict
from bench.chaos.plan import EDITED, MUCH, VERY_MUCH, ConversationPlan, PlannedMessage, Round
from bench.chaos.stack import ChaosStack
from bench.chaos.wording import understood
from holdfast.domain.conversation import TurnStatus
from holdfast.store.audit import verify_audit

Row = Mapping[str, Any]

_TURNS = """
    select t.tenant, t.conversation, t.turn, t.message_id, t.status, t.error, t.ended_at is not null as ended,
           (select count(*) from holdfast.messages m where (m.tenant, m.conversation, m.turn)
              = (t.tenant, t.conversation, t.turn) and m.role = 'customer') as asked,
           (select count(*) from holdfast.messages m where (m.tenant, m.conversation, m.turn)
              = (t.tenant, t.conversation, t.turn) and m.role = 'assistant') as answered
      from holdfast.turns t
"""

_ACTIONS = """
    select a.tenant, a.conversation, a.turn, a.id, a.name, a.arguments, a.state, a.approval,
           e.state as execution,
           (select count(*) from holdfast.audit u where u.tenant = a.tenant and u.subject = a.id
              and u.kind = 'action_executed') as audited,
           (select count(*) from holdfast.events v where v.tenant = a.tenant
              and v.conversation = a.conversation and v.type = 'action_executed'
              and v.data ->> 'action' = a.id) as told
      from holdfast.actions a
      left join holdfast.executions e on e.tenant = a.tenant and e.action = a.id
"""

_APPROVALS = """
    select tenant, id, conversation, turn, state, approval ->> 'decision_id' as decision_id
      from holdfast.approvals
"""

_EFFECTS = "select tenant, counter, amount from counter.effects"


async def judge_records(stack: ChaosStack, seen: Seen, verdict: Verdict) -> None:
    """Compare the records with what was asked for and answered."""
    async with stack.database.acquire() as connection:
        turns = await connection.fetch(_TURNS)
        actions = await connection.fetch(_ACTIONS)
        approvals = await connection.fetch(_APPROVALS)
        effects: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for row in await connection.fetch(_EFFECTS):
            effects[row["tenant"], row["counter"]].append(row["amount"])
    verdict.checked.update({"turns": len(turns), "actions": len(actions)})
    verdict.checked["actions that were stale"] += sum(row["state"] == "stale" for row in actions)
    verdict.checked["effects"] += sum(map(len, effects.values()))
    _judge_turns(seen, turns, verdict)
    _judge_actions(actions, effects, verdict)
    _judge_decisions(seen, approvals, verdict)
    _judge_effects(seen, turns, approvals, effects, verdict)
    for tenant in sorted({key[0] for key in seen.plans}):
        async with stack.database.acquire() as connection, connection.transaction():
            report = await verify_audit(connection, tenant)
        verdict.checked["audit entries"] += report.entries
        for problem in report.problems:
            verdict.diverged(f"audit of {tenant}: entry {problem.seq} {problem.problem}")


def _judge_turns(seen: Seen, turns: list[Any], verdict: Verdict) -> None:
    by_message = Counter((row["tenant"], row["message_id"]) for row in turns)
    for row in turns:
        name = f"turn {row['turn']} of {row['tenant']}/{row['conversation']}"
        finished = (row["tenant"], row["conversation"]) in seen.finished
        if finished and not row["ended"]:
            verdict.lost(f"{name} has not ended, it is {row['status']}")
        if row["asked"] != 1:
            (verdict.duplicated if row["asked"] else verdict.lost)(
                f"{name} has {row['asked']} messages of the customer"
            )
        if row["status"] == "failed":
            verdict.diverged(f"{name} has failed: {row['error']}")
        _judge_answers(seen, row, name, verdict)
    for key in seen.finished:
        for message in seen.plans[key].messages():
            count = by_message[key[0], message]
            if count != 1:
                (verdict.duplicated if count else verdict.lost)(
                    f"message {key[0]}/{message} has {count} turns"
                )


def _judge_answers(seen: Seen, row: Row, name: str, verdict: Verdict) -> None:
    """A counter's turn is answered once, and once more where it waited for a person."""
    plan = seen.plans.get((row["tenant"], row["conversation"]))
    if plan is None or not plan.rounds[0].about_counters or row["status"] != "answered":
        return
    expected = 2 if _was_parked(seen, row) else 1
    if row["answered"] > expected:
        verdict.duplicated(f"{name} was answered {row['answered']} times")
    elif row["answered"] < expected:
        verdict.lost(f"{name} was answered {row['answered']} times, not {expected}")


def _was_parked(seen: Seen, row: Row) -> bool:
    answers = seen.answers[row["tenant"], row["conversation"], row["message_id"]]
    return any(one.status == "awaiting_approval" for one in answers)


def _judge_actions(
    actions: list[Any], effects: Mapping[tuple[str, str], list[int]], verdict: Verdict
) -> None:
    executed: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in actions:
        name = f"action {row['id']} ({row['name']}) of {row['tenant']}/{row['conversation']}"
        times = 1 if row["state"] == "executed" else 0
        if times and row["name"] == "add":
            arguments = row["arguments"]
            executed[row["tenant"], arguments["counter"]].append(arguments["amount"])
        if (row["execution"] in ("executed", "not_undone")) != bool(times):
            verdict.diverged(f"{name} is {row['state']}, its execution {row['execution']}")
        for what in ("audited", "told"):
            if row[what] > times:
                verdict.duplicated(f"{name} was {what} {row[what]} times")
            elif row[what] < times:
                verdict.lost(f"{name} was executed and not {what}")
    for key in executed.keys() | effects.keys():
        done, had = sorted(executed.get(key, [])), sorted(effects.get(key, []))
        if done != had:
            verdict.diverged(f"counter {'/'.join(key)} had the effects {had}, executed were {done}")


def _judge_decisions(seen: Seen, approvals: list[Any], verdict: Verdict) -> None:
    records = {(row["tenant"], row["id"]): row for row in approvals}
    for told in seen.decisions:
        verdict.checked["decisions"] += 1
        row = records[told.tenant, told.approval]
        name = f"decision {told.decision} on {told.tenant}/{told.approval}"
        if told.code is None and told.decision != row["decision_id"]:
            verdict.duplicated(f"{name} was taken, and {row['decision_id']} counts")
        if told.code is not None and told.decision == row["decision_id"]:
            verdict.lost(f"{name} counts, and its reviewer was told {told.code}")
        if told.code not in (None, "AlreadyDecided", "Superseded", "DigestMismatch"):
            verdict.diverged(f"{name} was refused: {told.code}")


def _judge_effects(
    seen: Seen,
    turns: list[Any],
    approvals: list[Any],
    effects: Mapping[tuple[str, str], list[int]],
    verdict: Verdict,
) -> None:
    status = {(row["tenant"], row["message_id"]): row for row in turns}
    by_turn = {(row["tenant"], row["conversation"], row["turn"]): row for row in approvals}
    for key in seen.finished:
        plan = seen.plans[key]
        for message, planned in plan.firsts():
            row = status.get((plan.tenant, message.id))
            if row is not None and planned.about_counters:
                approval = by_turn.get((*key, row["turn"]))
                had = sorted(effects.get((plan.tenant, message.id), []))
                _judge_message(plan, planned, message, row["status"], approval, had, verdict)


def _judge_message(
    plan: ConversationPlan,
    planned: Round,
    message: PlannedMessage,
    status: Literal["running", TurnStatus],
    approval: Row | None,
    had: list[int],
    verdict: Verdict,
) -> None:
    wish = understood(message.text)
    assert wish is not None
    expected = Counter(_decided(amount, planned, approval) for amount in wish.amounts)
    del expected[0]
    name = f"message {plan.tenant}/{message.id}"
    if Counter(had) - expected:
        verdict.duplicated(f"{name} ({status}) had the effects {had}, not {[*expected.elements()]}")
    elif status == "answered" and expected - Counter(had):
        verdict.lost(f"{name} ({status}) had the effects {had}, not {[*expected.elements()]}")


def _decided(amount: int, planned: Round, approval: Row | None) -> int:
    """What becomes of an amount; 0 for nothing."""
    if amount not in (MUCH, VERY_MUCH):
        return amount
    if approval is None or approval["state"] != "accepted":
        return 0
    kinds = {one.id: one.kind for one in planned.decisions}
    return {"accept": amount, "edit": EDITED}.get(kinds.get(approval["decision_id"], ""), 0)
