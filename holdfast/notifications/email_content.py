"""Notices in words: the subject, text and HTML of an e-mail. Customers' words are quoted, never obeyed."""

import html
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from holdfast.domain.model import Frozen
from holdfast.domain.notifications import ApprovalData, NoticedAction, NoticeType, Payload
from holdfast.domain.text import line

_SUBJECT_CHARACTERS = 150

_SUBJECTS: Mapping[NoticeType, str] = {
    "approval.requested": "Approval needed",
    "approval.reminded": "Still waiting for approval",
    "approval.escalated": "Approval escalated",
    "approval.decided": "Approval {state}",
    "approval.expired": "Approval expired",
    "approval.withdrawn": "Approval no longer needed",
}

_INTRODUCTIONS: Mapping[NoticeType, str] = {
    "approval.requested": "{agent} asks for an approval.",
    "approval.reminded": "{agent} has asked for an approval, and nobody has decided yet.",
    "approval.escalated": "Nobody has decided in time, so that more people may decide now.",
    "approval.decided": "The approval is {state}.",
    "approval.expired": "Nobody has decided in time: the approval is {state}.",
    "approval.withdrawn": "The request was taken back. Nothing needs to be decided.",
}


class RenderedEmail(Frozen):
    """An e-mail's words. The subject is one line; the HTML is a whole document."""

    subject: str
    text: str
    html: str


def render_email(payload: Payload) -> RenderedEmail:
    """What people read of a notice."""
    data = payload.data
    subject = _SUBJECTS[payload.type].format(state=data.state)
    introduction = _INTRODUCTIONS[payload.type].format(
        state="accepted, as policy says" if _by_silence(payload) else data.state,
        agent=f"The agent {line(data.agent)}",
    )
    rows = [(label, line(value)) for label, value in _rows(data) if value]
    return RenderedEmail(
        subject=line(f"{subject}: {_title(data.actions[0])}", _SUBJECT_CHARACTERS)
        if data.actions
        else subject,
        text="\n".join([introduction, "", *(f"{label}: {value}" for label, value in rows), ""]),
        html=_document(introduction, rows),
    )


def _by_silence(payload: Payload) -> bool:
    return payload.type == "approval.expired" and payload.data.state == "accepted"


def _rows(data: ApprovalData) -> list[tuple[str, str]]:
    """What is said of an approval, by label; empty where there is nothing to say."""
    rows = [("Reason", data.reason)]
    for action in data.actions:
        arguments = json.dumps(action.arguments, ensure_ascii=False)
        rows += [("Action", _title(action)), ("Arguments", f"{action.name} {arguments}")]
    return [
        *rows,
        ("Decided by", data.reviewer or ""),
        ("They said", data.text),
        ("Who may decide", " or ".join(data.roles)),
        ("Decide before", _time(data.expires_at) if data.state == "pending" else ""),
        ("Approval", data.approval),
        ("Conversation", f"{data.conversation}, turn {data.turn}"),
    ]


def _title(action: NoticedAction) -> str:
    return action.title or action.name


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _document(introduction: str, rows: list[tuple[str, str]]) -> str:
    cells = "\n".join(
        f'<tr><th align="left" valign="top">{html.escape(label)}</th>'
        f"<td>{html.escape(value)}</td></tr>"
        for label, value in rows
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"></head><body>\n'
        f"<p>{html.escape(introduction)}</p>\n"
        f'<table cellpadding="4">\n{cells}\n</table>\n</body></html>\n'
    )
