"""The audit log on the command line: verified, exported, and never believed when it is broken."""

import hashlib
import json
from pathlib import Path
from typing import Any

from holdfast.testing import routed_to
from tests.edges.terminal.command import Ended, starter
from tests.platform import Platform, counting


async def audit(platform: Platform, *arguments: str) -> Ended:
    """Run a command about the test's tenant."""
    return await starter(platform.environment, "audit", *arguments, "--tenant", platform.tenant)


async def act(platform: Platform, *amounts: int) -> None:
    """Do what is recorded in the audit log, once for each amount."""
    for number, amount in enumerate(amounts):
        add = ("add", {"counter": "c", "amount": amount})
        platform.script = routed_to("counter", counting([add]))
        await platform.send(f"c{number}", "please")


async def tamper(platform: Platform, statement: str) -> None:
    """Change the log as its owner."""
    async with platform.database.acquire() as connection, connection.transaction():
        await connection.execute("alter table holdfast.audit disable trigger audit_only_grows")
        await connection.execute(statement, platform.tenant)
        await connection.execute("alter table holdfast.audit enable trigger audit_only_grows")


def digest(entry: dict[str, Any]) -> str:
    """The hash of an exported entry, by the formula of the documentation."""
    at = entry["at"].removesuffix("Z")
    at = f"{at}{'' if '.' in at else '.'}".ljust(26, "0") + "+00:00"
    names = ("kind", "conversation", "subject", "data", "previous_hash")
    hashed = [entry["tenant"], entry["seq"], at, *(entry[name] for name in names)]
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_whole_log_is_told_with_the_head_to_keep(platform: Platform) -> None:
    await act(platform, 1, 2)
    report = (await audit(platform, "verify", "--json")).document
    assert report["entries"] >= 2
    assert report["head"].startswith(f"{report['entries']}:")
    assert (report["tenant"], report["problems"]) == (platform.tenant, [])
    people_read = await audit(platform, "verify")
    assert people_read.code == 0
    assert report["head"] in people_read.out
    await act(platform, 3)
    assert (await audit(platform, "verify", "--expect-head", report["head"])).code == 0


async def test_a_broken_log_is_refused_with_what_is_wrong(platform: Platform) -> None:
    await act(platform, 1, 2)
    await tamper(platform, "update holdfast.audit set kind = 'x' where tenant = $1 and seq = 1")
    ended = await audit(platform, "verify", "--json")
    assert ended.code == 3
    assert ended.error == {
        "error": "AuditBroken",
        "message": f"the audit log of {platform.tenant!r} is broken: entry 1: was changed: its hash "
        "is another one",
    }


async def test_a_log_that_was_cut_lacks_the_head_that_was_kept(platform: Platform) -> None:
    await act(platform, 1, 2)
    head = (await audit(platform, "verify", "--json")).document["head"]
    await tamper(platform, "delete from holdfast.audit where tenant = $1")
    await tamper(platform, "delete from holdfast.audit_heads where tenant = $1")
    assert (await audit(platform, "verify")).code == 0
    ended = await audit(platform, "verify", "--expect-head", head)
    assert (ended.code, ended.error["error"]) == (3, "AuditBroken")
    assert head in ended.error["message"]


async def test_what_is_no_head_is_refused(platform: Platform) -> None:
    ended = await audit(platform, "verify", "--expect-head", "latest")
    assert (ended.code, ended.error["error"]) == (3, "InvalidRequest")


async def test_an_export_can_be_verified_without_the_database(
    platform: Platform, tmp_path: Path
) -> None:
    await act(platform, 1, 2)
    ended = await audit(platform, "export")
    assert ended.code == 0
    previous = ""
    for number, entry in enumerate(ended.lines, start=1):
        assert (entry["seq"], entry["previous_hash"]) == (number, previous)
        previous = digest(entry)
        assert entry["hash"] == previous
    head = (await audit(platform, "verify", "--json")).document["head"]
    assert head == f"{len(ended.lines)}:{previous}"

    later = await audit(platform, "export", "--after", "1")
    assert later.lines[:-1] == ended.lines[1:]
    assert later.lines[-1]["kind"] == "audit_exported"
    file = tmp_path / "audit.jsonl"
    written = await audit(platform, "export", "--output", str(file))
    assert (written.code, written.out) == (0, "")
    assert file.read_text().startswith(ended.out)


async def test_an_export_to_nowhere_is_wrong_usage(platform: Platform, tmp_path: Path) -> None:
    ended = await audit(platform, "export", "--output", str(tmp_path / "none" / "audit.jsonl"))
    assert (ended.code, ended.error["error"]) == (2, "ConfigurationError")
    assert "cannot write" in ended.error["message"]
