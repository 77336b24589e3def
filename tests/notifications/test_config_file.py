"""The configuration of notifications: what it may say, and how its mistakes are told."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.notifications import NoticeType
from holdfast.notifications.config import Notifications
from holdfast.notifications.config_file import load_channels, load_notifications
from holdfast.runtime import tenant_files
from tests.docs.blocks import all_blocks
from tests.notifications.notices import OLD_SECRET, SECRET, email, webhook

WEBHOOK = f"""
webhooks:
  - name: slack
    url: https://hooks.example.com/approvals
    secret: {SECRET}
"""

EMAIL = """
emails:
  - name: team
    to: [lena@example.com]
    sender: holdfast@example.com
"""


def load(folder: Path, *, smtp: str | None = None, **environment: str) -> Notifications:
    return load_notifications(
        folder,
        smtp_url=SecretStr(smtp) if smtp else None,
        patience=timedelta(hours=1),
        environment=environment,
    )


def test_a_tenant_has_its_own_file_and_the_others_the_default(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(WEBHOOK)
    (tmp_path / "default.yaml").write_text(EMAIL)
    loaded = load(tmp_path, smtp="smtp://mail.example.com")
    assert [one.name for one in loaded.of("acme").webhooks] == ["slack"]
    assert loaded.of("acme").emails == ()
    assert [one.name for one in loaded.of("other").emails] == ["team"]


def test_without_a_folder_nobody_is_told() -> None:
    loaded = load_notifications(None, smtp_url=None, patience=timedelta(1), environment={})
    assert not list(loaded.of("acme").wanting("approval.requested", ("support",)))


def test_secrets_come_from_the_environment_the_current_one_first(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(
        WEBHOOK.replace(f"secret: {SECRET}", "secret_env: NEW\n    previous_secret_env: OLD")
    )
    loaded = load(tmp_path, NEW=SECRET, OLD=OLD_SECRET)
    channel = loaded.webhook("acme", "slack")
    assert channel is not None
    secrets = [one.get_secret_value() for one in loaded.secrets_of(channel)]
    assert secrets == [SECRET, OLD_SECRET]
    assert SECRET not in repr(loaded)


@pytest.mark.parametrize("value", ["", "hunter22", "whsec_short", "whsec_" + "?" * 40, SECRET[6:]])
def test_a_secret_that_cannot_be_used_is_named_and_not_shown(tmp_path: Path, value: str) -> None:
    (tmp_path / "default.yaml").write_text(WEBHOOK.replace(f"secret: {SECRET}", "secret_env: HOOK"))
    with pytest.raises(ConfigurationError, match=r"slack.*HOOK") as refused:
        load(tmp_path, HOOK=value)
    assert not value or value not in str(refused.value)


def test_a_written_secret_that_cannot_be_used_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"acme.yaml:5: webhooks\[0\].secret") as refused:
        load_channels(WEBHOOK.replace(SECRET, "whsec_mine"), source="acme.yaml")
    assert "whsec_mine" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("webhooks: [", "1: not YAML"),
        ("", "the file"),
        ("webhook: []", "webhook"),
        (WEBHOOK + "    secret: x\n", "6: not YAML: 'secret' twice"),
        (WEBHOOK + "    secret_env: ALSO\n", "either a secret or a secret_env"),
        (WEBHOOK.replace(f"    secret: {SECRET}\n", ""), "either a secret or a secret_env"),
        (WEBHOOK.replace("https:", "ftp:"), "url"),
        (WEBHOOK + "    events: []\n", "events"),
        (WEBHOOK + "    events: [approval.claimed]\n", "events"),
        (WEBHOOK + "    roles: []\n", "roles"),
        (WEBHOOK + EMAIL.replace("team", "slack"), "several channels are called slack"),
        (EMAIL.replace("lena@example.com", "lena"), "to"),
        (EMAIL.replace("lena@example.com", '"lena@example.com\\nBcc: x@example.com"'), "to"),
        (EMAIL.replace("lena@example.com", "a@example.com, a@example.com"), "names an address"),
        (EMAIL.replace("holdfast@", "Holdfast <holdfast@"), "sender"),
    ],
)
def test_a_mistake_is_told_with_file_and_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_channels(text, source="acme.yaml")
    assert str(refused.value).startswith("acme.yaml:")
    assert problem in str(refused.value)


def test_email_needs_a_server(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text(EMAIL)
    with pytest.raises(ConfigurationError, match="HOLDFAST_SMTP_URL"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["acme.yml", "a b.yaml"])
def test_a_file_that_is_no_tenants_is_ignored_and_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(WEBHOOK)
    (problem,) = load(tmp_path).problems()
    assert problem.startswith(str(tmp_path / name))
    assert "default.yaml" in problem


def test_a_tenants_file_that_cannot_be_used_is_that_tenants_matter(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(WEBHOOK + "    secret_env: NOWHERE\n")
    (tmp_path / "default.yaml").write_text(WEBHOOK)
    loaded = load(tmp_path)
    assert loaded.of("acme").webhooks == ()
    assert [one.name for one in loaded.of("globex").webhooks] == ["slack"]
    assert "acme.yaml" in loaded.problems()[0]


def test_files_that_change_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_files, "LOOK_SECONDS", 0.0)
    (tmp_path / "acme.yaml").write_text(WEBHOOK)
    loaded = load(tmp_path, NEW=SECRET)
    (tmp_path / "acme.yaml").write_text(WEBHOOK.replace(f"secret: {SECRET}", "secret_env: NEW"))
    channel = loaded.webhook("acme", "slack")
    assert channel is not None
    assert [one.get_secret_value() for one in loaded.secrets_of(channel)] == [SECRET]
    (tmp_path / "acme.yaml").write_text("webhooks: [")
    assert loaded.webhook("acme", "slack") == channel
    assert "acme.yaml" in loaded.problems()[0]
    (tmp_path / "globex.yaml").write_text(WEBHOOK)
    assert loaded.webhook("globex", "slack") is not None
    (tmp_path / "acme.yaml").unlink()
    assert (loaded.webhook("acme", "slack"), loaded.problems()) == (None, [])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail", ("mail", 587, False, None, None)),
        ("smtp://mail:25", ("mail", 25, False, None, None)),
        ("smtps://me:p%40ss@mail", ("mail", 465, True, "me", "p@ss")),
    ],
)
def test_the_servers_url_says_how_to_reach_it(
    tmp_path: Path, url: str, expected: tuple[object, ...]
) -> None:
    server = load(tmp_path, smtp=url).smtp
    assert server is not None
    password = server.password and server.password.get_secret_value()
    assert (server.host, server.port, server.tls, server.username, password) == expected


@pytest.mark.parametrize("url", ["mail:25", "http://mail", "smtp://", "smtp://mail:x", "smtp://[a"])
def test_a_servers_url_that_cannot_be_used_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="HOLDFAST_SMTP_URL"):
        load(tmp_path, smtp=url)


@pytest.mark.parametrize(
    ("event", "roles", "wanted"),
    [
        ("approval.requested", ("refunds",), True),
        ("approval.requested", ("support", "refunds"), True),
        ("approval.requested", ("support",), False),
        ("approval.decided", ("refunds",), False),
    ],
)
def test_a_channel_is_told_of_its_events_and_roles(
    event: NoticeType, roles: tuple[str, ...], wanted: bool
) -> None:
    limited = email("lena@example.com", events=["approval.requested"], roles=["refunds"])
    assert limited.wants(event, roles) is wanted
    assert webhook("https://example.com").wants(event, roles)


def test_the_configuration_in_the_documentation_loads() -> None:
    found = [one for one in all_blocks("yml") if one.title and one.title.startswith("notif")]
    assert found
    for block in found:
        assert load_channels(block.text, source=str(block)).webhooks
