"""Settings never print keys, whatever is wrong with them."""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping

import pytest

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
