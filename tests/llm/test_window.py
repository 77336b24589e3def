"""Shorter windows of a dialogue."""

from openai.types.chat import ChatCompletionMessageParam

from holdfast.llm.window import shorter_windows

SYSTEM: ChatCompletionMessageParam = {"role": "system", "content": "You help."}
DONE: ChatCompletionMessageParam = {"role": "system", "content": "Already done: pay 5"}


def user(text: str) -> ChatCompletionMessageParam:
    return {"role": "user", "content": text}


def said(text: str) -> ChatCompletionMessageParam:
    return {"role": "assistant", "content": text}


def tool(text: str) -> ChatCompletionMessageParam:
    return {"role": "tool", "tool_call_id": "c", "content": text}


def test_older_messages_go_first_by_half_and_then_all() -> None:
    older = [one for n in range(4) for one in (user(f"q{n}"), said(f"a{n}"))]
    latest = [user("now"), said("a call"), tool("a result")]
    half, none = shorter_windows([SYSTEM, DONE, *older, *latest])
    assert half == [SYSTEM, DONE, *older[6:], *latest]
    assert none == [SYSTEM, DONE, *latest]


def test_a_window_begins_with_a_customers_message() -> None:
    older = [user("q"), said("a call"), tool("1"), tool("2"), tool("3"), said("a")]
    (only,) = shorter_windows([SYSTEM, *older, user("now")])
    assert only == [SYSTEM, user("now")]


def test_there_is_no_shorter_one_than_the_latest_message() -> None:
    assert list(shorter_windows([SYSTEM, user("now"), said("a call"), tool("1")])) == []
    assert list(shorter_windows([SYSTEM])) == []
    assert list(shorter_windows([])) == []
