"""Settings that can't be used are refused by name, and none prints keys, whatever is wrong with it."""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import get_args

import pytest
from pydantic import BaseModel

from holdfast.domain.errors import ConfigurationError
from holdfast.runtime.settings import Settings, read_settings
from tests.docs.blocks import ROOT

SECRET = "hush-7f3a"
FILLED = {
    "HOLDFAST_DATABASE_URL": f"postgresql://me:{SECRET}@127.0.0.1:1/holdfast",
    "HOLDFAST_MIGRATION_URL": f"postgresql://owner:{SECRET}@127.0.0.1:1/holdfast",
    "HOLDFAST_SMTP_URL": f"smtp://me:{SECRET}@mail",
    "OPENAI_API_KEY": SECRET,
    "HOLDFAST_MODELS": json.dumps([{"name": "a", "model": "m", "api_key": SECRET}]),
}
WRONG: dict[str, Mapping[str, str]] = {
    "a database URL": {"HOLDFAST_DATABASE_URL": f"mysql://me:{SECRET}@host/base"},
    "a password with an @": {"HOLDFAST_DATABASE_URL": f"postgresql://me:{SECRET}@x@host/base"},
    "a migration URL": {"HOLDFAST_MIGRATION_URL": f"postgresql://me:{SECRET}@host:port/base"},
    "models that are no list": {"HOLDFAST_MODELS": json.dumps({"api_key": SECRET})},
    "models that are texts": {"HOLDFAST_MODELS": json.dumps([SECRET])},
    "models that are no JSON": {"HOLDFAST_MODELS": f"[{{'api_key': '{SECRET}'}}]"},
    "a provider": {"HOLDFAST_MODELS": json.dumps([{"name": "a", "api_key": SECRET}])},
    "a provider with a key elsewhere": {
        "HOLDFAST_MODELS": json.dumps([{"name": "a", "model": "m", "apikey": SECRET}])
    },
    "an SMTP server": {"HOLDFAST_SMTP_URL": f"http://me:{SECRET}@mail"},
    "something else": {"HOLDFAST_HEALTH_PORT": "many"},
}


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FILLED.items():
        monkeypatch.setenv(name, value)


def test_settings_print_without_keys(filled: None) -> None:
    settings = read_settings()
    assert settings.database_url is not None
    assert SECRET in settings.database_url.get_secret_value()
    assert SECRET in str(settings.models)
    for shown in (repr(settings), str(settings), f"{settings!s}", repr(vars(settings)["smtp_url"])):
        assert SECRET not in shown


def told_by(read: Callable[[], Settings]) -> str:
    """What a traceback would show; empty where nothing is wrong yet."""
    try:
        read()
    except (ConfigurationError, ValueError) as error:
        return "".join(traceback.format_exception(error))
    return ""


@pytest.mark.parametrize("name", ["HOLDFAST_DATABASE_URL", "HOLDFAST_MIGRATION_URL"])
def test_a_wrong_url_is_named(filled: None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "mysql://somewhere")
    with pytest.raises(ConfigurationError, match=f"{name}: the database URL cannot be used"):
        read_settings()


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_no_error_of_settings_shows_a_key(
    filled: None, wrong: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    assert SECRET not in told_by(read_settings)
    assert SECRET not in told_by(Settings)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("arguments", [("worker.py",), ("worker.py", "--migrate")], ids=" ".join)
def test_no_process_that_cannot_start_shows_a_key(
    wrong: Mapping[str, str], arguments: tuple[str, ...]
) -> None:
    inherited = {name: one for name, one in os.environ.items() if "HOLDFAST_" not in name}
    ended = subprocess.run(
        [sys.executable, *arguments],
        env={**inherited, **FILLED, "HOLDFAST_TEMPORAL_ADDRESS": "127.0.0.1:1", **wrong},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode in (2, 4)
    assert SECRET not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def numbers(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """The variables of all settings that are numbers."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        kinds = (field.annotation, *get_args(field.annotation))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from numbers(field.annotation, f"{variable}__")
        elif {int, float, Decimal} & set(kinds):
            yield variable


NUMBERS = tuple(numbers(Settings, "HOLDFAST_"))


def test_the_numbers_are_found() -> None:
    assert len(NUMBERS) > 30
    assert {
        "HOLDFAST_LIMITS__TURN_SECONDS",
        "HOLDFAST_ANSWERS__TURN_DOLLARS",
        "HOLDFAST_HEALTH_PORT",
    } <= set(NUMBERS)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e12", "999999999999", "9" * 5_000, "-1"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_cannot_be_used_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"settings are wrong: {name}: (Input|Unable)"):
        read_settings()


@pytest.mark.parametrize(
    "address",
    [
        "not an address",
        "localhost",
        "http://127.0.0.1:7233",
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "[::1:7",
        ":7233",
        "a b:7",
        "me@host:7",
        "host:7/path",
        "host:٣",
    ],
)
def test_a_wrong_address_of_temporal_is_refused_by_name(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TEMPORAL_ADDRESS", address)
    with pytest.raises(ConfigurationError, match="HOLDFAST_TEMPORAL_ADDRESS: write host:port"):
        read_settings()


@pytest.mark.parametrize("address", ["127.0.0.1:7233", "[::1]:7", "temporal_1:65535", "a.b-c.io:1"])
def test_an_address_of_temporal_is_a_host_and_a_port(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TEMPORAL_ADDRESS", address)
    assert read_settings().temporal_address == address


JSON = ("LIMITS", "ANSWERS", "MODELS", "PACKAGES", "REVIEWER_KEY_BOUNDS")


@pytest.mark.parametrize("setting", JSON)
def test_what_is_no_json_is_refused_by_its_own_name_alone(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HOLDFAST_{setting}", "{bad")
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    named = {one for one in JSON if f"HOLDFAST_{one}" in str(refused.value)}
    assert named == {setting}


def test_json_that_is_nested_too_deep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_MODELS", "[" * 20_000 + "]" * 20_000)
    with pytest.raises(ConfigurationError, match="nested too deep"):
        read_settings()
