"""What models write into their text that is not meant for the customer: thoughts, and calls as markup.

A call that is written as markup is never read as a call: the text may quote the customer's. Whoever has a
model repeat something decides what is searched here, so every pattern takes time that grows with the text and
no faster: what it repeats is possessive (`*+`), and begins where nothing before it could have begun.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any

from holdfast.llm.answer.values import Unfit, parsed

_THOUGHT = re.compile(
    r"<(/?)(?:think|thinking|thoughts?|reasoning)\s*+>|\[(/?)THINK\]|◁(/?)think▷", re.IGNORECASE
)
_FINAL = "<|channel|>final<|message|>"
_LAST_TOKENS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|return|>", "</s>",
    "<｜end▁of▁sentence｜>",
)  # fmt: skip
_CALL = re.compile(
    r"</?(?:tool_calls?|function_calls?|tool_use|tool_code|tool_request)\b"
    r"|<(?:\w+:)?(?:invoke|function)\s*+(?:name\s*+)?+=|</(?:function|invoke)>"
    r"|\[/?(?:TOOL_CALLS?|TOOL_REQUEST|AVAILABLE_TOOLS)\]"
    r"|<\|[a-z_]{2,40}\|>|<｜[^｜\n]{2,40}｜>"
    r"|```\s*+tool_(?:code|call)"
    r"|\bto=functions\.",
    re.IGNORECASE,
)
_NAMING = ("name", "tool", "tool_name", "function", "function_name", "action")
_GIVING = ("arguments", "parameters", "args", "params", "input", "action_input")
_LONGEST_CALL = 50_000


def without_thoughts(text: str) -> str:
    """The text without what the model thought. A thought that nothing ends goes to the end; one that
    nothing begins was begun by the prompt, and goes from the start."""
    if _FINAL in text:
        text = text.rpartition(_FINAL)[2]
    said: list[str] = []
    thinking, at = False, 0
    for mark in _THOUGHT.finditer(text):
        if any(mark.groups()):
            if not thinking:
                said.clear()
            thinking, at = False, mark.end()
        elif not thinking:
            said.append(text[at : mark.start()])
            thinking = True
    if not thinking:
        said.append(text[at:])
    rest = _without_last_tokens("".join(said))
    return rest.strip() if rest != text else rest


def _without_last_tokens(text: str) -> str:
    """The text without the template's tokens at its end, which may have white space between and behind them."""
    kept = end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        last = next((token for token in _LAST_TOKENS if text.endswith(token, 0, end)), None)
        if last is None:
            return text[:kept]
        kept = end = end - len(last)


def calls_in_words(text: str, tools: Collection[str]) -> bool:
    """Whether the text is, or has in it, a call that belongs among the tool calls."""
    if _CALL.search(text):
        return True
    words = text.strip()
    if not tools or len(words) > _LONGEST_CALL:
        return False
    if words.startswith("```") and words.endswith("```"):
        words = words[3:-3].partition("\n")[2].strip()
    if words.startswith(("{", "[")) and _is_call(words, tools):
        return True
    names = "|".join(re.escape(name) for name in tools)
    return re.match(rf"\[?(?:functions\.)?(?:{names})\(", words) is not None and words.endswith(
        (")", ")]")
    )


def _is_call(words: str, tools: Collection[str]) -> bool:
    try:
        value = parsed(words)
    except Unfit:
        return False
    ones: Iterable[Any] = value if isinstance(value, list) else (value,)
    for one in ones:
        if not isinstance(one, dict):
            continue
        inner = one.get("function")
        named = inner if isinstance(inner, dict) else one
        if any(named.get(key) in tools for key in _NAMING if isinstance(named.get(key), str)) and (
            any(key in named for key in _GIVING)
        ):
            return True
    return False
