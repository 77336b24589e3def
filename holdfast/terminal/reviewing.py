"""Commands of reviewers: approvals, decisions on them, taking conversations over."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from holdfast.domain.approval import ApprovalState, DecisionKind
from holdfast.terminal.options import (
    Approval,
    AsJson,
    Conversation,
    DecisionId,
    Digest,
    RequestId,
    Reviewer,
    Roles,
    Statement,
    Team,
    Tenant,
    json_object,
)
from holdfast.terminal.running import call

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient
    from holdfast.terminal.rendering import Shown

app = typer.Typer()


@app.command()
def approvals(
    state: Annotated[Literal[ApprovalState, "all"], typer.Option(help="Which ones.")] = "pending",
    conversation: Annotated[str | None, typer.Option(help="Only those of this one.")] = None,
    roles: Annotated[
        list[str], typer.Option("--role", help="That wait for this role; repeatable.")
    ] = [],  # noqa: B006 Typer makes a list of its own
    mine: Annotated[
        str | None, typer.Option(metavar="NAME", help="That NAME has claimed or was given.")
    ] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Past a reminder or an escalation.")
    ] = False,
    amount: Annotated[
        float | None, typer.Option(help="About at least that much money.", min=0)
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Asked for by this agent.")] = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """List what waits for a decision, the nearest deadline first."""

    async def find(client: "HoldfastClient") -> "Shown":
        found = await client.approvals(
            state=None if state == "all" else state,
            conversation=conversation,
            roles=roles,
            mine=mine,
            agent=agent,
            at_least=None if amount is None else Decimal(str(amount)),
            overdue=overdue,
        )
        return {"approvals": found}

    call(tenant, as_json, find)


@app.command()
def approval(
    approval: Approval,
    reviewer: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Who looks; the audit log keeps that."),
    ] = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Show one approval: what is asked for, what it would change, what was said."""

    async def find(client: "HoldfastClient") -> "Shown":
        if reviewer is None:
            return await client.approval(approval)
        return await client.look(approval, reviewer=reviewer)

    call(tenant, as_json, find)


@app.command()
def approve(
    approval: Approval,
    reviewer: Reviewer,
    roles: Roles = [],  # noqa: B006
    team: Team = None,
    digest: Digest = None,
    decision_id: DecisionId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Let the actions run as they were proposed."""
    who = Deciding(reviewer, team, roles, digest, decision_id, statement)
    _decide(tenant, as_json, approval, "accept", who)


@app.command()
def edit(
    approval: Approval,
    reviewer: Reviewer,
    arguments: Annotated[
        list[str],
        typer.Option(metavar="JSON", help="The new ones; once for each action, in order."),
    ],
    roles: Roles = [],  # noqa: B006
    team: Team = None,
    digest: Digest = None,
    decision_id: DecisionId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Let the actions run with other arguments."""
    who = Deciding(reviewer, team, roles, digest, decision_id, statement)
    edited = [json_object(one) for one in arguments]
    _decide(tenant, as_json, approval, "edit", who, arguments=edited)


@app.command()
def reject(
    approval: Approval,
    reviewer: Reviewer,
    reason: Annotated[str, typer.Option("--reason", "--text", help="For the agent to read.")],
    roles: Roles = [],  # noqa: B006
    team: Team = None,
    digest: Digest = None,
    decision_id: DecisionId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Keep the actions from running."""
    who = Deciding(reviewer, team, roles, digest, decision_id, statement)
    _decide(tenant, as_json, approval, "reject", who, text=reason)


@app.command()
def respond(
    approval: Approval,
    reviewer: Reviewer,
    text: Annotated[str, typer.Option("--text", "--reason", help="For the agent to read.")],
    roles: Roles = [],  # noqa: B006
    team: Team = None,
    digest: Digest = None,
    decision_id: DecisionId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Answer the agent instead of deciding."""
    who = Deciding(reviewer, team, roles, digest, decision_id, statement)
    _decide(tenant, as_json, approval, "respond", who, text=text)


@app.command()
def claim(
    approval: Approval,
    reviewer: Reviewer,
    release: Annotated[bool, typer.Option("--release", help="Let go of it instead.")] = False,
    roles: Roles = [],  # noqa: B006
    team: Team = None,
    digest: Digest = None,
    decision_id: DecisionId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Keep others off an approval for a while, since you are on it."""
    who = Deciding(reviewer, team, roles, digest, decision_id, statement)
    _decide(tenant, as_json, approval, "release" if release else "claim", who)


@app.command()
def delegate(
    approval: Approval,
    reviewer: Reviewer,
    to: Annotated[str, typer.Option(metavar="NAME", help="Who gets your voice.")],
    roles: Roles = [],  # noqa: B006
    team: Team = None,
    digest: Digest = None,
    decision_id: DecisionId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Have somebody else decide in your place."""
    who = Deciding(reviewer, team, roles, digest, decision_id, statement)
    _decide(tenant, as_json, approval, "delegate", who, to=to)


@app.command()
def comment(
    approval: Approval,
    reviewer: Reviewer,
    text: Annotated[str, typer.Option(help="For other reviewers to read.")],
    roles: Roles = [],  # noqa: B006
    team: Team = None,
    digest: Digest = None,
    decision_id: DecisionId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Say something about an approval without deciding."""
    who = Deciding(reviewer, team, roles, digest, decision_id, statement)
    _decide(tenant, as_json, approval, "comment", who, text=text)


@app.command()
def take_over(
    conversation: Conversation,
    reviewer: Reviewer,
    request_id: RequestId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Take a conversation over; agents keep quiet until it is handed back."""
    call(
        tenant,
        as_json,
        lambda client: client.take_over(
            conversation, reviewer=reviewer, request_id=request_id, statement=statement
        ),
    )


@app.command()
def reply(
    conversation: Conversation,
    text: Annotated[str, typer.Argument(help="What the customer gets to read.")],
    reviewer: Reviewer,
    reply_id: Annotated[str | None, typer.Option(help="Under the same id it is sent once.")] = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Answer the customer of a conversation that you hold."""
    call(
        tenant,
        as_json,
        lambda client: client.reply_as_human(
            conversation, text, reviewer=reviewer, reply_id=reply_id, statement=statement
        ),
    )


@app.command()
def hand_back(
    conversation: Conversation,
    reviewer: Reviewer,
    note: Annotated[str, typer.Option(help="For the agents to read.")] = "",
    request_id: RequestId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Give a conversation that you hold back to the agents."""
    call(
        tenant,
        as_json,
        lambda client: client.hand_back(
            conversation, reviewer=reviewer, note=note, request_id=request_id, statement=statement
        ),
    )


@dataclass(frozen=True)
class Deciding:
    """Who decides, about what they saw, and how that is shown to be so."""

    reviewer: str
    team: str | None
    roles: list[str]
    digest: str | None
    decision_id: str | None
    statement: str | None


def _decide(
    tenant: str,
    as_json: bool,
    approval: str,
    kind: DecisionKind,
    who: Deciding,
    *,
    text: str = "",
    arguments: list[dict[str, Any]] | None = None,
    to: str | None = None,
) -> None:
    call(
        tenant,
        as_json,
        lambda client: client.decide(
            approval,
            kind,
            reviewer=who.reviewer,
            team=who.team,
            roles=who.roles,
            text=text,
            arguments=arguments or (),
            to=to,
            digest=who.digest,
            decision_id=who.decision_id,
            statement=who.statement,
        ),
    )
