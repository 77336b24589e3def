"""Settings, read from the environment: every name here, in capitals, after `HOLDFAST_`."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.limits import Limits

Port = Annotated[int, Field(ge=0, le=65_535)]


_LEAST_HEARTBEAT_SECONDS = 0.3


def _can_beat(limits: Limits) -> Limits:
    """Conversations that are open keep the limits that they began with, so `Limits` itself takes any."""
    if limits.heartbeat_seconds < _LEAST_HEARTBEAT_SECONDS:
        raise ValueError(
            f"heartbeat_seconds is {limits.heartbeat_seconds:g}; a worker beats three times in that, "
            f"which takes at least {_LEAST_HEARTBEAT_SECONDS:g}"
        )
    return limits


class Settings(BaseSettings):
    """Everything that can be set. Nested values are separated by two underscores:
    `HOLDFAST_LIMITS__PARKED_TURNS=10`. Lists are JSON.

    Without `temporal_address` and `database_url`, those of the embedded stack in `data_dir` are
    used, where one runs.
    """

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
    )

    temporal_address: str | None = None
    """`host:port`. Without it, the profile that Temporal's own environment configuration names
    (`TEMPORAL_PROFILE`, `TEMPORAL_ADDRESS`, …) where there is one."""
    temporal_namespace: str = "default"
    database_url: SecretStr | None = None
    """`postgresql://user:password@host:port/database`, of the role that the product runs as."""
    migration_url: SecretStr | None = None
    """The same for the owner of the tables, who migrates them; without it, `database_url`."""
    audit_unprotected: bool = False
    """Start also where the role of `database_url` could change the audit log."""
    data_dir: Path = Path(".holdfast")
    """Where the embedded Temporal and Postgres keep their data."""
    temporal_binary: Path | None = None
    """The `temporal` executable for the embedded server."""

    task_queue: str = "holdfast"
    """The first part of the names of the task queues."""
    deployment: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] = None
    """The name of the Temporal worker deployment that the workers belong to; without it, they are not
    versioned."""
    build_id: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = None
    """What this version of the workers is called; without it, a digest of their code."""
    packages: list[str] = Field(default_factory=list)
    """Packages as `module:attribute` or entry point; without any, every installed entry point."""
    policy_dir: Path | None = None
    """A folder of `{tenant}.yaml`; a tenant without a file has the policy in `default.yaml`, and
    without that the policies of the packages."""
    limits: Annotated[Limits, AfterValidator(_can_beat)] = Limits()
    """Bounds of the conversations that this client starts."""

    models: list[dict[str, Any]] = Field(default_factory=list)
    """The chain of model providers, in order; see `holdfast.llm.providers.Provider`."""
    model: str | None = None
    """The model, where one provider is enough and `OPENAI_API_KEY` or `model_base_url` is set."""
    model_base_url: str | None = None
    openai_api_key: Annotated[SecretStr | None, Field(validation_alias="OPENAI_API_KEY")] = None
    keep_model_requests: bool = False
    """Keep whole model requests in the ledger, compressed, besides their digests."""
    model_request_days: Annotated[int, Field(ge=1)] = 30
    """How long whole requests are kept; the worker removes older ones every hour."""

    reviewer_keys: str | None = None
    """The public keys that reviewers' decisions are checked with: a JWKS file, or its URL."""
    unsigned_decisions: bool = False
    """Take decisions without a signed statement, on the word of whoever can reach Temporal."""
    signing_key: Path | None = None
    """A private key (JWK) with which this client signs decisions for the reviewers that it names."""

    notifications_dir: Path | None = None
    """A folder of `{tenant}.yaml` that say who is told of approvals; `default.yaml` is for the tenants
    without a file."""
    smtp_url: SecretStr | None = None
    """`smtp://user:password@host:587`, or `smtps://…` where TLS begins with the connection."""
    delivery_hours: Annotated[float, Field(gt=0)] = 24.0
    """How long a notification is tried before it is given up, and waits to be redriven."""

    concurrent_subgraphs: Annotated[int, Field(ge=1)] = 50
    concurrent_actions: Annotated[int, Field(ge=1)] = 50
    concurrent_deliveries: Annotated[int, Field(ge=1)] = 50
    max_cached_workflows: Annotated[int, Field(ge=0)] = 1_000
    database_connections: Annotated[int, Field(ge=1)] = 20
    """The most connections of a worker's pool; the read-only pool has as many again."""
    blocked_seconds: Annotated[float, Field(ge=2)] = 30.0
    """How long a node may keep a worker from doing anything else, before the worker ends itself."""
    shutdown_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long activities may go on after SIGTERM before they are cancelled and tried elsewhere."""
    health_host: str = "127.0.0.1"
    health_port: Port = 8088
    """Where the worker answers `/health` and `/ready`; 0 for nowhere."""


def read_settings(**overrides: Any) -> Settings:
    """The settings of this environment.

    Raises:
        ConfigurationError: a value cannot be used; the message names the variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = "; ".join(
            f"HOLDFAST_{'__'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigurationError(f"settings are wrong: {problems}") from error
    except SettingsError as error:
        raise ConfigurationError(
            f"settings are wrong: {error}; HOLDFAST_PACKAGES, HOLDFAST_MODELS and HOLDFAST_LIMITS "
            f"are JSON ({error.__cause__})"
        ) from error
