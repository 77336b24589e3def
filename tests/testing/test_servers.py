"""The servers of a test run, for a project that has nothing but Holdfast."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.domain.errors import ExtraMissing, Unavailable
from holdfast.testing import servers

_CONFTEST = 'pytest_plugins = ["holdfast.testing.fixtures"]\n'
_TESTS = """
def test_without_servers():
    pass

def test_with_servers(stack_settings, tenant):
    raise AssertionError("it was run")
"""
_WITHOUT = """
import importlib.metadata, sys
import pytest
importlib.metadata.entry_points = lambda **_: ()
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_without_the_embedded_servers_a_test_that_needs_them_says_what_to_install(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_it.py").write_text(_TESTS)
    (tmp_path / "run.py").write_text(_WITHOUT)
    ended = subprocess.run(
        [sys.executable, "run.py", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "HOLDFAST_TEST_STACK"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 error" in ended.stdout
    assert "ExtraMissing" in ended.stdout
    assert "pip install holdfast-devstack" in ended.stdout


def test_servers_that_are_not_installed_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "entry_points", lambda **_: ())
    assert not servers.can_start()
    with pytest.raises(ExtraMissing, match="pip install holdfast-devstack"):
        servers.Servers.start()


async def test_servers_that_did_not_start_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "failed.txt").write_text("no room on the disk")
    with pytest.raises(Unavailable, match="no servers for the tests: no room on the disk"):
        await servers.settings_of(tmp_path)
