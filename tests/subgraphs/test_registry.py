"""Whose policy decides about an action: the tenant's, the one for all tenants, or the package's."""

from pathlib import Path

import pytest

from holdfast.domain.errors import ConfigurationError
from holdfast.subgraphs.registry import Registry, load_policies
from tests.counter import package

POLICY = """
name: {name}
version: 1
actions:
  add: allow
"""


def decider(folder: Path | None, tenant: str) -> str:
    """The name of the policy that decides about the counter's `add` for a tenant."""
    registry = Registry(builtin=(), packages=[package], policies=load_policies(folder))
    return registry.policy(tenant, "add").name


def test_a_file_of_the_tenants_own_comes_before_the_one_for_all(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(POLICY.format(name="acmes-own"))
    assert decider(tmp_path, "acme") == "acmes-own"
    assert decider(tmp_path, "globex") == "counter"
    (tmp_path / "default.yaml").write_text(POLICY.format(name="for-all"))
    assert decider(tmp_path, "acme") == "acmes-own"
    assert decider(tmp_path, "globex") == "for-all"


def test_without_a_folder_the_package_decides() -> None:
    assert decider(None, "acme") == "counter"


def test_the_policy_for_all_may_not_name_an_action_that_nobody_brings(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text(POLICY.format(name="for-all").replace("add", "fly"))
    with pytest.raises(ConfigurationError, match="unknown actions: fly"):
        decider(tmp_path, "acme")


def test_a_policy_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_policies(tmp_path / "nowhere")
