"""What the command line says when a request is refused, and that its exit code can be relied on."""

import asyncio
from collections import Counter

import pytest

from holdfast.testing import ModelReply, routed_to, text, tool_calls
from tests.edges.terminal.command import Ended, starter
from tests.platform import Platform


def adding(amount: int) -> ModelReply:
    """The model wants to add to a counter."""
    return tool_calls(("add", {"counter": "c", "amount": amount}))


async def run(platform: Platform, *arguments: str) -> Ended:
    """Run a command in the test's tenant."""
    return await starter(platform.environment, *arguments, "--tenant", platform.tenant, "--json")


async def refused(platform: Platform, *arguments: str) -> str:
    """The error of a command that is refused."""
    ended = await run(platform, *arguments)
    assert ended.code == 3, (ended.out, ended.err)
    return ended.error["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "c9"),
        ("events", "c9"),
        ("cancel", "c9", "--turn", "1"),
        ("close", "c9"),
        ("fork", "c9", "--turn", "1", "--as", "c10"),
        ("take-over", "c9", "--as", "bob"),
        ("reply", "c9", "Hello.", "--as", "bob"),
        ("hand-back", "c9", "--as", "bob"),
    ],
    ids=" ".join,
)
async def test_an_unknown_conversation_is_not_found(
    platform: Platform, arguments: tuple[str, ...]
) -> None:
    assert await refused(platform, *arguments) == "ConversationNotFound"


async def test_an_unknown_approval_is_not_found(platform: Platform) -> None:
    assert await refused(platform, "approve", "ap_9", "--as", "bob") == "ApprovalNotFound"


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "another/c9"),
        ("events", "a b"),
        ("cancel", "x" * 65),
        ("close", "another/c9"),
        ("fork", "a/b", "--turn", "1", "--as", "c10"),
        ("fork", "c9", "--turn", "9" * 30, "--as", "c10"),
        ("take-over", "../c9", "--as", "bob"),
        ("approval", "ap 9"),
        ("approvals", "--conversation", "a/b"),
        ("approvals", "--mine", "a b"),
        ("redrive", "dl 9"),
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
async def test_what_can_be_no_id_is_an_invalid_request(
    platform: Platform, arguments: tuple[str, ...]
) -> None:
    assert await refused(platform, *arguments) == "InvalidRequest"


async def test_a_message_of_20000_characters_is_refused_and_starts_nothing(
    platform: Platform,
) -> None:
    sending = ("send", "c1", "x" * 20_000, "--customer", "ann")
    assert await refused(platform, *sending) == "MessageTooLong"
    assert await refused(platform, "show", "c1") == "ConversationNotFound"


async def test_ids_and_texts_that_cannot_be_used_are_refused(platform: Platform) -> None:
    for conversation, said, customer in (
        ("a/b", "hello", "ann"),
        ("c1", "", "ann"),
        ("c1", "hello", "an n"),
    ):
        sending = ("send", conversation, said, "--customer", customer)
        assert await refused(platform, *sending) == "InvalidRequest"


async def test_a_message_id_with_another_text_is_refused(platform: Platform) -> None:
    message = ("--customer", "ann", "--message-id", "m1")
    assert (await run(platform, "send", "c1", "hello", *message)).code == 0
    assert await refused(platform, "send", "c1", "goodbye", *message) == "MessageConflict"


async def test_wrong_decisions_are_refused_and_the_second_one_as_well(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: adding(100))
    (approval,) = (await platform.send("c1", "a hundred")).approvals
    platform.script = routed_to("counter", lambda _: text("Done."))

    bob = (approval, "--as", "bob")
    counts = (*bob, "--role", "counters")
    assert await refused(platform, "approve", *bob) == "NotAllowed"
    assert await refused(platform, "approve", *counts, "--digest", "0" * 64) == "DigestMismatch"
    assert await refused(platform, "reject", *counts, "--reason", " ") == "InvalidRequest"
    two = ("--arguments", "{}", "--arguments", "{}")
    assert await refused(platform, "edit", *counts, *two) == "InvalidRequest"
    wrong = ("--arguments", '{"counter": "c", "amount": "many"}')
    assert await refused(platform, "edit", *counts, *wrong) == "InvalidEdit"

    taken = await run(platform, "approve", *counts, "--decision-id", "d1")
    assert taken.document["state"] == "accepted"
    again = await run(platform, "approve", *counts, "--decision-id", "d1")
    assert again.document["state"] == "accepted"
    assert await refused(platform, "approve", *counts) == "AlreadyDecided"
    assert await refused(platform, "reject", *counts, "--reason", "late") == "AlreadyDecided"


async def test_a_query_that_temporal_does_not_understand_is_refused(platform: Platform) -> None:
    assert await refused(platform, "list", "--query", "Colour = 'red'") == "InvalidRequest"


# A process that used the Temporal client aborts in about one exit of five unless it leaves in time.
@pytest.mark.parametrize(
    "times", [5, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
async def test_many_runs_in_a_row_exit_with_the_right_code(platform: Platform, times: int) -> None:
    await platform.send("c1", "hello")
    expected = {("show", "c1"): 0, ("events", "c1"): 0, ("show", "c9"): 3, ("close", "c9"): 3}
    codes: Counter[tuple[tuple[str, ...], int]] = Counter()
    runs = [command for command in expected for _ in range(times)]

    async def work() -> None:
        while runs:
            command = runs.pop()
            codes[command, (await run(platform, *command)).code] += 1

    await asyncio.gather(work(), work())
    assert codes == dict.fromkeys(expected.items(), times)
