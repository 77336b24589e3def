"""Proposals and their actions as the activities handle them, without a workflow: many of them, fast."""

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from temporalio.testing import ActivityEnvironment

from holdfast.activities.actions import ActionActivities
from holdfast.activities.approvals import ApprovalActivities
from holdfast.activities.commit import StepCommitter
from holdfast.activities.conversations import ConversationActivities
from holdfast.activities.resources import Resources
from holdfast.domain import wire
from holdfast.domain.activity_protocol import (
    ActionReport,
    ActionRequest,
    DecisionRequest,
    OpenRequest,
    ProposalResult,
    StepRequest,
)
from holdfast.domain.conversation import CustomerMessage
from holdfast.domain.decision import Decision, DecisionKind
from holdfast.domain.outcomes import Proposal, ProposedAction
from holdfast.graphs.runner import StepEnd
from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import sign_decision
from holdfast.store.steps import StepAttempt, begin_step

_numbers = count(1)


@dataclasses.dataclass(frozen=True)
class Asked:
    """A proposal as it was committed: the turn that made it, and its outcome."""

    conversation: str
    turn: int
    proposed: ProposalResult


class Desk:
    """A tenant's proposals, each in a turn of its own."""

    def __init__(
        self, resources: Resources, settings: Settings, tenant: str, customer: str
    ) -> None:
        self.resources = resources
        self.tenant = tenant
        self._customer = customer
        self._settings = settings
        self._turns: Counter[str] = Counter()
        self._committer = StepCommitter(resources)
        self._actions = ActionActivities(resources)

    async def _run(self, work: Any, *arguments: Any) -> Any:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info,
            activity_id=str(next(_numbers)),
            workflow_run_id=self.tenant,
            task_queue=wire.actions_queue(self._settings.task_queue),
            start_to_close_timeout=timedelta(seconds=60),
            scheduled_time=datetime.now(UTC),
        )
        return await environment.run(work, *arguments)

    async def open(self, conversation: str, customer: str | None = None) -> None:
        """Make the conversation's records."""
        opening = OpenRequest(
            tenant=self.tenant, conversation=conversation, customer=customer or self._customer
        )
        await self._run(ConversationActivities(self.resources).open_conversation, opening)

    async def propose(
        self, conversation: str, *actions: tuple[str, dict[str, Any]], is_last: bool = True
    ) -> Asked:
        """Judge a proposal and commit it with a step, as an attempt of `run_subgraph` does."""
        self._turns[conversation] += 1
        turn = self._turns[conversation]
        await self._run(self._commit, conversation, turn, actions, is_last)
        return Asked(conversation, turn, await self._outcome(conversation, turn))

    async def _commit(
        self,
        conversation: str,
        turn: int,
        actions: Sequence[tuple[str, dict[str, Any]]],
        is_last: bool,
    ) -> None:
        message = CustomerMessage(message_id=f"m-{turn}", customer=self._customer, text="please")
        request = StepRequest(
            tenant=self.tenant,
            conversation=conversation,
            turn=turn,
            step=1,
            thread=1,
            subgraph="orders",
            attempts=1,
            message=message,
        )
        key = StepAttempt(
            tenant=self.tenant,
            conversation=conversation,
            turn=turn,
            step=1,
            thread=1,
            run="test",
            attempt=1,
        )
        begun = await begin_step(
            self.resources.pool, key, subgraph=request.subgraph, message=message
        )
        proposal = Proposal(
            actions=tuple(ProposedAction(name=name, arguments=given) for name, given in actions),
            reason="The customer wants it.",
        )
        end = StepEnd(outcome=proposal)
        await self._committer.commit(
            request, key, begun, end, None, (), degraded=False, is_last=is_last
        )

    async def _outcome(self, conversation: str, turn: int) -> ProposalResult:
        outcome = await self.resources.pool.fetchval(
            "select outcome from holdfast.steps"
            " where tenant = $1 and conversation = $2 and turn = $3 and step = 1",
            self.tenant,
            conversation,
            turn,
        )
        return ProposalResult.model_validate(outcome)

    async def accept(self, asked: Asked, *, reviewer: str, roles: Sequence[str]) -> str:
        """Accept the approval of a proposal; its state after that."""
        return await self.decide(asked, "accept", reviewer=reviewer, roles=roles)

    async def decide(
        self,
        asked: Asked,
        kind: DecisionKind,
        *,
        reviewer: str,
        roles: Sequence[str],
        text: str = "",
        actions: Sequence[tuple[str, dict[str, Any]]] = (),
    ) -> str:
        """Decide on the approval of a proposal; its state after that."""
        approval = asked.proposed.approval
        assert approval is not None
        assert self._settings.signing_key is not None
        recorded = await self.resources.pool.fetchval(
            "select approval from holdfast.approvals where tenant = $1 and id = $2",
            self.tenant,
            approval.id,
        )
        current = type(approval).model_validate(recorded)
        decision = Decision(
            id=f"d-{next(_numbers)}",
            approval=approval.id,
            kind=kind,
            reviewer=reviewer,
            roles=tuple(roles),
            digest=current.args_digest,
            text=text,
            actions=tuple(ProposedAction(name=name, arguments=given) for name, given in actions),
        )
        signed = sign_decision(
            decision, tenant=self.tenant, key=SigningKey.read(self._settings.signing_key)
        )
        outcome = await self._run(
            ApprovalActivities(self.resources).decide_approval,
            DecisionRequest(
                tenant=self.tenant,
                conversation=asked.conversation,
                approval=current,
                decision=signed,
                at=await self.resources.pool.fetchval("select now()"),
            ),
        )
        assert outcome.approval is not None, outcome.refusal
        return str(outcome.approval.state)

    async def execute_one(self, asked: Asked, index: int = 0) -> ActionReport:
        """Execute one action, or find out what became of it."""
        report: ActionReport = await self._run(
            self._actions.execute_action, self.request(asked, index)
        )
        return report

    async def undo(self, asked: Asked, index: int = 0) -> ActionReport:
        """Undo one action where that is to be done."""
        report: ActionReport = await self._run(
            self._actions.compensate_action, self.request(asked, index)
        )
        return report

    async def give_up(self, asked: Asked, error: Exception, index: int = 0) -> ActionReport:
        """End an action whose last attempt has failed."""
        report: ActionReport = await self._run(
            self._actions._give_up, self.request(asked, index), error
        )
        return report

    async def execute(
        self, asked: Asked, *, attempts: int = 1, seconds: float = 900.0
    ) -> list[str]:
        """Execute the actions in order until one does not succeed, and undo those before it, as the
        workflow does; the states that are reported. An error is raised unless it is of the last attempt."""
        states: list[str] = []
        for index in range(asked.proposed.actions):
            request = self.request(asked, index, attempts).model_copy(update={"seconds": seconds})
            report = await self._run(self._actions.execute_action, request)
            states.append(report.state)
            if report.state != "executed":
                for earlier in reversed(range(index)):
                    undo = self.request(asked, earlier, attempts)
                    await self._run(self._actions.compensate_action, undo)
                break
        return states

    def request(self, asked: Asked, index: int, attempts: int = 1) -> ActionRequest:
        """What the workflow asks of an action."""
        return ActionRequest(
            tenant=self.tenant,
            conversation=asked.conversation,
            turn=asked.turn,
            step=1,
            index=index,
            attempts=attempts,
        )

    async def states(self, asked: Asked) -> list[tuple[str, str | None]]:
        """The recorded states of a proposal's actions, with the reasons."""
        rows = await self.resources.pool.fetch(
            "select state, error from holdfast.actions"
            " where tenant = $1 and conversation = $2 and turn = $3 order by index",
            self.tenant,
            asked.conversation,
            asked.turn,
        )
        return [(row["state"], row["error"]) for row in rows]

    async def executions(self) -> list[str]:
        """The states of all executions, in the order of their actions."""
        rows = await self.resources.pool.fetch(
            "select execution.state from holdfast.executions as execution"
            " join holdfast.actions as action on action.tenant = $1 and action.id = execution.action"
            " where execution.tenant = $1 order by conversation, turn, index",
            self.tenant,
        )
        return [row["state"] for row in rows]


Opening = Callable[..., Awaitable[Desk]]
"""Opens a desk with these conversations."""
