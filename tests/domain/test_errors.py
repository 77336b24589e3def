"""Each error has a name of its own on the wire, and the name leads back to it."""

import inspect

from holdfast.domain import errors
from holdfast.domain.errors import ERRORS_BY_CODE, HoldfastError, Refused

CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, HoldfastError)
]


def test_every_code_is_used_once_and_is_the_name_of_its_class() -> None:
    assert [one.code for one in CLASSES] == [one.__name__ for one in CLASSES]
    assert len({one.code for one in CLASSES}) == len(CLASSES)


def test_every_error_is_found_by_its_code() -> None:
    assert {one.code: one for one in CLASSES} == ERRORS_BY_CODE


def test_what_a_conversation_refuses_comes_back_as_a_refusal() -> None:
    refusals = [one for one in CLASSES if issubclass(one, Refused)]
    assert len(refusals) > 10
    for refusal in refusals:
        raised = ERRORS_BY_CODE[refusal.code]("why")
        assert isinstance(raised, Refused)
        assert str(raised) == "why"
