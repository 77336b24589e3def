"""How every process reaches Temporal and Postgres."""

import asyncio
import dataclasses

from pydantic import SecretStr
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from holdfast.domain.errors import ConfigurationError, Unavailable
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.runtime.failures import WordedFailures
from holdfast.runtime.payloads import Payloads
from holdfast.runtime.settings import Settings
from holdfast.runtime.stack import find_running_stack

DATA_CONVERTER = dataclasses.replace(
    DataConverter.default,
    payload_converter_class=Payloads,
    failure_converter_class=WordedFailures,
)
"""Payloads are pydantic's JSON; failures hold no values."""

_CONNECT_SECONDS = 5.0


async def resolve(settings: Settings) -> Settings:
    """The settings with the addresses and keys of the embedded stack, where they name none and it
    runs."""
    if settings.temporal_address is not None and settings.database_url is not None:
        return settings
    stack = await find_running_stack(settings.data_dir)
    if stack is None:
        return settings
    found = {
        "temporal_address": settings.temporal_address or stack.temporal_address,
        "temporal_namespace": (
            settings.temporal_namespace if settings.temporal_address else stack.namespace
        ),
        "database_url": settings.database_url or SecretStr(stack.database_url),
        "migration_url": settings.migration_url
        or (None if settings.database_url else SecretStr(stack.migration_url)),
        **await asyncio.to_thread(_development_keys, settings),
    }
    return settings.model_copy(update=found)


def _development_keys(settings: Settings) -> dict[str, object]:
    from holdfast.security.development_keys import DevelopmentKeys

    keys = DevelopmentKeys.below(settings.data_dir)
    if settings.reviewer_keys or settings.unsigned_decisions or not keys.exist():
        return {}
    return {
        "reviewer_keys": str(keys.public),
        "signing_key": settings.signing_key or keys.signing,
    }


def require_database_url(settings: Settings) -> str:
    """The address of Postgres.

    Raises:
        Unavailable: the settings name none, and no embedded one runs.
    """
    if settings.database_url is None:
        raise Unavailable(
            "no Postgres: set HOLDFAST_DATABASE_URL, or start the embedded one with `holdfast dev up` "
            f"or, in a checkout, `make up` (none runs in {settings.data_dir})"
        )
    return settings.database_url.get_secret_value()


def require_migration_url(settings: Settings) -> str:
    """The address of Postgres for the owner of the tables; raises as `require_database_url`."""
    if settings.migration_url is not None:
        return settings.migration_url.get_secret_value()
    return require_database_url(settings)


async def connect_temporal(settings: Settings, *, retry: RetryConfig | None = None) -> Client:
    """A client that is connected; `retry` is for what Temporal refuses for the moment.

    Raises:
        ConfigurationError: the profile or the address can't be used.
        Unavailable: no server answers there.
    """
    profile = await asyncio.to_thread(_profile)
    address = settings.temporal_address or profile.get("target_host")
    if address is None:
        raise Unavailable(
            "no Temporal: set HOLDFAST_TEMPORAL_ADDRESS or a Temporal profile, or start the "
            f"embedded one with `holdfast dev up` or, in a checkout, `make up` (none runs in {settings.data_dir})"
        )
    if settings.temporal_address is None:
        connecting = Client.connect(**profile, data_converter=DATA_CONVERTER, retry_config=retry)
    else:
        connecting = Client.connect(
            address,
            namespace=settings.temporal_namespace,
            data_converter=DATA_CONVERTER,
            retry_config=retry,
        )
    try:
        return await asyncio.wait_for(connecting, _CONNECT_SECONDS)
    except ValueError as error:
        raise ConfigurationError(f"Temporal's address {address} cannot be used: {error}") from error
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise Unavailable(
            f"cannot reach Temporal at {address}: {str(error) or 'no answer'}. Is it running? "
            "`holdfast dev up` or, in a checkout, `make up` starts an embedded one"
        ) from error


def _profile() -> ClientConnectConfig:
    """What Temporal's own environment configuration says."""
    try:
        return ClientConfigProfile.load().to_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"the Temporal profile (TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE, …) cannot be used: {error}"
        ) from error


async def require_search_attributes(client: Client) -> None:
    """Check that the namespace has the search attributes that conversations set.

    Raises:
        ConfigurationError: some are missing; the message has the commands that add them.
        Unavailable: Temporal does not answer.
    """
    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise ConfigurationError(
                f"Temporal has no namespace {client.namespace!r}; set HOLDFAST_TEMPORAL_NAMESPACE, "
                f"or create it: temporal operator namespace create -n {client.namespace}"
            ) from error
        raise Unavailable(f"Temporal does not answer: {error}") from error
    known = {*answer.custom_attributes, *answer.system_attributes}
    missing = [name for name in SEARCH_ATTRIBUTES if name not in known]
    if missing:
        options = " ".join(f"--name {name} --type {SEARCH_ATTRIBUTES[name]}" for name in missing)
        raise ConfigurationError(
            f"the namespace {client.namespace!r} lacks the search attributes "
            f"{', '.join(missing)}; add them: temporal operator search-attribute create "
            f"-n {client.namespace} {options}"
        )
