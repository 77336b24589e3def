"""Commands of reviewers: approvals, decisions on them, taking conversations over."""

import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from holdfast.domain.approval import ApprovalState
from holdfast.domain.review import (
    Accept,
    Claim,
    Comment,
    Delegate,
    Edit,
    Reject,
    Release,
    Respond,
    Review,
    Reviewer,
)
from holdfast.edges.terminal.options import (
    Approval,
    AsJson,
    Conversation,
    DecisionId,
    Digest,
    RequestId,
    ReviewerId,
    Roles,
    Statement,
    Team,
    Tenant,
    json_object,
)
from holdfast.edges.terminal.runner import call

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient
    from holdfast.edges.terminal.output import Shown

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
        found = await client.approvals.list(
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
    call(tenant, as_json, lambda client: client.approvals.get(approval, reader=reviewer))


def _decides(review: Callable[..., Review]) -> Callable[..., Review]:
    """Make `review`, whose parameters are its own options, a command that decides on an approval: it gets
    those that all of them have."""

    def command(
        approval: Approval,
        reviewer: ReviewerId,
        roles: Roles = [],  # noqa: B006
        team: Team = None,
        digest: Digest = None,
        decision_id: DecisionId = None,
        statement: Statement = None,
        tenant: Tenant = "demo",
        as_json: AsJson = False,
        **own: Any,
    ) -> None:
        said = review(**own)
        call(
            tenant,
            as_json,
            lambda client: client.approvals.decide(
                approval,
                said,
                by=Reviewer(reviewer, team, roles),
                seen=digest,
                decision_id=decision_id,
                statement=statement,
            ),
        )

    first, second, *shared, _ = inspect.signature(command).parameters.values()
    own = inspect.signature(review).parameters.values()
    command.__signature__ = inspect.Signature([first, second, *own, *shared])  # type: ignore[attr-defined]
    app.command(review.__name__, help=review.__doc__)(command)
    return review


@_decides
def approve() -> Review:
    """Let the actions run as they were proposed."""
    return Accept()


@_decides
def edit(
    arguments: Annotated[
        list[str],
        typer.Option(metavar="JSON", help="The new ones; once for each action, in order."),
    ],
) -> Review:
    """Let the actions run with other arguments."""
    return Edit([json_object(one) for one in arguments])


@_decides
def reject(
    reason: Annotated[str, typer.Option("--reason", "--text", help="For the agent to read.")],
) -> Review:
    """Keep the actions from running."""
    return Reject(reason)


@_decides
def respond(
    text: Annotated[str, typer.Option("--text", "--reason", help="For the agent to read.")],
) -> Review:
    """Answer the agent instead of deciding."""
    return Respond(text)


@_decides
def claim(
    release: Annotated[bool, typer.Option("--release", help="Let go of it instead.")] = False,
) -> Review:
    """Keep others off an approval for a while, since you are on it."""
    return Release() if release else Claim()


@_decides
def delegate(
    to: Annotated[str, typer.Option(metavar="NAME", help="Who gets your voice.")],
) -> Review:
    """Have somebody else decide in your place."""
    return Delegate(to)


@_decides
def comment(
    text: Annotated[str, typer.Option(help="For other reviewers to read.")],
) -> Review:
    """Say something about an approval without deciding."""
    return Comment(text)


@app.command()
def take_over(
    conversation: Conversation,
    reviewer: ReviewerId,
    request_id: RequestId = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Take a conversation over; agents keep quiet until it is handed back."""
    call(
        tenant,
        as_json,
        lambda client: client.people.take_over(
            conversation, reviewer=reviewer, request_id=request_id, statement=statement
        ),
    )


@app.command()
def reply(
    conversation: Conversation,
    text: Annotated[str, typer.Argument(help="What the customer gets to read.")],
    reviewer: ReviewerId,
    reply_id: Annotated[str | None, typer.Option(help="Under the same id it is sent once.")] = None,
    statement: Statement = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Answer the customer of a conversation that you hold."""
    call(
        tenant,
        as_json,
        lambda client: client.people.reply(
            conversation, text, reviewer=reviewer, reply_id=reply_id, statement=statement
        ),
    )


@app.command()
def hand_back(
    conversation: Conversation,
    reviewer: ReviewerId,
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
        lambda client: client.people.hand_back(
            conversation, reviewer=reviewer, note=note, request_id=request_id, statement=statement
        ),
    )
