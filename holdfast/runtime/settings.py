"""Settings, read from the environment: every name here, in capitals, after `HOLDFAST_`."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.limits import AnswerBounds, Limits
from holdfast.domain.offline import OfflineMode
from holdfast.domain.validation import listed
from holdfast.security.bounds import KeyBounds
from holdfast.store.address import read_address
from holdfast.store.pool import (
    IDLE_IN_TRANSACTION_SECONDS,
    READ_STATEMENT_SECONDS,
    STATEMENT_SECONDS,
)

Port = Annotated[int, Field(ge=0, le=65_535)]
_TEMPORAL_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):(?P<port>[0-9]{1,5})")

AtOnce = Annotated[int, Field(ge=1, le=10_000)]
Hours = Annotated[float, Field(gt=0, le=10 * 365 * 24, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=24 * 3600, allow_inf_nan=False)]


_LEAST_HEARTBEAT_SECONDS = 0.3


def _can_beat(limits: Limits) -> Limits:
    """Conversations that are open keep the limits that they began with, so `Limits` itself takes any."""
    if limits.heartbeat_seconds < _LEAST_HEARTBEAT_SECONDS:
        raise ValueError(
            f"heartbeat_seconds is {limits.heartbeat_seconds:g}; a worker beats three times in that, "
            f"which takes at least {_LEAST_HEARTBEAT_SECONDS:g}"
        )
    return limits


BuiltinAgent = Literal["general", "knowledge"]
_BUILTIN_AGENTS: tuple[BuiltinAgent, ...] = ("general", "knowledge")


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
        hide_input_in_errors=True,
        defer_build=True,
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
    builtin_agents: list[BuiltinAgent] = Field(default_factory=lambda: list(_BUILTIN_AGENTS))
    """The built-in agents that messages may go to. Where there is one agent in all, it gets every message,
    and no model is asked which."""
    policy_dir: Path | None = None
    """A folder of `{tenant}.yaml`; a tenant without a file has the policy in `default.yaml`, and
    without that the policies of the packages."""
    limits: Annotated[Limits, AfterValidator(_can_beat)] = Field(default_factory=Limits)
    """Bounds of the conversations that this client starts."""
    answers: AnswerBounds = Field(default_factory=AnswerBounds)
    """Bounds of models' answers, and of what they may cost in a turn, for this worker."""

    models: Annotated[list[dict[str, Any]], Field(repr=False)] = []
    """The chain of model providers, in order; see `holdfast.llm.providers.Provider`."""
    model: str | None = None
    """The model, where one provider is enough and `OPENAI_API_KEY` or `model_base_url` is set."""
    model_base_url: str | None = None
    openai_api_key: Annotated[SecretStr | None, Field(validation_alias="OPENAI_API_KEY")] = None
    offline: OfflineMode | None = None
    """What the offline model is there for: `only` (nobody else answers), `fallback` (small talk and
    the help centre while no provider answers; it never acts) or `never`. Without it, `only` where no
    provider is configured, else `never`."""
    keep_model_requests: bool = False
    """Keep whole model requests in the ledger, compressed, besides their digests."""
    model_request_days: Annotated[int, Field(ge=1, le=100 * 365)] = 30
    """How long whole requests are kept; the worker removes older ones every hour."""

    reviewer_keys: str | None = None
    """The public keys that reviewers' decisions are checked with: a JWKS file, or its URL."""
    reviewer_keys_max_age_hours: Hours = 24.0
    """How long those keys count when they cannot be looked at any more."""
    reviewer_key_bounds: dict[str, KeyBounds] = Field(default_factory=dict)
    """The tenants, roles and issuer that a key may sign for, by its id, or `*` for all of them."""
    unsigned_decisions: bool = False
    """Take decisions without a signed statement, on the word of anybody who can reach Temporal."""
    signing_key: Path | None = None
    """A private key (JWK) with which this client signs decisions for the reviewers that it names."""

    notifications_dir: Path | None = None
    """A folder of `{tenant}.yaml` that say who is told of approvals; `default.yaml` is for the tenants
    without a file."""
    smtp_url: SecretStr | None = None
    """`smtp://user:password@host:587`, or `smtps://…` where TLS begins with the connection."""
    delivery_hours: Hours = 24.0
    """How long a notification is tried before it is given up, and waits to be redriven."""

    concurrent_subgraphs: AtOnce = 50
    """Clients let in two turns for each step that workers run at a time."""
    concurrent_actions: AtOnce = 50
    concurrent_deliveries: AtOnce = 50
    max_cached_workflows: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    database_connections: AtOnce = 20
    """The most connections of a worker's pool; the read-only pool has as many again."""
    blocked_seconds: Annotated[Seconds, Field(ge=2)] = 30.0
    """How long a node may keep a worker from doing anything else, before the worker ends itself."""
    statement_seconds: Seconds = STATEMENT_SECONDS
    """Postgres cancels a statement that takes longer; 0 for no bound. Migrations have none."""
    read_statement_seconds: Seconds = READ_STATEMENT_SECONDS
    """The same for what graphs, facts and descriptions read."""
    idle_in_transaction_seconds: Seconds = IDLE_IN_TRANSACTION_SECONDS
    """Postgres ends a transaction whose process is silent for this long; 0 for no bound."""
    shutdown_seconds: Seconds = 10.0
    """How long activities may go on after SIGTERM before they are cancelled and tried elsewhere."""
    health_host: str = "127.0.0.1"
    health_port: Port = 8088
    """Where the worker answers `/health` and `/ready`; 0 for nowhere."""

    @field_validator("temporal_address")
    @classmethod
    def _has_host_and_port(cls, address: str | None) -> str | None:
        if address is not None:
            found = _TEMPORAL_ADDRESS.fullmatch(address)
            if found is None or not 1 <= int(found["port"]) <= 65_535:
                raise ValueError("write host:port, such as 127.0.0.1:7233 or [::1]:7233")
        return address

    @field_validator("database_url", "migration_url")
    @classmethod
    def _is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            try:
                read_address(url.get_secret_value())
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
        return url


def read_settings(**overrides: Any) -> Settings:
    """The settings of this environment.

    Raises:
        ConfigurationError: a value cannot be used; the message names the variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = listed(
            error, place=lambda at: variable("__".join(str(part) for part in at)), trusted=True
        )
        raise ConfigurationError(f"settings are wrong: {problems}") from None
    except SettingsError as error:
        unread = re.search(r'field "(\w+)"', str(error))
        named = variable(unread[1]) if unread else str(error)
        raise ConfigurationError(
            f"settings are wrong: {named}: not JSON ({error.__cause__})"
        ) from error
    except RecursionError:
        raise ConfigurationError(
            "settings are wrong: one that is JSON is nested too deep"
        ) from None


def variable(setting: str) -> str:
    """The environment variable that a setting is read from."""
    name = setting.upper()
    return name if name == "OPENAI_API_KEY" else f"HOLDFAST_{name}"
