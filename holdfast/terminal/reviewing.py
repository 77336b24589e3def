"""Commands of reviewers: approvals, the four decisions, taking conversations over."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from holdfast.domain.approval import ApprovalState, DecisionKind
from holdfast.terminal.options import (
    Approval,
    AsJson,
    Conversation,
    DecisionId,
    Digest,
    Reviewer,
    Roles,
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
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """List what waits for a decision, the nearest deadline first."""

    async def find(client: "HoldfastClient") -> "Shown":
        wanted = None if state == "all" else state
        return {"approvals": await client.approvals(state=wanted, conversation=conversation)}

    call(tenant, as_json, find)


@app.command()
def approve(
    approval: Approval,
    reviewer: Reviewer,
    roles: Roles = [],  # noqa: B006 Typer makes a list of its own
    digest: Digest = None,
    decision_id: DecisionId = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Let the actions run as they were proposed."""
    _decide(tenant, as_json, approval, "accept", reviewer, roles, digest, decision_id)


@app.command()
def edit(
    approval: Approval,
    reviewer: Reviewer,
    arguments: Annotated[
        list[str],
        typer.Option(metavar="JSON", help="The new ones; once for each action, in order."),
    ],
    roles: Roles = [],  # noqa: B006
    digest: Digest = None,
    decision_id: DecisionId = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Let the actions run with other arguments."""
    edited = [json_object(one) for one in arguments]
    _decide(
        tenant, as_json, approval, "edit", reviewer, roles, digest, decision_id, arguments=edited
    )


@app.command()
def reject(
    approval: Approval,
    reviewer: Reviewer,
    reason: Annotated[str, typer.Option("--reason", "--text", help="For the agent to read.")],
    roles: Roles = [],  # noqa: B006
    digest: Digest = None,
    decision_id: DecisionId = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Keep the actions from running."""
    _decide(tenant, as_json, approval, "reject", reviewer, roles, digest, decision_id, text=reason)


@app.command()
def respond(
    approval: Approval,
    reviewer: Reviewer,
    text: Annotated[str, typer.Option("--text", "--reason", help="For the agent to read.")],
    roles: Roles = [],  # noqa: B006
    digest: Digest = None,
    decision_id: DecisionId = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Answer the agent instead of deciding."""
    _decide(tenant, as_json, approval, "respond", reviewer, roles, digest, decision_id, text=text)


@app.command()
def take_over(
    conversation: Conversation,
    reviewer: Reviewer,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Take a conversation over; agents keep quiet until it is handed back."""
    call(tenant, as_json, lambda client: client.take_over(conversation, reviewer=reviewer))


@app.command()
def reply(
    conversation: Conversation,
    text: Annotated[str, typer.Argument(help="What the customer gets to read.")],
    reviewer: Reviewer,
    reply_id: Annotated[str | None, typer.Option(help="Under the same id it is sent once.")] = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Answer the customer of a conversation that you hold."""
    call(
        tenant,
        as_json,
        lambda client: client.reply_as_human(
            conversation, text, reviewer=reviewer, reply_id=reply_id
        ),
    )


@app.command()
def hand_back(
    conversation: Conversation,
    reviewer: Reviewer,
    note: Annotated[str, typer.Option(help="For the agents to read.")] = "",
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Give a conversation that you hold back to the agents."""
    call(
        tenant, as_json, lambda client: client.hand_back(conversation, reviewer=reviewer, note=note)
    )


def _decide(
    tenant: str,
    as_json: bool,
    approval: str,
    kind: DecisionKind,
    reviewer: str,
    roles: list[str],
    digest: str | None,
    decision_id: str | None,
    *,
    text: str = "",
    arguments: list[dict[str, Any]] | None = None,
) -> None:
    call(
        tenant,
        as_json,
        lambda client: client.decide(
            approval,
            kind,
            reviewer=reviewer,
            roles=roles,
            text=text,
            arguments=arguments or (),
            digest=digest,
            decision_id=decision_id,
        ),
    )
