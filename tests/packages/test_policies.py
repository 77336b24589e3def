"""Policy files that change while a worker runs."""

import asyncio
import logging
import os
import threading
from pathlib import Path

import pytest

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.policy import Policy, PolicyInput, load_policy
from holdfast.packages import policies
from holdfast.packages.policies import PolicyBook
from holdfast.runtime import tenant_files
from holdfast.runtime.tenant_files import LARGEST, read_text
from tests.domain.test_documents import BOMBS


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at whenever a policy is asked for."""
    monkeypatch.setattr(tenant_files, "LOOK_SECONDS", 0.0)


def write(path: Path, rule: str, *, version: int = 1, action: str = "pay") -> None:
    path.write_text(f"name: {path.stem}\nversion: {version}\nactions: {{{action}: {rule}}}\n")


def said(book: PolicyBook, tenant: str = "acme") -> tuple[str, int, str]:
    """Name and version of the policy in force, and what it says about `pay`."""
    policy = book.policy(tenant, "pay")
    return policy.name, policy.version, policy.verdict("pay", PolicyInput()).kind


@pytest.fixture
def book(tmp_path: Path) -> PolicyBook:
    """The policies of acme, and of the package that brings `pay`."""
    folder = tmp_path / "policies"
    folder.mkdir()
    write(folder / "acme.yaml", "allow")
    write(tmp_path / "packaged.yaml", "deny")
    return PolicyBook(folder, {"pay": tmp_path / "packaged.yaml", "send": None})


def test_a_new_version_takes_effect_without_a_restart(book: PolicyBook, tmp_path: Path) -> None:
    assert said(book) == ("acme", 1, "allow")
    write(tmp_path / "policies" / "acme.yaml", "deny", version=2)
    assert said(book) == ("acme", 2, "deny")
    assert said(book, "globex") == ("packaged", 1, "deny")
    write(tmp_path / "packaged.yaml", "allow", version=2)
    assert said(book, "globex") == ("packaged", 2, "allow")


def test_files_come_and_go(book: PolicyBook, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    write(folder / "default.yaml", "allow")
    assert said(book, "globex") == ("default", 1, "allow")
    write(folder / "globex.yaml", "deny")
    assert said(book, "globex") == ("globex", 1, "deny")
    (folder / "globex.yaml").unlink()
    (folder / "default.yaml").unlink()
    assert said(book, "globex") == ("packaged", 1, "deny")


def test_a_broken_file_leaves_the_policy_in_force_and_is_told_once(
    book: PolicyBook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "policies" / "acme.yaml"
    with caplog.at_level(logging.ERROR):
        write(path, "perhaps", version=2)
        assert said(book) == said(book) == ("acme", 1, "allow")
    (record,) = caplog.records
    assert f"{path}:3: actions.pay[0]" in record.getMessage()
    assert [problem.partition(": ")[0] for problem in book.problems()] == [f"{path}:3"]
    write(path, "deny", version=2)
    assert (said(book), book.problems()) == (("acme", 2, "deny"), [])


def test_another_text_under_the_same_version_is_refused(book: PolicyBook, tmp_path: Path) -> None:
    path = tmp_path / "policies" / "acme.yaml"
    write(path, "deny")
    assert said(book) == ("acme", 1, "allow")
    assert "raise the version" in book.problems()[0]
    write(path, "allow")
    assert (said(book), book.problems()) == (("acme", 1, "allow"), [])


def test_rules_for_unknown_actions_are_refused_later_as_well(
    book: PolicyBook, tmp_path: Path
) -> None:
    write(tmp_path / "policies" / "acme.yaml", "allow", version=2, action="fly")
    assert said(book) == ("acme", 1, "allow")
    assert "unknown actions: fly" in book.problems()[0]


@pytest.mark.parametrize(
    "more",
    ["repeats: {fly: deny}", "windows: {w: {amount: args.x, actions: [fly], within: 1d}}"],
)
def test_whatever_names_an_unknown_action_is_refused(
    book: PolicyBook, tmp_path: Path, more: str
) -> None:
    path = tmp_path / "policies" / "acme.yaml"
    path.write_text(f"name: acme\nversion: 2\nactions: {{pay: deny}}\n{more}\n")
    assert said(book) == ("acme", 1, "allow")
    assert "unknown actions: fly" in book.problems()[0]


def test_a_new_file_that_is_broken_makes_its_tenant_cautious(
    book: PolicyBook, tmp_path: Path
) -> None:
    path = tmp_path / "policies" / "globex.yaml"
    write(path, "perhaps")
    assert said(book, "globex") == ("none", 1, "approve")
    assert book.problems()
    write(path, "allow")
    assert (said(book, "globex"), book.problems()) == (("globex", 1, "allow"), [])


def test_a_folder_that_is_gone_changes_nothing(book: PolicyBook, tmp_path: Path) -> None:
    (tmp_path / "policies").rename(tmp_path / "away")
    assert said(book) == ("acme", 1, "allow")
    assert "does not exist" in book.problems()[0]
    (tmp_path / "away").rename(tmp_path / "policies")
    assert (said(book), book.problems()) == (("acme", 1, "allow"), [])


@pytest.mark.parametrize("own", ["default", "packaged"])
def test_the_installations_own_files_have_to_be_right_at_the_start(
    tmp_path: Path, own: str
) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    write(tmp_path / "packaged.yaml", "allow")
    path = {"default": folder / "default.yaml", "packaged": tmp_path / "packaged.yaml"}[own]
    write(path, "perhaps")
    with pytest.raises(ConfigurationError, match=rf"{own}\.yaml:3"):
        PolicyBook(folder, {"pay": tmp_path / "packaged.yaml"})


def test_a_tenants_file_that_is_broken_at_the_start_makes_that_tenant_cautious(
    tmp_path: Path,
) -> None:
    write(tmp_path / "acme.yaml", "perhaps")
    write(tmp_path / "globex.yaml", "deny")
    book = PolicyBook(tmp_path, {"pay": None})
    assert said(book) == ("none", 1, "approve")
    assert said(book, "globex") == ("globex", 1, "deny")
    assert [problem.partition(": ")[0] for problem in book.problems()] == [
        f"{tmp_path / 'acme.yaml'}:3"
    ]


UNREADABLE = {
    **{name: text.encode() for name, (text, _) in BOMBS.items()},
    "larger than may be": b"#" * (LARGEST + 1),
    "not text": b"\xff\xfe\x00",
    "a costly condition": b"name: a\nversion: 2\nactions: {pay: {when: '"
    + b"(" * 900
    + b"', deny: true}}",
}


@pytest.mark.parametrize("written", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_whatever_one_tenants_file_has_the_others_are_decided_as_before(
    book: PolicyBook, tmp_path: Path, written: bytes
) -> None:
    (tmp_path / "policies" / "acme.yaml").write_bytes(written)
    (tmp_path / "policies" / "evil.yaml").write_bytes(written)
    assert said(book, "globex") == ("packaged", 1, "deny")
    assert said(book) == ("acme", 1, "allow")
    assert said(book, "evil") == ("none", 1, "approve")
    assert len(book.problems()) == 2
    assert PolicyBook(tmp_path / "policies", {"pay": None}).policy("globex", "pay").name == "none"


def test_what_is_no_file_is_not_waited_for(book: PolicyBook, tmp_path: Path) -> None:
    path = tmp_path / "policies" / "acme.yaml"
    path.unlink()
    os.mkfifo(path)
    (tmp_path / "policies" / "evil.yaml").mkdir()
    assert said(book) == ("acme", 1, "allow")
    assert said(book, "evil") == ("none", 1, "approve")


def test_a_broken_file_is_read_once(
    book: PolicyBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def counting(path: Path) -> str:
        reads.append(path)
        return read_text(path)

    monkeypatch.setattr(tenant_files, "read_text", counting)
    write(tmp_path / "policies" / "acme.yaml", "perhaps", version=2)
    for _ in range(5):
        assert said(book) == ("acme", 1, "allow")
    assert len(reads) == 1


def test_a_file_whose_name_is_no_tenants_is_told(book: PolicyBook, tmp_path: Path) -> None:
    write(tmp_path / "policies" / "globex.yml", "allow")
    assert said(book, "globex") == ("packaged", 1, "deny")
    assert "globex.yml is ignored" in book.problems()[0]


async def test_a_file_that_takes_long_to_read_holds_nobody_up(
    book: PolicyBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(text: str, *, source: str) -> Policy:
        begun.set()
        go_on.wait()
        return load_policy(text, source=source)

    monkeypatch.setattr(policies, "load_policy", slowly)
    watching = asyncio.create_task(book.watch())
    try:
        await asyncio.sleep(0)
        write(tmp_path / "policies" / "acme.yaml", "deny", version=2)
        await asyncio.to_thread(begun.wait)
        assert said(book) == ("acme", 1, "allow")
        go_on.set()
        async with asyncio.timeout(20):
            while said(book) != ("acme", 2, "deny"):  # noqa: ASYNC110 - the book tells nobody
                await asyncio.sleep(0)
    finally:
        go_on.set()
        watching.cancel()
        await asyncio.wait([watching])
