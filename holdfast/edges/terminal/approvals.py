"""Commands of reviewers: approvals, decisions on them, taking conversations over."""

import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
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
    from holdfast.client.people import People
    from holdfast.edges.terminal.output import Shown

    _Act = Callable[[People], Callable[..., Awaitable[Shown]]]

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


def _register(command: Callable[..., None], own: Callable[..., object]) -> None:
    """Make `command` one of the app with the name and the help of `own`, whose options stand behind the first
    two of `command`; it gets them as keywords."""
    first, second, *shared, _ = inspect.signature(command).parameters.values()
    options = inspect.signature(own).parameters.values()
    command.__signature__ = inspect.Signature([first, second, *options, *shared])  # type: ignore[attr-defined]
    app.command(own.__name__.replace("_", "-"), help=own.__doc__)(command)


def _decides(review: Callable[..., Review]) -> Callable[..., Review]:
    """Make `review`, whose parameters are its own options, a command that decides on an approval."""

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

    _register(command, review)
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


def _acts(act: Callable[..., "_Act"]) -> Callable[..., "_Act"]:
    """Make `act`, whose parameters are its own options, a command of a person in a conversation."""

    def command(
        conversation: Conversation,
        reviewer: ReviewerId,
        statement: Statement = None,
        tenant: Tenant = "demo",
        as_json: AsJson = False,
        **own: Any,
    ) -> None:
        ask = act(**own)
        call(
            tenant,
            as_json,
            lambda client: ask(client.people)(conversation, reviewer=reviewer, statement=statement),
        )

    _register(command, act)
    return act


@_acts
def take_over(request_id: RequestId = None) -> "_Act":
    """Take a conversation over; agents keep quiet until it is handed back."""
    return lambda people: partial(people.take_over, request_id=request_id)


@_acts
def reply(
    text: Annotated[str, typer.Argument(help="What the customer gets to read.")],
    reply_id: Annotated[str | None, typer.Option(help="Under the same id it is sent once.")] = None,
) -> "_Act":
    """Answer the customer of a conversation that you hold."""
    return lambda people: partial(people.reply, text=text, reply_id=reply_id)


@_acts
def hand_back(
    note: Annotated[str, typer.Option(help="For the agents to read.")] = "",
    request_id: RequestId = None,
) -> "_Act":
    """Give a conversation that you hold back to the agents."""
    return lambda people: partial(people.hand_back, note=note, request_id=request_id)
