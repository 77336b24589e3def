"""The approvals of one conversation: decisions, deadlines, and what is remembered of them."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from workflows.calls import Calls

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.approval import Approval, ApprovalStatus, Decision
    from holdfast.domain.conversation import ConversationStart, ConversationState, ParkedTurn
    from holdfast.domain.errors import AlreadyDecided, ApprovalNotFound, InvalidEdit, Refused
    from holdfast.domain.steps import DecisionRequest

_REMEMBERED_DECISIONS = 20


class ApprovalDesk:
    """Drives the state machine of `holdfast.domain.approval` for the parked turns of a state.

    A settled approval's id joins `state.resuming`; the workflow then goes on with its turn.
    """

    def __init__(self, start: ConversationStart, state: ConversationState, calls: Calls) -> None:
        self._start = start
        self._state = state
        self._calls = calls
        self._deadlines: dict[str, asyncio.Task[None]] = {}

    def waiting(self) -> list[ParkedTurn]:
        """Parked turns whose approval is not decided yet."""
        return [one for one in self._state.parked.values() if one.approval.state == "pending"]

    def check(self, decision: Decision) -> None:
        """Refuse a decision that may not be taken; one that was taken before passes.

        Raises:
            Refused: one of the approval errors.
        """
        if self._taken_before(decision) is not None:
            return
        parked = self._state.parked.get(decision.approval)
        if parked is not None:
            parked.approval.check(decision, now=workflow.now())
            return
        for status in self._state.decided:
            if status.approval == decision.approval:
                raise AlreadyDecided(f"approval {status.approval} is already {status.state}")
        raise ApprovalNotFound(
            f"no approval {decision.approval!r} waits in {self._start.conversation!r}"
        )

    async def decide(self, decision: Decision) -> ApprovalStatus:
        """Take a decision and record it.

        Raises:
            Refused: one of the approval errors, also when an edit turns out not to be possible.
        """
        if (status := self._taken_before(decision)) is not None:
            return status
        self.check(decision)
        parked = self._state.parked[decision.approval]
        approval = parked.approval
        if decision.kind == "edit":
            review = await self._calls.review_edit(self._request(approval, decision))
            if review.refusal is not None or review.digest is None:
                raise InvalidEdit(review.refusal or "the edit cannot be used")
            self.check(decision)
            decided = approval.decide(decision, now=workflow.now())
            approval = decided.model_copy(update={"args_digest": review.digest})
        else:
            approval = approval.decide(decision, now=workflow.now())
        await self.settle(parked, approval, decision)
        return _status(approval)

    async def settle(
        self, parked: ParkedTurn, approval: Approval, decision: Decision | None
    ) -> None:
        """Record what became of an approval, and let its turn go on."""
        self._state.parked[approval.id] = parked.model_copy(update={"approval": approval})
        if (deadline := self._deadlines.pop(approval.id, None)) is not None:
            deadline.cancel()
        await self._calls.record_decision(self._request(approval, decision))
        if approval.state != "withdrawn":
            self._state.resuming.append(approval.id)

    async def withdraw(self, parked: ParkedTurn) -> None:
        """Take the question back, since its turn is cancelled."""
        await self.settle(parked, parked.approval.withdraw(), None)
        self.forget(parked.approval.id)

    async def record_refusal(self, decision: Decision, refused: Refused) -> None:
        """Record a decision that came as a signal and was refused."""
        request = DecisionRequest(
            tenant=self._start.tenant,
            conversation=self._start.conversation,
            decision=decision,
            refusal=f"{refused.code}: {refused}",
        )
        await self._calls.record_decision(request)

    def forget(self, approval_id: str) -> None:
        """Drop the parked turn; what was decided is remembered for a while."""
        parked = self._state.parked.pop(approval_id)
        if approval_id in self._state.resuming:
            self._state.resuming.remove(approval_id)
        self._state.decided.append(_status(parked.approval))
        del self._state.decided[:-_REMEMBERED_DECISIONS]

    def watch_deadlines(self) -> None:
        """Start a timer for each waiting approval that has none."""
        for parked in self.waiting():
            approval = parked.approval
            if approval.id not in self._deadlines:
                self._deadlines[approval.id] = asyncio.create_task(self._expire_in_time(approval))

    def stop_watching(self) -> None:
        """End all timers."""
        for deadline in self._deadlines.values():
            deadline.cancel()
        self._deadlines.clear()

    async def _expire_in_time(self, approval: Approval) -> None:
        while (remaining := approval.expires_at - workflow.now()) > timedelta(0):
            await workflow.sleep(remaining, summary=f"Approval {approval.id} expires")
        parked = self._state.parked.get(approval.id)
        if parked is not None and parked.approval.state == "pending":
            del self._deadlines[approval.id]
            await self.settle(parked, parked.approval.expire(now=workflow.now()), None)

    def _taken_before(self, decision: Decision) -> ApprovalStatus | None:
        parked = self._state.parked.get(decision.approval)
        if parked is not None and parked.approval.repeats(decision):
            return _status(parked.approval)
        for status in self._state.decided:
            if status.approval == decision.approval and status.decision_id == decision.id:
                return status
        return None

    def _request(self, approval: Approval, decision: Decision | None) -> DecisionRequest:
        return DecisionRequest(
            tenant=self._start.tenant,
            conversation=self._start.conversation,
            approval=approval,
            decision=decision,
        )


def _status(approval: Approval) -> ApprovalStatus:
    return ApprovalStatus(
        approval=approval.id, state=approval.state, decision_id=approval.decision_id
    )
