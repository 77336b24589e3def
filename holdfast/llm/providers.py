"""Which models answer: providers, and the chain in which they are asked."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from holdfast.domain.model import Strict
from holdfast.domain.offline import OfflineMode

ProviderKind = Literal["openai", "azure", "offline"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

OPENAI_URL = "https://api.openai.com/v1"

DEFAULT_MODEL = "gpt-6-luna"

_TOOLS_WITHOUT_REASONING = ("gpt-5.6", "gpt-6-luna", "gpt-6-sol")
"""Models that OpenAI lets call functions through chat completions only with the effort `none`, and
that reason unless told otherwise."""


class Provider(Strict):
    """One model behind one endpoint.

    Args:
        name: how logs, the ledger and answers call it; unique in a chain.
        kind: `openai` for OpenAI and every compatible endpoint, `azure` for Azure OpenAI, `offline`
            for the rules that answer without a network.
        base_url: the endpoint up to and without `/chat/completions`; on Azure the resource's
            address. Without it, an `openai` provider is OpenAI itself.
        api_key: may be left out where `base_url` names a server that asks for none.
        model: the model's name; on Azure the deployment's.
        timeout_seconds: longest wait for a whole answer, connecting included.
        api_version: Azure's API version, such as `2024-10-21`; needed there, refused elsewhere.
        reasoning_effort: sent along where it is set.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    kind: ProviderKind = "openai"
    base_url: Annotated[str, Field(pattern=r"^https?://[^/\s]")] | None = None
    api_key: SecretStr | None = None
    model: Annotated[str, Field(min_length=1)]
    timeout_seconds: Annotated[float, Field(gt=0, le=24 * 3600, allow_inf_nan=False)] = 120.0
    api_version: str | None = None
    reasoning_effort: ReasoningEffort | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Provider":
        given = {
            name
            for name in ("base_url", "api_key", "api_version", "reasoning_effort")
            if getattr(self, name) is not None
        }
        match self.kind:
            case "openai":
                if "api_version" in given:
                    raise ValueError("api_version belongs to a provider of the kind 'azure'")
                if not given & {"api_key", "base_url"}:
                    raise ValueError("a provider of the kind 'openai' needs api_key or base_url")
            case "azure":
                if missing := {"base_url", "api_key", "api_version"} - given:
                    raise ValueError(f"an 'azure' provider also needs {', '.join(sorted(missing))}")
            case "offline":
                if given:
                    raise ValueError(f"the offline model takes no {', '.join(sorted(given))}")
        return self


OFFLINE = Provider(name="offline", kind="offline", model="rules")


class Chain(Strict):
    """Providers in the order in which they are asked, and what the offline model is there for.

    Args:
        providers: those that are configured.
        offline: `only` asks the offline model and nobody else, `never` does without it, `fallback`
            lets it answer after the others where nothing can come of its answer but words. By
            default `only` where no provider is configured, else `never`.
    """

    providers: tuple[Provider, ...] = ()
    offline: OfflineMode | None = None

    @field_validator("providers")
    @classmethod
    def _named_apart(cls, providers: tuple[Provider, ...]) -> tuple[Provider, ...]:
        if any(provider.kind == "offline" for provider in providers):
            raise ValueError("the offline model is no provider of a chain: set HOLDFAST_OFFLINE")
        names = [provider.name for provider in (*providers, OFFLINE)]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"provider names must be unique: {', '.join(doubled)}")
        return providers

    @model_validator(mode="after")
    def _somebody_answers(self) -> "Chain":
        if not self.providers and self.offline in ("fallback", "never"):
            raise ValueError(
                f"HOLDFAST_OFFLINE={self.offline} needs a provider, and none is configured"
            )
        return self

    @property
    def mode(self) -> OfflineMode:
        """What the offline model is there for."""
        return self.offline or ("never" if self.providers else "only")

    @property
    def links(self) -> tuple[Provider, ...]:
        """Who is asked, in order."""
        match self.mode:
            case "only":
                return (OFFLINE,)
            case "fallback":
                return (*self.providers, OFFLINE)
            case "never":
                return self.providers


def default_chain(
    *,
    api_key: SecretStr | None = None,
    base_url: str | None = None,
    model: str | None = None,
    offline: OfflineMode | None = None,
) -> Chain:
    """The chain of the simple settings: one OpenAI-compatible provider.

    Without a key and an endpoint the offline model is alone.

    Raises:
        pydantic.ValidationError: `base_url` is no HTTP address, or nobody would answer.
    """
    key = api_key if api_key is not None and api_key.get_secret_value() else None
    if key is None and not base_url:
        return Chain(offline=offline)
    chosen = model or DEFAULT_MODEL
    quiet = not base_url and chosen.startswith(_TOOLS_WITHOUT_REASONING)
    provider = Provider(
        name="openai",
        base_url=base_url or None,
        api_key=key,
        model=chosen,
        reasoning_effort="none" if quiet else None,
    )
    return Chain(providers=(provider,), offline=offline)
