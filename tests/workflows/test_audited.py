"""The audit log says what policy denied, what people did in conversations, and what was read or sent again."""

import asyncio
from pathlib import Path
from typing import Any

from holdfast.activities.changes import keep_noting_changes
from holdfast.domain.audit import AuditEntry
from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.store.changes import PLATFORM
from holdfast.testing import eventually, routed_to
from holdfast.worker.assembly import open_resources
from tests.platform import Platform, counting
from tests.security.examples import jwks


async def entries(platform: Platform, *kinds: str) -> list[AuditEntry]:
    found = [one async for one in platform.client.audit.entries()]
    report = await platform.client.audit.verify()
    assert report.problems == ()
    return [one for one in found if one.kind in kinds]


async def test_what_people_do_in_a_conversation_is_in_the_audit_log(platform: Platform) -> None:
    client = platform.client
    await platform.send("c1", "hello")
    await client.people.take_over("c1", reviewer="lena")
    said = await client.people.reply("c1", "This is Lena.", reviewer="lena", reply_id="r1")
    await client.people.hand_back("c1", reviewer="lena", note="All is well.")
    await client.close("c1", reason="done")
    found = await entries(
        platform,
        "conversation_taken_over",
        "human_reply",
        "conversation_handed_back",
        "conversation_closed",
    )
    assert [(one.kind, one.conversation) for one in found] == [
        ("conversation_taken_over", "c1"),
        ("human_reply", "c1"),
        ("conversation_handed_back", "c1"),
        ("conversation_closed", "c1"),
    ]
    data: list[Any] = [one.data for one in found]
    assert data[0]["reviewer"] == "lena"
    assert (data[1]["reviewer"], data[1]["message"], data[1]["id"]) == ("lena", said.seq, "r1")
    assert (data[2]["reviewer"], data[2]["note"]) == ("lena", "All is well.")
    assert data[3] == {"reason": "done"}


async def test_a_denial_by_policy_is_in_the_audit_log_and_an_allowed_action_adds_none(
    platform: Platform,
) -> None:
    adding = [[("add", {"counter": "c", "amount": amount})] for amount in (950, 7, 1)]
    platform.script = routed_to("counter", counting(*adding, then="Done."))
    await platform.send("c1", "add")
    [denied] = await entries(platform, "proposal_denied")
    data: Any = denied.data
    [action] = data["actions"]
    assert (data["agent"], action["name"], action["arguments"]["amount"]) == ("counter", "add", 950)
    assert (action["rule"], action["reason"]) == ("add[0]", "Nobody adds that much.")
    assert len(action["policy_digest"]) == 64


async def test_a_cancelled_turn_is_in_the_audit_log(platform: Platform) -> None:
    adding = [("add", {"counter": "c", "amount": 150})]
    platform.script = routed_to("counter", counting(adding, then="Done."))
    await platform.send("c1", "add")
    await platform.client.cancel_turn("c1", 1, reason="asked by phone")
    [cancelled] = await entries(platform, "turn_cancelled")
    assert cancelled.data == {"turn": 1, "reason": "asked by phone"}


async def test_forks_exports_and_reads_by_people_are_in_the_audit_log(platform: Platform) -> None:
    client = platform.client
    await platform.send("c1", "hello")
    await client.show("c1")
    await client.show("c1", reader="tom")
    await client.fork("c1", turn=1, target="c2", by="tom")
    exported = [one async for one in client.audit.export(reader="tom")]
    found = await entries(platform, "conversation_read", "conversation_forked", "audit_exported")
    assert [one.kind for one in found] == [
        "conversation_read",
        "conversation_forked",
        "audit_exported",
    ]
    assert exported[-1] == found[-1]
    data: list[Any] = [one.data for one in found]
    assert [one.get("reader") or one.get("by") for one in data] == ["tom"] * 3
    assert (found[1].conversation, found[1].subject, data[1]["turn"]) == ("c1", "c2", 1)


async def test_changed_keys_and_policies_are_in_the_platforms_own_log(
    stack_settings: Settings, tmp_path: Path, platform: Platform
) -> None:
    keys, policies = tmp_path / "keys.json", tmp_path / "policies"
    policies.mkdir()
    first = SigningKey.generate("k1")
    keys.write_text(jwks([first]))
    (policies / "default.yaml").write_text("name: ours\nversion: 1\nactions: {add: allow}\n")
    settings = stack_settings.model_copy(
        update={"reviewer_keys": str(keys), "policy_dir": policies}
    )

    async def noted(kind: str, subject: str, number: int) -> list[Any]:
        async def so_many() -> list[Any]:
            rows = await platform.database.fetch(
                "select data from holdfast.audit where tenant = $1 and kind = $2 and subject = $3 "
                "order by seq",
                PLATFORM,
                kind,
                subject,
            )
            return [row["data"] for row in rows] if len(rows) == number else []

        found: list[Any] = await eventually(so_many, what=f"{number} of {kind}")
        return found

    async with open_resources(settings, load_packages(["tests.counter:package"])) as resources:
        noting = [asyncio.create_task(keep_noting_changes(resources, every=0.05)) for _ in range(2)]
        try:
            await noted("keys_changed", str(keys), 1)
            keys.write_text(jwks([first, SigningKey.generate("k2")]))
            changed = await noted("keys_changed", str(keys), 2)
            keys.write_text('{"keys": []}')
            changed = await noted("keys_changed", str(keys), 3)
            (policies / "default.yaml").write_text("name: ours\nversion: 2\nactions: {add: deny}\n")
            policy = await noted("policies_changed", str(policies), 2)
        finally:
            for one in noting:
                one.cancel()
            await asyncio.gather(*noting, return_exceptions=True)
    assert [one["added"] for one in changed] == [["k1"], ["k2"], []]
    assert changed[2]["removed"] == ["k1", "k2"]
    assert policy[1]["changed"] == ["default.yaml"]
    assert policy[1]["now"]["default.yaml"].startswith("ours 2 ")
