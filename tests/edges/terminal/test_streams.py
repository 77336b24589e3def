"""Output that cannot be encoded, or that nobody reads, never fails what was done."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from holdfast.domain.errors import Overloaded
from holdfast.edges.terminal.runner import exit_code
from holdfast.testing import routed_to, text
from tests.edges.terminal.command import ROOT, starter
from tests.platform import Platform

ANSWER = "Für Ärger: 5 € – 你好 🎉"


def environment(platform: Platform, **more: str) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")
    }
    return {**inherited, **platform.environment, **more}


async def unread(platform: Platform, *arguments: str, closed: str = "") -> int:
    """The exit code of a command whose standard output and error nobody reads."""
    command = [sys.executable, str(ROOT / "starter.py"), *arguments, "--tenant", platform.tenant]
    if closed:
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
    return await asyncio.to_thread(_unread, command, environment(platform))


def _unread(command: list[str], environment: Mapping[str, str]) -> int:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            command, env=environment, cwd=ROOT, stdout=writer, stderr=writer, check=False
        ).returncode
    finally:
        os.close(writer)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
async def test_characters_that_the_output_has_not_are_escaped(
    platform: Platform, encoding: str
) -> None:
    platform.script = routed_to("general", lambda _: text(ANSWER))
    here = {**platform.environment, "PYTHONIOENCODING": encoding}
    tenant = ("--tenant", platform.tenant)
    sent = await starter(here, "send", "c1", "grüß dich 🎉", "--customer", "ann", *tenant, "--json")
    assert sent.document["reply"] == ANSWER
    read = await asyncio.to_thread(_read, platform, encoding, "show", "c1", *tenant)
    assert read.startswith("c1: open")
    assert "5 " in read
    exported = await asyncio.to_thread(_read, platform, encoding, "audit", "export", *tenant)
    for line in exported.splitlines():
        json.loads(line)


def _read(platform: Platform, encoding: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, str(ROOT / "starter.py"), *arguments],
        env=environment(platform, PYTHONIOENCODING=encoding),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode(encoding)


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["for people", "json"])
async def test_a_message_is_sent_also_where_nobody_reads_the_answer(
    platform: Platform, form: tuple[str, ...]
) -> None:
    assert await unread(platform, "send", "c1", "hello", "--customer", "ann", *form) == 0
    assert (await platform.client.show("c1")).turns == 1
    assert await unread(platform, "show", "c1", *form) == 0
    assert await unread(platform, "approvals", *form) == 0
    assert await unread(platform, "list", *form) == 0


def test_an_overload_says_when_to_send_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(Overloaded("too much", retry_after=2.5)) == 3
    assert json.loads(capsys.readouterr().err) == {
        "error": "Overloaded",
        "message": "too much",
        "retry_after": 2.5,
    }


async def test_a_refusal_has_its_exit_code_also_where_nobody_reads_why(platform: Platform) -> None:
    assert await unread(platform, "show", "c9") == 3
    assert await unread(platform, "show", "c9", "--json") == 3


async def test_following_ends_when_nobody_reads_any_more(platform: Platform) -> None:
    await platform.send("c1", "hello")
    async with asyncio.timeout(30):
        assert await unread(platform, "events", "c1", "--follow", "--json") == 0


async def test_an_export_that_nobody_reads_to_its_end_is_no_failure(platform: Platform) -> None:
    assert await unread(platform, "audit", "export") == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
async def test_streams_may_be_closed_altogether(platform: Platform, closed: str) -> None:
    sending = ("send", "c1", "hello", "--customer", "ann", "--message-id", "m1")
    assert await unread(platform, *sending, closed=closed) == 0
    assert await unread(platform, "show", "c9", closed=closed) == 3
    assert (await platform.client.show("c1")).turns == 1


async def test_cases_that_fail_have_their_exit_code_also_where_nobody_reads_which(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cases")
    (folder / "policy.yaml").write_text("name: a\nversion: 1\nactions: {pay: allow}\n")
    (folder / "cases.yaml").write_text(
        "policy: policy.yaml\ncases: [{name: wrong, action: pay, expect: {kind: deny}}]\n"
    )
    command = [sys.executable, "starter.py", "policy", "test", str(folder / "cases.yaml")]
    assert await asyncio.to_thread(_unread, command, environment(platform)) == 3


async def chatting(platform: Platform, said: bytes, redirect: str = "", **more: str) -> str:
    """What a chat by lines says on both streams together, when it ends well."""
    command = [sys.executable, "starter.py", "chat", "c1", "--customer", "ann"]
    command += ["--tenant", platform.tenant]
    ended = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        env=environment(platform, **more),
        cwd=ROOT,
        input=said,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    told: str = ended.stdout.decode()
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
async def test_a_line_that_cannot_be_decoded_is_refused_and_the_chat_goes_on(
    platform: Platform, encoding: str
) -> None:
    platform.script = routed_to("general", lambda _: text("Good morning."))
    told = await chatting(platform, b"caf\xe9\nhello\n", PYTHONIOENCODING=encoding)
    assert "InvalidRequest: text" in told
    assert "Good morning." in told
    said = [one.text for one in await platform.client.messages("c1") if one.role == "customer"]
    assert said == ["hello"]


async def test_a_chat_without_an_input_ends_at_once(platform: Platform) -> None:
    assert await chatting(platform, b"", "<&-") == ""


@pytest.mark.parametrize("arguments", [("--build-id",), ("--help",)])
def test_a_worker_command_that_could_not_print_says_so(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "worker.py", *arguments],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.returncode == 5
    assert b"OutputLost" in ended.stderr
