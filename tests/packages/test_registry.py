"""What packages add up to, and whose policy decides: the tenant's, the one for all, the package's."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph

import holdfast_shop
from holdfast import TurnContext, TurnState
from holdfast.contract.package import Package
from holdfast.domain.errors import ConfigurationError, PolicyError
from holdfast.domain.policy import PolicyInput
from holdfast.graphs.general import general
from holdfast.graphs.triage import triage
from holdfast.packages.registry import Registry, load_packages
from tests.counter import ACTIONS, package

POLICY = """
name: {name}
version: 1
actions:
  add: allow
"""


def decider(folder: Path | None, tenant: str) -> str:
    """The name of the policy that decides about the counter's `add` for a tenant."""
    registry = Registry(builtin=(), packages=[package], policy_dir=folder)
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
        decider(tmp_path / "nowhere", "acme")


def test_a_policy_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ConfigurationError, match=r"default\.yaml"):
        decider(tmp_path, "acme")
    (tmp_path / "default.yaml").write_text("name: [")
    with pytest.raises(PolicyError, match=r"default\.yaml:1: not YAML"):
        decider(tmp_path, "acme")
    with pytest.raises(ConfigurationError, match=r"missing\.yaml"):
        Registry(builtin=(), packages=[replace(package, policy=tmp_path / "missing.yaml")])


def test_a_package_without_a_policy_needs_an_approval_for_everything() -> None:
    registry = Registry(builtin=(), packages=[replace(package, policy=None)])
    verdict = registry.policy("acme", "add").verdict("add", PolicyInput())
    assert verdict.approve is not None
    assert verdict.approve.roles == ("support",)


def test_the_policy_of_a_package_may_not_name_an_action_that_nobody_brings() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'counter' .* has rules for unknown.*add_for_good"
    ):
        Registry(builtin=(), packages=[replace(package, actions=ACTIONS[:1])])


def test_agents_are_all_subgraphs_but_triage() -> None:
    registry = Registry(builtin=(triage, general), packages=[package])
    assert [card.name for card in registry.agents()] == ["general", "counter", "other"]
    assert registry.runner("triage").name == "triage"
    with pytest.raises(ConfigurationError, match="no subgraph 'nobody'; this worker has triage,"):
        registry.runner("nobody")
    action = registry.action("send")
    assert action is not None
    assert action.remote
    assert registry.action("nothing") is None


def test_a_name_stands_for_one_thing() -> None:
    again = replace(package, name="again")
    with pytest.raises(ConfigurationError, match="two subgraphs named 'counter'"):
        Registry(builtin=(), packages=[package, again])
    with pytest.raises(ConfigurationError, match="two actions named 'add'"):
        Registry(builtin=(), packages=[package, replace(again, subgraphs=())])
    with pytest.raises(ConfigurationError, match="no subgraph can be named 'person'"):
        Registry(builtin=(triage, replace(general, name="person")))
    with pytest.raises(ConfigurationError, match="two subgraphs named 'triage'"):
        Registry(builtin=(triage, replace(general, name="triage")))


def test_a_package_replaces_a_built_in_agent_by_its_name() -> None:
    own = replace(package.subgraphs[0], name="general", description="Ours.")
    registry = Registry(builtin=(triage, general), packages=[replace(package, subgraphs=(own,))])
    assert [(one.name, one.description) for one in registry.agents()] == [("general", "Ours.")]
    assert registry.is_builtin("triage")
    assert not registry.is_builtin("general")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "é"])
def test_a_name_that_could_not_be_written_into_an_id_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="subgraphs cannot be named"):
        Registry(builtin=(replace(general, name=name),))
    with pytest.raises(ConfigurationError, match="actions cannot be named"):
        Registry(
            builtin=(), packages=[Package(name="p", actions=(replace(ACTIONS[0], name=name),))]
        )


@pytest.mark.parametrize("name", ["holdfast", "public", "pg_toast", "a/b", ""])
def test_a_package_may_not_take_the_place_of_another_schema(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of a package"):
        Package(name=name)


def test_packages_are_named_by_module_and_attribute_or_by_entry_point() -> None:
    assert load_packages(["tests.counter:package", "shop"]) == [package, holdfast_shop.package]
    assert load_packages(["tests.counter"]) == [package]


def test_without_a_name_every_installed_package_is_loaded() -> None:
    assert holdfast_shop.package in load_packages([])


@pytest.mark.parametrize(
    "name", ["nowhere", "nowhere:package", "holdfast_shop:nothing", "", ":package", ".shop"]
)
def test_a_package_that_is_not_there_is_an_error_that_says_how_to_name_one(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name it as module:attribute"):
        load_packages([name])


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("\ndef x(:\n", r"SyntaxError: .*{module}\.py:2$"),
        ("\npackage = {}['sk-secret']\n", r"KeyError, at .*{module}\.py:2$"),
        ("\nimport nowhere_to_be_found\n", r"'nowhere_to_be_found', at .*{module}\.py:2$"),
        ("\nraise SystemExit(0)\n", r"SystemExit, at .*{module}\.py:2$"),
        (
            "from holdfast import Package\npackage = Package(name='a b')\n",
            r"'a b' cannot be the name of a package, at .*{module}\.py:2$",
        ),
    ],
)
def test_a_package_that_cannot_be_imported_is_refused_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, problem: str
) -> None:
    module = f"broken_{abs(hash(source))}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=problem.replace("{module}", module)) as refused:
        load_packages([module])
    assert "sk-secret" not in str(refused.value)


def _raising() -> Any:
    raise KeyError("sk-secret")


def _leaving() -> Any:
    sys.exit(1)


def _leading_nowhere() -> Any:
    graph = StateGraph(TurnState, context_schema=TurnContext)
    return graph.add_edge(START, "nowhere")


@pytest.mark.parametrize(
    ("builder", "problem"),
    [
        (_raising, r"cannot be built: KeyError, at .*test_registry\.py:\d+$"),
        (_leaving, r"cannot be built: SystemExit, at .*test_registry\.py:\d+$"),
        (
            _leading_nowhere,
            r"cannot be built: ValueError: Found edge ending at unknown node `nowhere`$",
        ),
    ],
)
def test_a_graph_that_cannot_be_built_is_refused_with_the_place(
    builder: Callable[[], Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"'general' {problem}") as refused:
        Registry(builtin=(replace(general, graph=builder),))
    assert "sk-secret" not in str(refused.value)


def test_what_is_no_package_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"is a tuple, not a holdfast\.Package"):
        load_packages(["tests.counter:ACTIONS"])


def test_a_package_is_loaded_once() -> None:
    with pytest.raises(ConfigurationError, match="two packages named 'shop'"):
        load_packages(["holdfast_shop:package", "shop"])
