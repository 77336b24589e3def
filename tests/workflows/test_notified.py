"""Conversations tell of their approvals: receivers get signed webhooks, and never hold anything up."""

import json
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.testing import eventually, routed_to, text
from tests.notifications.receiving import Answered, Endpoint, endpoint
from tests.platform import Platform, counting, open_platform

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
POLICY = """
name: test
version: 1
actions:
  add:
    approve: {roles: [boss], quorum: 2, remind_after: 1s, escalate: [{after: 2s, roles: [lead]}]}
  add_for_good: {approve: {roles: [boss], expire_after: 1s}}
"""


def told(receiver: Endpoint) -> list[str]:
    """The types of the notices that came, in order, each once."""
    found: dict[str, str] = {}
    for posted in receiver.posted:
        Webhook(SECRET).verify(posted.body, posted.headers)
        found.setdefault(posted.id, json.loads(posted.body)["type"])
    return list(found.values())


async def test_receivers_are_told_of_every_step_of_an_approval(
    stack_settings: Settings, tenant: str, tmp_path: Path
) -> None:
    async with endpoint() as receiver:
        (tmp_path / f"{tenant}.yaml").write_text(POLICY)
        channels = tmp_path / "channels"
        channels.mkdir()
        (channels / f"{tenant}.yaml").write_text(
            f"webhooks: [{{name: crm, url: '{receiver.url}', secret: {SECRET}}}]"
        )
        async with open_platform(
            stack_settings, tenant, policy_dir=tmp_path, notifications_dir=channels
        ) as platform:
            await _told_in_order(platform, receiver)


async def _told_in_order(platform: Platform, receiver: Endpoint) -> None:
    add = ("add", {"counter": "c", "amount": 150})
    platform.script = routed_to("counter", counting([add], then="Settled."))
    # It hangs at first; the conversation does not wait for it.
    receiver.script = lambda number: Answered(delay=None if number == 0 else 0.0)
    (approval,) = (await platform.send("c1", "add it")).approvals
    platform.script = routed_to("counter", lambda _: text("Still here."))
    assert (await platform.send("c1", "and?")).reply == "Still here."

    async def escalated() -> bool:
        return "approval.escalated" in told(receiver)

    await eventually(escalated, what="the escalation's webhook")
    platform.script = routed_to("counter", counting([add], then="Settled."))
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("bob", roles=["lead"]))
    for_good = ("add_for_good", {"counter": "c", "amount": 1})
    platform.script = routed_to("counter", counting([for_good], then="Expired."))
    await platform.send("c2", "add it for good")

    async def all_told() -> bool:
        return sorted(told(receiver)) == [
            "approval.decided",
            "approval.escalated",
            "approval.expired",
            "approval.reminded",
            "approval.requested",
            "approval.requested",
        ]

    await eventually(all_told, within=30, what="every notice")
    decided = next(one for one in receiver.posted if "approval.decided" in one.body)
    data = json.loads(decided.body)["data"]
    assert (data["approval"], data["state"], data["reviewer"]) == (approval, "accepted", "bob")
    assert data["actions"][0]["arguments"] == {"counter": "c", "amount": 150}
    assert data["roles"] == ["boss", "lead"]
    await platform.replay("c1")
