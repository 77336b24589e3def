"""Keeps a long conversation short for the model: older messages become a summary."""

import logging

from holdfast.contract.chat import ChatModel
from holdfast.domain.errors import ModelAnswerUnusable, ModelRefused
from holdfast.store.steps import TRANSCRIPT_LIMIT, BegunStep, StoredMessage, Summary

_logger = logging.getLogger(__name__)

KEPT_MESSAGES = 30
"""Messages that stay as they were said."""

_SUMMARIZED_ABOVE = TRANSCRIPT_LIMIT - 10
"""Unsummarised messages above which a step summarises: every ten turns or so, and before any is lost."""

_PROMPT = """\
Summarise this part of a customer's conversation for the colleague who goes on with it: what the
customer wanted, every number, name and date that matters, what was promised, and what was done. At most
200 words, in the language "{language}"."""


async def summarize(model: ChatModel, begun: BegunStep) -> Summary | None:
    """A new summary that also covers the older messages, where there are enough of them.

    None where there are not, where only the offline model could write one, whose rules cannot, and where
    models refuse or fail to: a turn is answered without one, else every later turn would fail as well.
    """
    if len(begun.transcript) <= _SUMMARIZED_ABOVE:
        return None
    older = begun.transcript[:-KEPT_MESSAGES]
    said = "\n".join(f"{message.role}: {message.text}" for message in older)
    if begun.summary:
        said = f"Summary of what was said before:\n{begun.summary}\n\n{said}"
    try:
        completion = await model.chat(
            [
                {"role": "system", "content": _PROMPT.format(language=begun.language)},
                {"role": "user", "content": said},
            ]
        )
    except (ModelRefused, ModelAnswerUnusable) as error:
        _logger.warning("no summary of the older messages: %s", error)
        return None
    if completion.degraded or not completion.text.strip():
        return None
    return Summary(text=completion.text.strip(), through=older[-1].seq)


def transcript_with(
    begun: BegunStep, summary: Summary | None
) -> tuple[str, tuple[StoredMessage, ...]]:
    """The summary's text (empty without one) and the messages that come after it."""
    if summary is None:
        return begun.summary, begun.transcript
    return summary.text, tuple(one for one in begun.transcript if one.seq > summary.through)
