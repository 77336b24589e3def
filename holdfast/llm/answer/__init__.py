"""A model's answer is made regular here, and nowhere else.

An HTTP body becomes a `ModelResponse` that can be recorded (`body`), which becomes a completion or a
structured value (`reading`), or an `Unusable` that says what is wrong with it. What is wrong is shown to
the model once (`correction`). A body that is no answer at all is a `NoAnswer`: an outage.
"""

from holdfast.llm.answer.body import NoAnswer, ReadBody, read_body, refusal_of
from holdfast.llm.answer.completion import Unusable, completion_of, cut_to, fitting
from holdfast.llm.answer.correction import corrected

__all__ = [
    "NoAnswer",
    "ReadBody",
    "Unusable",
    "completion_of",
    "corrected",
    "cut_to",
    "fitting",
    "read_body",
    "refusal_of",
]
