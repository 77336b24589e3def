"""How turns are cancelled, wherever they are: running, waiting for a decision, decided, or queued."""

from dataclasses import dataclass

from temporalio import workflow

from holdfast.workflows import patches
from holdfast.workflows.approvals import ApprovalDesk
from holdfast.workflows.intake import Intake
from holdfast.workflows.overview import Overview
from holdfast.workflows.turn_ends import Stop, TurnEnds
from holdfast.workflows.turns import TurnRunner

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.conversation import CancelTurn, ConversationState, ParkedTurn
    from holdfast.domain.errors import Refused, TurnNotFound


@dataclass(eq=False, repr=False)
class Cancellation:
    """Cancels turns on request, and those that are left when the conversation closes."""

    state: ConversationState
    intake: Intake
    turns: TurnRunner
    ends: TurnEnds
    desk: ApprovalDesk
    overview: Overview

    def find(self, request: CancelTurn) -> int:
        """The turn to cancel, by default the running one. Raises `TurnNotFound`."""
        running = self.turns.running
        parked = [parked.turn for parked in self.desk.waiting()]
        if request.turn is None:
            if running is None:
                waiting = ", ".join(str(turn) for turn in parked) or "none"
                raise TurnNotFound(f"no turn is running (waiting for approval: {waiting})")
            return running
        queued = [queued.turn for queued in self.intake.queue]
        known = (running, *parked, *queued)
        if request.turn not in known and self._decided(request.turn) is None:
            raise TurnNotFound(f"turn {request.turn} is not queued, running or waiting")
        return request.turn

    async def cancel(self, turn: int, reason: str) -> None:
        """Cancel a turn; returns when it is cancelled, or has ended otherwise meanwhile."""
        await self._try_to_cancel(turn, reason)
        while self._decided(turn) is not None and workflow.patched(patches.DECIDED_IS_CANCELLED):
            await self._try_to_cancel(turn, reason)

    async def cancel_parked(self, reason: str) -> None:
        """Cancel all turns that wait for a decision, without calling a person."""
        for parked in self.desk.waiting():
            await self._cancel_parked(parked, reason, to_person=False)

    async def cancel_decided(self, approval_id: str, reason: str, *, to_person: bool) -> None:
        """Cancel a turn whose approval was decided, before it goes on."""
        turn = self.state.parked[approval_id].turn
        self.desk.forget(approval_id)
        await self.ends.stop(turn, Stop("cancelled", reason, to_person))

    def _decided(self, turn: int) -> str | None:
        """The turn's approval, if it is decided and the turn has not gone on to its end yet."""
        decided = (one for one in self.state.resuming if self.state.parked[one].turn == turn)
        return next(decided, None)

    async def _try_to_cancel(self, turn: int, reason: str) -> None:
        """Cancel a turn; one that is decided, or held back, meanwhile is not cancelled."""
        if self.turns.running == turn:
            self.turns.stop("cancelled", reason)
            await workflow.wait_condition(lambda: self.turns.running != turn)
            return
        for parked in self.desk.waiting():
            if parked.turn == turn:
                if await self._cancel_parked(parked, reason):
                    self.overview.publish()
                return
        if (approval_id := self._decided(turn)) is not None:
            held = self.state.takeover is not None
            await self.cancel_decided(approval_id, reason, to_person=not held)
            return
        for queued in self.intake.queue:
            if queued.turn == turn:
                self.intake.queue.remove(queued)
                try:
                    stop = Stop("cancelled", reason)
                    self.intake.results[turn] = await self.ends.stop(turn, stop, queued)
                except Refused as refused:
                    self.intake.refuse(queued, refused)
                return

    async def _cancel_parked(
        self, parked: ParkedTurn, reason: str, *, to_person: bool = True
    ) -> bool:
        """Cancel a turn that waits for a decision; False if that came meanwhile."""
        if not await self.desk.withdraw(parked):
            return False
        await self.ends.stop(parked.turn, Stop("cancelled", reason, to_person))
        return True
