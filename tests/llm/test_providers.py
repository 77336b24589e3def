"""Providers and chains are checked when they are built."""

import pytest
from pydantic import SecretStr, ValidationError

from holdfast.domain.offline import OfflineMode
from holdfast.llm.providers import DEFAULT_MODEL, OFFLINE, Chain, Provider, default_chain

KEY = SecretStr("secret")
OPENAI = Provider(name="a", api_key=KEY, model="m")


def test_the_offline_model_answers_where_nothing_is_configured_and_nowhere_else_unless_told() -> (
    None
):
    assert Chain().links == Chain(offline="only").links == (OFFLINE,)
    assert Chain(providers=(OPENAI,)).links == (OPENAI,)
    assert Chain(providers=(OPENAI,), offline="never").links == (OPENAI,)
    assert Chain(providers=(OPENAI,), offline="fallback").links == (OPENAI, OFFLINE)
    assert Chain(providers=(OPENAI,), offline="only").links == (OFFLINE,)


def test_a_chain_refuses_an_offline_model_among_its_providers_and_doubled_names() -> None:
    with pytest.raises(ValidationError, match="HOLDFAST_OFFLINE"):
        Chain(providers=(OPENAI, OFFLINE))
    with pytest.raises(ValidationError, match="unique: a"):
        Chain(providers=(OPENAI, OPENAI))
    with pytest.raises(ValidationError, match="unique: offline"):
        Chain(providers=(OPENAI.model_copy(update={"name": "offline"}),))


@pytest.mark.parametrize("mode", ["fallback", "never"])
def test_a_chain_in_which_nobody_would_answer_is_refused(mode: OfflineMode) -> None:
    with pytest.raises(ValidationError, match=f"HOLDFAST_OFFLINE={mode} needs a provider"):
        Chain(offline=mode)
    with pytest.raises(ValidationError, match="needs a provider"):
        default_chain(offline=mode)
    assert default_chain(api_key=KEY, offline=mode).mode == mode


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "openai"},
        {"kind": "openai", "api_key": "k", "api_version": "2024-10-21"},
        {"kind": "openai", "base_url": "localhost:8000"},
        {"kind": "azure", "api_key": "k", "base_url": "https://example.invalid"},
        {"kind": "offline", "api_key": "k"},
        {"kind": "openai", "api_key": "k", "timeout_seconds": 0},
        {"kind": "openai", "api_key": "k", "key": "typo"},
    ],
)
def test_an_incomplete_provider_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Provider.model_validate({"name": "a", "model": "m", **given})


def test_a_key_makes_openai_the_first_link_and_nothing_leaves_the_offline_model_alone() -> None:
    first = default_chain(api_key=KEY).providers[0]
    assert (first.kind, first.model, first.reasoning_effort) == ("openai", DEFAULT_MODEL, "none")
    assert default_chain().links == (OFFLINE,)
    assert default_chain(api_key=SecretStr("")).links == (OFFLINE,)


def test_an_endpoint_without_a_key_is_asked_and_gets_no_options_of_openai() -> None:
    first = default_chain(base_url="http://127.0.0.1:11434/v1", model="gpt-6-luna").providers[0]
    assert first.api_key is None
    assert first.reasoning_effort is None


def test_a_key_does_not_show_in_the_representation() -> None:
    assert "secret" not in repr(default_chain(api_key=KEY))
