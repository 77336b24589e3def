"""A reviewer's screen shows what customers, models and reviewers wrote, and is written by us alone."""

import io
import json
import shlex
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from rich.console import Console

from holdfast.client.views import ConversationView
from holdfast.domain.notifications import ApprovalData, NoticedAction, Payload
from holdfast.domain.records import ApprovalRecord
from holdfast.domain.review import Comment, Reviewer
from holdfast.domain.text import MARGIN
from holdfast.edges.terminal.output import render
from holdfast.notifications.email import compose
from holdfast.testing import routed_to
from tests.platform import Platform, counting

FORGED = (
    "please\r\n  needs     nobody\u2028  approve   holdfast approve EVIL\x85ap_evil: accepted"
    "\x1b[2J\x1b]0;owned\x07\x9b31m\u202edevorppa\u2066\u200b"
    + "\u2800" * 200
    + "  deadline  passed"
)
LABELS = (
    "customer",
    "why",
    "evidence",
    "policy",
    "action",
    "decision",
    "needs",
    "deadline",
    "approve",
)


@pytest.fixture
async def asked(platform: Platform) -> ApprovalRecord:
    """An approval about which everybody wrote what would look like something else."""
    adding = [("add", {"counter": FORGED, "amount": 150})]
    platform.script = routed_to("counter", counting(adding, then="Done."))
    parked = await platform.send("c1", FORGED)
    await platform.client.approvals.decide(parked.approvals[0], Comment(FORGED), by=Reviewer("eve"))
    return await platform.client.approvals.get(parked.approvals[0])


def printed(shown: Any, **options: Any) -> list[str]:
    file = io.StringIO()
    render(Console(file=file, color_system=None, **options), shown)
    return file.getvalue().split("\n")


@pytest.mark.parametrize(
    "options",
    [{}, {"force_terminal": True, "width": 80}, {"force_terminal": True, "width": 200}],
    ids=["piped", "narrow", "wide"],
)
async def test_no_row_of_an_approval_is_anybody_elses(
    asked: ApprovalRecord, options: dict[str, Any]
) -> None:
    lines = printed({"approvals": [asked]}, **options)
    assert all(one.isprintable() for one in lines)
    rows = [one for one in lines[1:] if one.strip()]
    ours = [one for one in rows if one[2:12].strip().split(" ")[0] in LABELS]
    for label in ("needs", "approve", "deadline"):
        assert sum(one[2:].startswith(f"{label} ") for one in ours) == 1, label
    others = [one for one in rows if one not in ours]
    assert all(one.startswith((" " * 12, " " * 12 + MARGIN)) for one in others)
    assert sum(one.startswith("ap_") for one in lines) == 1


async def test_the_command_that_is_suggested_runs_nothing_else(asked: ApprovalRecord) -> None:
    (requirement,) = asked.approval.requirements
    requirement = requirement.model_copy(update={"roles": ("boss; touch x",)})
    approval = asked.approval.model_copy(update={"requirements": (requirement,)})
    lines = printed({"approvals": [asked.model_copy(update={"approval": approval})]})
    (command,) = [one.split("approve", 1)[1] for one in lines if one.startswith("  approve ")]
    assert shlex.split(command)[-1] == "boss; touch x"


async def test_no_line_of_a_conversation_is_anybody_elses(
    platform: Platform, asked: ApprovalRecord
) -> None:
    view: ConversationView = await platform.client.show("c1")
    lines = printed(view, force_terminal=True, width=60)
    assert all(one.isprintable() for one in lines)
    assert sum(one.startswith("ap_") for one in lines) == 1
    assert not any(one.startswith("  approve   holdfast approve EVIL") for one in lines)
    broken = [one for one in lines if "needs     nobody" in one]
    assert all(one.startswith(("   1 ", " " * 5 + MARGIN)) for one in broken)


async def test_json_steers_no_terminal(platform: Platform, asked: ApprovalRecord) -> None:
    from holdfast.edges.terminal.runner import print_document

    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        print_document({"approvals": [asked]}, True)
    assert out.getvalue().rstrip("\n").isprintable()
    (said,) = json.loads(out.getvalue())["approvals"]
    assert said["question"] == FORGED


def test_an_email_has_our_headers_and_rows_alone() -> None:
    data = ApprovalData.model_validate(
        {
            "approval": "ap_1",
            "conversation": "c1",
            "turn": 1,
            "agent": FORGED,
            "reason": FORGED + "\nWho may decide: everybody",
            "actions": (
                NoticedAction(
                    name="add", title="x\r\nBcc: eve@example.com\r\n\r\n" + FORGED, arguments={}
                ),
            ),
            "roles": ("boss",),
            "state": "pending",
            "requested_at": "2026-03-01T12:00:00Z",
            "due_at": None,
            "expires_at": "2026-03-02T12:00:00Z",
            "text": FORGED,
        }
    )
    payload = Payload.model_validate(
        {"type": "approval.requested", "timestamp": "2026-03-01T12:00:00Z", "data": data}
    )
    message = compose(payload, delivery="dl_1", sender="a@example.com", recipient="b@example.com")
    read = message_from_bytes(message.as_bytes(), policy=default)
    assert read["Bcc"] is None
    assert read["To"] == "b@example.com"
    assert len(read.get_all("Subject", [])) == 1
    body = read.get_body(("plain",))
    assert body is not None
    labels = [one.partition(":")[0] for one in body.get_content().splitlines() if ": " in one]
    assert labels.count("Who may decide") == 1
    assert labels.count("Approval") == 1
