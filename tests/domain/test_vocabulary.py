"""The vocabulary's models do not change, and can be imported where no driver may come along."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel, ValidationError

import holdfast.domain
from holdfast.domain.activity_protocol import EndResult, StepRequest
from holdfast.domain.conversation import ConversationState, CustomerMessage, TurnResult
from holdfast.domain.limits import Limits
from holdfast.domain.model import Frozen, Strict
from holdfast.domain.outcomes import ActionResult, ProposedAction, Reply

ROOT = Path(__file__).parents[2]
HEAVY = {"asyncpg", "langgraph", "langchain_core", "openai", "sqlalchemy", "alembic", "temporalio"}


def domain_modules() -> list[ModuleType]:
    return [
        importlib.import_module(f"holdfast.domain.{found.name}")
        for found in pkgutil.iter_modules(holdfast.domain.__path__)
    ]


def imported_by(*modules: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after importing these."""
    code = f"import {', '.join(modules)}, sys; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_domain_brings_no_driver_graph_or_client_along() -> None:
    names = [module.__name__ for module in domain_modules()]
    assert len(names) > 8
    assert not imported_by(*names) & HEAVY


def test_importing_the_library_alone_brings_nothing_along() -> None:
    assert not imported_by("holdfast") & (HEAVY | {"pydantic", "starlette", "uvicorn"})


def test_every_public_name_can_be_loaded() -> None:
    for name in holdfast.__all__:
        assert getattr(holdfast, name).__name__.rpartition(".")[2] == name or name.isupper()
    with pytest.raises(AttributeError, match="nonsense"):
        _ = holdfast.nonsense


def test_every_model_but_the_workflows_own_state_is_frozen() -> None:
    models = {
        member
        for module in domain_modules()
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, BaseModel) and member.__module__ == module.__name__
    }
    assert len(models) > 30
    thawed = {model for model in models if not model.model_config.get("frozen")}
    assert thawed == {ConversationState}


def test_what_people_write_is_checked_for_typos_and_what_machines_say_is_not() -> None:
    with pytest.raises(ValidationError, match="mesage_id"):
        CustomerMessage.model_validate(
            {"message_id": "m", "customer": "c", "text": "t", "mesage_id": "m"}
        )
    result = TurnResult.model_validate({"turn": 1, "status": "answered", "of_tomorrow": True})
    assert result == TurnResult(turn=1, status="answered")
    assert issubclass(CustomerMessage, Strict)
    assert issubclass(TurnResult, Frozen)
    assert not issubclass(TurnResult, Strict)


def test_what_postgres_cannot_store_is_refused_wherever_it_hides() -> None:
    with pytest.raises(ValidationError, match="NUL"):
        CustomerMessage(message_id="m", customer="c", text="a\0b")
    for hidden in ({"a": ["\0"]}, {"a": {"\0": 1}}, {"\0": 1}, {"a": "\ud83d"}):
        with pytest.raises(ValidationError, match="NUL"):
            ProposedAction.model_validate({"name": "x", "arguments": hidden})
    assert ProposedAction(name="x", arguments={"a": "\U0001f600"})


@pytest.mark.parametrize("name", sorted(Limits.model_fields))
def test_no_limit_may_be_zero(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Limits.model_validate({name: 0})


def test_values_survive_the_way_through_json() -> None:
    message = CustomerMessage(message_id="m1", customer="ann", text="hé\n")
    request = StepRequest(
        tenant="t", conversation="c", turn=1, step=1, thread=1, subgraph="s", attempts=3,
        message=message,
    )  # fmt: skip
    ended = EndResult(result=TurnResult(turn=1, status="answered", reply="Hi."))
    assert StepRequest.model_validate_json(request.model_dump_json()) == request
    assert EndResult.model_validate_json(ended.model_dump_json()) == ended


def test_only_an_executed_action_that_stands_is_ok() -> None:
    states = ["executed", "refused", "failed", "denied", "expired", "compensated"]
    results = [
        ActionResult.model_validate({"id": "a", "name": "n", "arguments": {}, "state": state})
        for state in states
    ]
    assert [result.state for result in results if result.ok] == ["executed"]


@pytest.mark.parametrize("text", ["", " \n ", "\t\u200b\u00a0", "\u2060"])
def test_a_reply_without_anything_to_read_is_none(text: str) -> None:
    with pytest.raises(ValidationError):
        Reply(text=text)
    assert Reply(text=f"{text}…").text == f"{text}…"
