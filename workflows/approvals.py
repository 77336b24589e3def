"""The approvals of one conversation: their decisions, alarms and ends."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property

from temporalio import workflow
from temporalio.exceptions import ActivityError

from holdfast.workflows import patches
from holdfast.workflows.activity_calls import ActivityCalls
from holdfast.workflows.requests import refusal_of

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.activity_protocol import DecisionOutcome
    from holdfast.domain.approval import Approval, ApprovalStatus
    from holdfast.domain.conversation import ConversationStart, ConversationState, ParkedTurn
    from holdfast.domain.decision import Decision
    from holdfast.domain.errors import (
        ERRORS_BY_CODE,
        AlreadyDecided,
        ApprovalNotFound,
        Refused,
        SubgraphFailed,
    )
    from holdfast.domain.transitions import check_decision

_REMEMBERED_DECISIONS = 20
_MOST_REFUSALS = 50
"""Refused signals that a run records for one approval, with a statement and without; and as many for approvals
that don't exist."""
_MOST_REFUSALS_IN_A_RUN = 200
_MOST_LOOKED_AT = 50
"""Signalled decisions on one approval that wait, or that an activity has looked at in this run and refused, or
known again."""
_RECORDED_AT_ONCE = 4


class ApprovalDesk:
    """Drives the state machine of `holdfast.domain.transitions` for the parked turns of a state.

    An approval changes under its lock, which is held until the change is recorded, so that the records and the
    workflow agree. A settled approval's id joins `state.resuming`; the workflow then goes on with its turn.
    """

    def __init__(
        self, start: ConversationStart, state: ConversationState, calls: ActivityCalls
    ) -> None:
        self._start = start
        self._state = state
        self._calls = calls
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._signalled: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looked_at: Counter[str] = Counter()
        self._signals: dict[int, str] = {}
        self._signals_heard = 0
        self._told: set[str] = set()
        self._refused: Counter[tuple[str, bool]] = Counter()
        self._recording = asyncio.Semaphore(_RECORDED_AT_ONCE)
        self._held_back: set[str] = set()
        self.changed = False
        """Whether an approval has changed since this was set to False."""

    def waiting(self) -> list[ParkedTurn]:
        """Parked turns whose approval is not decided yet."""
        return [one for one in self._state.parked.values() if one.approval.state == "pending"]

    def next_to_resume(self) -> str | None:
        """The decided approval whose turn goes on next."""
        waiting = (one for one in self._state.resuming if one not in self._held_back)
        return next(waiting, None)

    def hold_back(self, approval_id: str) -> None:
        """Let a decided turn wait, since a person has the conversation."""
        self._held_back.add(approval_id)

    def release_held_back(self) -> None:
        """Let the turns that were held back go on."""
        self._held_back.clear()

    def busy(self) -> bool:
        """Whether a change of an approval is being recorded."""
        return any(lock.locked() for lock in self._locks.values())

    def takes_signals(self) -> bool:
        """Whether signalled decisions are being looked at, or their refusals recorded."""
        return bool(self._signals)

    def check(self, decision: Decision) -> None:
        """Raise one of the approval errors if a decision may not be taken. One passes whose id was used, since
        the records tell whether it is the same, and one that came before its approval's deadline was noticed,
        where silence would be consent: it is refused once it is on record that somebody has said something."""
        if self._taken_before(decision) is not None:
            return
        parked = self._state.parked.get(decision.approval)
        if parked is not None:
            if not self._breaks_silence(parked.approval):
                check_decision(parked.approval, decision, now=workflow.now())
            return
        for status in self._state.decided:
            if status.approval == decision.approval:
                raise AlreadyDecided(f"approval {status.approval} is already {status.state}")
        raise ApprovalNotFound(
            f"no approval {decision.approval!r} waits in {self._start.conversation!r}"
        )

    async def decide(self, decision: Decision) -> ApprovalStatus:
        """Take a decision and record it. Raises one of the approval errors; if the activity has refused the
        decision, for its statement or its edit, that is recorded."""
        outcome = await self._decide(decision)
        if isinstance(outcome, ApprovalStatus):
            return outcome
        raise ERRORS_BY_CODE.get(outcome.code, Refused)(outcome.refusal)

    @contextmanager
    def hearing(self, decision: Decision) -> Iterator[None]:
        """While a signal with a decision is handled: an alarm waits for those that came before it."""
        self._signals_heard += 1
        number = self._signals_heard
        self._signals[number] = decision.approval
        try:
            yield
        finally:
            del self._signals[number]

    async def take_signalled(self, decision: Decision) -> None:
        """Take a decision without a caller; refusals are recorded, up to a bound."""
        try:
            try:
                await self._decide_in_turn(decision)
            except Refused as refused:
                await self._record_refusal(decision, refused.code, str(refused))
            except ActivityError as error:
                failed = refusal_of(error)
                await self._record_refusal(decision, SubgraphFailed.code, str(failed))
        except (
            ActivityError
        ) as error:  # which would end the conversation, out of a signal's handler
            workflow.logger.error("a refused decision is not recorded: %s", refusal_of(error))

    async def withdraw(self, parked: ParkedTurn) -> bool:
        """Withdraw the approval of a turn that is cancelled; False if it was decided meanwhile."""
        approval_id = parked.approval.id
        async with self._locks[approval_id]:
            found = self._state.parked.get(approval_id)
            if found is None or found.approval.state != "pending":
                return False
            withdrawn = found.approval.withdraw()
            outcome = await self._calls.record_alarm(withdrawn)
            recorded = outcome.approval or withdrawn
            if recorded.state != "withdrawn":  # it had been decided before this run was reset, say
                self._adopt(found, recorded)
                return False
            self._state.parked[approval_id] = found.model_copy(update={"approval": recorded})
            self.forget(approval_id)
            await self._calls.notify(outcome.deliveries)
        return True

    async def _decide(self, decision: Decision) -> ApprovalStatus | DecisionOutcome:
        """The status after the decision, or the outcome if the activity has refused it, which is recorded.
        Raises what `check` raises."""
        self._check_in_handler(decision)
        async with self._locks[decision.approval]:
            if (status := self._taken_before(decision)) is not None:
                return await self._take_again(decision, status)
            self._check_in_handler(decision)
            parked = self._state.parked[decision.approval]
            outcome = await self._judge(decision)
            if outcome.approval is None:
                return outcome
            self._adopt(parked, outcome.approval)
            if outcome.approval.due_at < parked.approval.due_at:  # an edit may shorten it
                self._stop_watching(outcome.approval.id)
                self.watch()
            await self._calls.notify(outcome.deliveries)
            return _status(outcome.approval)

    def _check_in_handler(self, decision: Decision) -> None:
        self.check(decision)
        parked = self._state.parked.get(decision.approval)
        if parked is None or self._taken_before(decision) is not None:
            return
        if self._breaks_silence(parked.approval) and not workflow.patched(patches.HEARD_FIRST):
            check_decision(parked.approval, decision, now=workflow.now())

    def _breaks_silence(self, approval: Approval) -> bool:
        """Whether a decision comes past the deadline and before the alarm has gone off."""
        left = approval.state == "pending" and approval.on_expiry == "allow"
        return left and workflow.now() >= approval.expires_at

    async def _take_again(
        self, decision: Decision, status: ApprovalStatus
    ) -> ApprovalStatus | DecisionOutcome:
        """The status after a decision whose id was used; the outcome where another one was taken under
        it, which the records tell."""
        if not workflow.patched(patches.COMPARED):
            return status
        outcome = await self._judge(decision)
        return status if outcome.approval is not None else outcome

    async def _judge(self, decision: Decision) -> DecisionOutcome:
        parked = self._state.parked.get(decision.approval)
        return await self._calls.decide(parked.approval if parked is not None else None, decision)

    async def _decide_in_turn(self, decision: Decision) -> None:
        """Take signalled decisions on an approval one at a time, so that an update waits for one of them at
        most. Those that are too many are dropped; what was refused or came again counts until the run ends."""
        self._check_in_handler(decision)
        if not self._signals_are_bounded:
            await self._decide(decision)
            return
        approval_id = decision.approval
        if self._looked_at[approval_id] >= _MOST_LOOKED_AT:
            self._tell_once(f"signals on {approval_id} are dropped, too many wait or were refused")
            return
        counts = self._floods_end
        again = self._taken_before(decision) is not None
        self._looked_at[approval_id] += 1
        try:
            async with self._signalled[approval_id]:
                outcome = await self._decide(decision)
                counts = counts and (again or isinstance(outcome, DecisionOutcome))
        finally:
            if not counts:
                self._looked_at[approval_id] -= 1

    @cached_property
    def _signals_are_bounded(self) -> bool:
        return workflow.patched(patches.SIGNALS_ARE_BOUNDED)

    @cached_property
    def _floods_end(self) -> bool:
        return workflow.patched(patches.FLOODS_END)

    async def _record_refusal(self, decision: Decision, code: str, refusal: str) -> None:
        if not self._signals_are_bounded:
            await self._calls.record_refusal(decision, code, refusal)
            return
        about = decision.approval if self._knows(decision.approval) else ""
        kind = (about, bool(decision.statement))
        full = self._floods_end and self._refused.total() >= _MOST_REFUSALS_IN_A_RUN
        if full or self._refused[kind] >= _MOST_REFUSALS:
            self._tell_once("refused signals are dropped, too many are recorded")
            return
        self._refused[kind] += 1
        async with self._recording:
            await self._calls.record_refusal(decision, code, refusal)

    def _tell_once(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            workflow.logger.warning(what)

    def _knows(self, approval_id: str) -> bool:
        return approval_id in self._state.parked or any(
            status.approval == approval_id for status in self._state.decided
        )

    def forget(self, approval_id: str) -> None:
        """Drop a parked turn; its approval's status is remembered for a while."""
        parked = self._state.parked.pop(approval_id)
        if approval_id in self._state.resuming:
            self._state.resuming.remove(approval_id)
        self._held_back.discard(approval_id)
        self._stop_watching(approval_id)
        self._locks.pop(approval_id, None)
        self._signalled.pop(approval_id, None)
        self._state.decided.append(_status(parked.approval))
        del self._state.decided[:-_REMEMBERED_DECISIONS]

    def watch(self) -> None:
        """Start a timer for each waiting approval that has none."""
        for parked in self.waiting():
            if parked.approval.id not in self._watching:
                task = asyncio.create_task(self._watch(parked.approval.id))
                self._watching[parked.approval.id] = task

    def stop_watching(self) -> None:
        """End all timers."""
        for approval_id in list(self._watching):
            self._stop_watching(approval_id)

    def _stop_watching(self, approval_id: str) -> None:
        task = self._watching.pop(approval_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _watch(self, approval_id: str) -> None:
        """Let an approval's alarms go off, each at its time."""
        while (approval := self._pending(approval_id)) is not None:
            remaining = approval.due_at - workflow.now()
            if remaining > timedelta(0):
                await workflow.sleep(remaining, summary=f"Approval {approval_id}: next deadline")
            else:
                await self._go_off(approval_id)

    async def _go_off(self, approval_id: str) -> None:
        before = {one for one, about in self._signals.items() if about == approval_id}
        if before and workflow.patched(patches.HEARD_FIRST):
            await workflow.wait_condition(lambda: before.isdisjoint(self._signals))
        async with self._locks[approval_id]:
            approval = self._pending(approval_id)
            due = approval.next_alarm(workflow.now()) if approval else None
            if due is None:
                return
            after, alarm = due
            outcome = await self._calls.record_alarm(after, alarm)
            self._adopt(self._state.parked[approval_id], outcome.approval or after)
            await self._calls.notify(outcome.deliveries)

    def _pending(self, approval_id: str) -> Approval | None:
        parked = self._state.parked.get(approval_id)
        return parked.approval if parked and parked.approval.state == "pending" else None

    def _adopt(self, parked: ParkedTurn, approval: Approval) -> None:
        self._state.parked[approval.id] = parked.model_copy(update={"approval": approval})
        self.changed = True
        if approval.state != "pending":
            self._stop_watching(approval.id)
            self._state.resuming.append(approval.id)

    def _taken_before(self, decision: Decision) -> ApprovalStatus | None:
        parked = self._state.parked.get(decision.approval)
        if parked is not None and parked.approval.repeats(decision):
            return _status(parked.approval)
        for status in self._state.decided:
            if status.approval == decision.approval and status.decision_id == decision.id:
                return status
        return None


def _status(approval: Approval) -> ApprovalStatus:
    return ApprovalStatus(
        approval=approval.id,
        state=approval.state,
        decision_id=approval.decision_id,
        waits_for=approval.open_requirements() if approval.state == "pending" else (),
    )
