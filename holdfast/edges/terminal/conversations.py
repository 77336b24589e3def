"""Commands about conversations: send, show, chat, list, events, cancel, close, fork."""

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.domain.conversation import ConversationPhase, OnBusy
from holdfast.edges.terminal.options import AsJson, By, Conversation, Customer, Reader, Tenant
from holdfast.edges.terminal.runner import call, print_document, with_client

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient
    from holdfast.edges.terminal.output import Shown

app = typer.Typer()


@app.command()
def send(
    conversation: Conversation,
    text: Annotated[str, typer.Argument(help="What the customer says.")],
    customer: Customer,
    message_id: Annotated[
        str | None, typer.Option(help="Under the same id, the first answer comes again.")
    ] = None,
    on_busy: Annotated[OnBusy, typer.Option(help="What to do while a turn is running.")] = "queue",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Wait for acceptance only.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait.")] = 300.0,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Send a customer's message and show the answer."""
    call(
        tenant,
        as_json,
        lambda client: client.send(
            conversation,
            text,
            customer=customer,
            message_id=message_id,
            on_busy=on_busy,
            wait=not no_wait,
            timeout=timeout,
        ),
    )


@app.command()
def show(
    conversation: Conversation,
    reader: Reader = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Show a conversation: messages, actions, approvals, costs."""
    call(tenant, as_json, lambda client: client.show(conversation, reader=reader))


@app.command()
def chat(
    conversation: Conversation,
    customer: Customer,
    tenant: Tenant = "demo",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each message as a line of JSON.")
    ] = False,
) -> None:
    """Chat as a customer until the input ends (on a terminal: Ctrl-D)."""

    async def run(client: "HoldfastClient") -> None:
        from holdfast.edges.terminal.chat import Chat, chat_by_lines, chat_on_terminal

        session = Chat(
            client,
            conversation,
            customer,
            show=lambda message: print_document(message, as_json),
            notice=_notice,
        )
        await (chat_on_terminal(session) if sys.stdin.isatty() else chat_by_lines(session))

    with_client(tenant, run)


def _notice(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        print(text, file=sys.stderr, flush=True)


@app.command("list")
def list_(
    status: Annotated[ConversationPhase | None, typer.Option(help="Only those.")] = None,
    query: Annotated[
        str | None, typer.Option(help="A Temporal list filter, on top of the status.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """List conversations, from Temporal's visibility."""

    async def find(client: "HoldfastClient") -> "Shown":
        found = await client.list_conversations(status=status, query=query, limit=limit)
        return {"conversations": found}

    call(tenant, as_json, find)


@app.command()
def events(
    conversation: Conversation,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with those to come.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Begin after this number.")] = 0,
    tenant: Tenant = "demo",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; with --follow, one a line.")
    ] = False,
) -> None:
    """Show what happened in a conversation."""

    async def run(client: "HoldfastClient") -> None:
        recorded = client.events(conversation, after=after, follow=follow)
        if follow:
            async for event in recorded:
                if not print_document(event, as_json):
                    return
        else:
            print_document({"events": [event async for event in recorded]}, as_json)

    with_client(tenant, run)


@app.command()
def cancel(
    conversation: Conversation,
    turn: Annotated[int | None, typer.Option(min=1, help="By default the running one.")] = None,
    reason: Annotated[str, typer.Option(help="What is recorded.")] = "cancelled on request",
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Cancel a turn that is queued, running or waiting for approval."""

    async def run(client: "HoldfastClient") -> "Shown":
        cancelled = await client.cancel_turn(conversation, turn, reason=reason)
        return {"conversation": conversation, "turn": cancelled}

    call(tenant, as_json, run)


@app.command()
def close(
    conversation: Conversation,
    reason: Annotated[str, typer.Option(help="What is recorded.")] = "closed on request",
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Close a conversation once its messages are answered; a new message reopens it."""
    call(tenant, as_json, lambda client: client.close(conversation, reason=reason))


@app.command()
def fork(
    conversation: Conversation,
    turn: Annotated[int, typer.Option(min=1, help="The last turn that the new one has.")],
    target: Annotated[str, typer.Option("--as", metavar="NEW", help="The new one's id.")],
    by: By = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Make a new conversation that starts from the state after a turn of another."""
    call(tenant, as_json, lambda client: client.fork(conversation, turn=turn, target=target, by=by))
