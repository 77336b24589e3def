"""Commits how a subgraph has ended, in one transaction with all that follows from it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import assert_never

from holdfast.activities import step_commits
from holdfast.activities.bounded import bounded, bounded_proposal, reply_cut
from holdfast.activities.denials import note_denials
from holdfast.activities.judgement import judged
from holdfast.activities.lock_retries import patiently
from holdfast.activities.policy_input import ProposalOrigin
from holdfast.activities.policy_threads import in_thread
from holdfast.activities.rehearsal import LONGEST_SECONDS, RehearsedAction, rehearse
from holdfast.activities.repeats import without_repeats
from holdfast.activities.resources import Resources
from holdfast.activities.step_commits import of_turn
from holdfast.domain.activity_protocol import StepOutcome, StepRequest
from holdfast.domain.endings import Account
from holdfast.domain.errors import BrokenContract
from holdfast.domain.events import Payload
from holdfast.domain.outcomes import Escalation, Handoff, Proposal, Reply, Route
from holdfast.domain.words import language_of
from holdfast.graphs.runner import StepEnd
from holdfast.notifications.outbox import enqueue_request
from holdfast.store.action_history import account_of
from holdfast.store.audit import append_audit
from holdfast.store.clock import database_now
from holdfast.store.faults import reach
from holdfast.store.pool import Connection
from holdfast.store.steps import (
    BegunStep,
    NewApproval,
    StepAttempt,
    StepCommit,
    Summary,
    commit_step,
)
from holdfast.store.turns import spoken

_FIRST_OF_AN_AGENT = 2
"""Triage is step 1."""


class StepCommitter:
    """Commits steps, each once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def commit(
        self,
        request: StepRequest,
        key: StepAttempt,
        begun: BegunStep,
        end: StepEnd,
        summary: Summary | None,
        noted: Sequence[Payload],
        *,
        degraded: bool,
        is_last: bool,
    ) -> StepOutcome:
        match end.outcome:
            case Route():
                await self._require_agent(request, end.outcome.agent)
                commit = step_commits.routed(request, end.outcome)
            case Handoff():
                await self._require_agent(request, end.outcome.to)
                commit = step_commits.handed_off(request, end.outcome)
            case Reply():
                bounds = self._resources.models.bounds
                reply = bounded(end.outcome, bounds)
                account = Account()
                if request.step > _FIRST_OF_AN_AGENT:  # before it, nothing can have been proposed
                    account = await self._account(request)
                if account.half_done:
                    called = step_commits.calling(reply, account, begun.language)
                    commit = step_commits.ended(request, called, account, degraded=degraded)
                else:
                    commit = step_commits.ended(request, reply, Account(), degraded=degraded)
                if len(end.outcome.text) > bounds.reply_characters:
                    noted = (*noted, reply_cut(request, bounds))
            case Escalation():
                bounds = self._resources.models.bounds
                account = await self._account(request)
                # Triage calls a person without having routed, so nobody may have told the language yet.
                said = next(
                    (m.text for m in reversed(begun.transcript) if m.role == "customer"), ""
                )
                language = spoken(begun.language, said, language_of)
                outcome = step_commits.telling(bounded(end.outcome, bounds), account, language)
                commit = step_commits.ended(request, outcome, account, degraded=degraded)
                if len(end.outcome.text) > bounds.reply_characters:
                    noted = (*noted, reply_cut(request, bounds))
            case Proposal():
                origin = _origin(request, begun)
                self._resources.fleet.require_actions(
                    tuple(action.name for action in end.outcome.actions)
                )
                rehearsed = await rehearse(
                    self._resources,
                    origin,
                    end.outcome.actions,
                    is_last=is_last,
                    seconds=min(request.action_seconds, LONGEST_SECONDS),
                )
                left: dict[str, object] = {"snapshot": end.snapshot, "summary": summary}
                proposal = bounded_proposal(end.outcome, self._resources.models.bounds)
                return await patiently(
                    lambda: self._commit_proposal(
                        request, key, origin, proposal, rehearsed, noted, left, degraded=degraded
                    )
                )
            case _:
                assert_never(end.outcome)
        await reach("before_commit")
        return await commit_step(
            self._resources.pool,
            key,
            commit.model_copy(
                update={
                    "summary": summary,
                    "events": (*of_turn(request, noted), *commit.events),
                }
            ),
        )

    async def _commit_proposal(
        self,
        request: StepRequest,
        key: StepAttempt,
        origin: ProposalOrigin,
        proposal: Proposal,
        rehearsed: Sequence[RehearsedAction],
        noted: Sequence[Payload],
        left: Mapping[str, object],
        *,
        degraded: bool,
    ) -> StepOutcome:
        """Judge a proposal and commit it, with what else the step has `left`, in one transaction.

        Raises:
            LockTaken: others count what it counts.
        """
        async with judged(self._resources, origin, rehearsed) as (connection, judgement):
            judgement = await without_repeats(
                self._resources, connection, origin, proposal, judgement
            )
            now = await database_now(connection) if judgement.asking else origin.opened_at
            propose = partial(
                step_commits.proposed,
                request,
                origin,
                proposal,
                judgement,
                now=now,
                degraded=degraded,
            )
            commit = await in_thread("while_scheduling", propose)
            commit = commit.model_copy(
                update={**left, "events": (*of_turn(request, noted), *commit.events)}
            )
            if commit.approval is not None:
                commit = await self._ask(connection, request, commit, commit.approval)
            await note_denials(
                connection,
                request.key,
                agent=request.subgraph,
                actions=commit.actions,
            )
            await reach("before_commit")
            return await commit_step(connection, key, commit)

    async def _account(self, request: StepRequest) -> Account:
        """What was done in the turn that a person goes on with, and what was not."""
        async with self._resources.pool.acquire() as connection:
            return await account_of(connection, request.key)

    async def _ask(
        self,
        connection: Connection,
        request: StepRequest,
        commit: StepCommit,
        asked: NewApproval,
    ) -> StepCommit:
        """Write down who is asked, and the notifications of it; the commit then names these."""
        approval = asked.approval
        await append_audit(
            connection,
            request.key,
            kind="approval_requested",
            subject=approval.id,
            data={
                "agent": asked.agent,
                "digest": approval.args_digest,
                "requirements": [one.model_dump(mode="json") for one in approval.requirements],
                "expires_at": approval.expires_at.isoformat(),
                "policy": asked.policy_name,
                "policy_version": asked.policy_version,
                "policy_digest": asked.policy_digest,
                "actions": [
                    {"id": one.id, "name": one.name, "arguments": one.arguments, "rule": one.rule}
                    for one in commit.actions
                ],
            },
        )
        deliveries = await enqueue_request(
            connection,
            self._resources.notifications,
            request.key,
            asked=asked,
            actions=commit.actions,
        )
        outcome = commit.outcome.model_copy(update={"deliveries": deliveries})
        return commit.model_copy(update={"outcome": outcome})

    async def _require_agent(self, request: StepRequest, agent: str) -> None:
        is_known = await self._resources.fleet.knows_agent(agent)
        if not is_known or agent == request.subgraph:
            known = [card.name for card in self._resources.fleet.agents()]
            raise BrokenContract(
                f"subgraph {request.subgraph!r} names the agent {agent!r}; it may name "
                f"{', '.join(name for name in known if name != request.subgraph)}"
            )


def _origin(request: StepRequest, begun: BegunStep) -> ProposalOrigin:
    return ProposalOrigin(
        key=request.key,
        agent=request.subgraph,
        customer=begun.customer,
        priority=begun.priority,
        language=begun.language,
        opened_at=begun.opened_at,
    )
