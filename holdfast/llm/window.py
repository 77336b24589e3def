"""Shorter windows of a dialogue, for a model that refuses a longer one."""

from collections.abc import Iterator, Sequence

from openai.types.chat import ChatCompletionMessageParam


def shorter_windows(
    messages: Sequence[ChatCompletionMessageParam],
) -> Iterator[list[ChatCompletionMessageParam]]:
    """The messages with half of the older ones, and then with none of them.

    What stands at the beginning for the model (instructions, what was done before) stays, and so does the
    customer's latest message with all that follows it. A window begins with a customer's message, so that
    no tool's answer stays without its call.
    """
    first = next((at for at, one in enumerate(messages) if one["role"] != "system"), len(messages))
    asked = [at for at in range(first, len(messages)) if messages[at]["role"] == "user"]
    if not asked or asked[-1] == first:
        return
    halfway = next(at for at in asked if at > (first + asked[-1]) // 2)
    for start in dict.fromkeys((halfway, asked[-1])):
        yield [*messages[:first], *messages[start:]]
