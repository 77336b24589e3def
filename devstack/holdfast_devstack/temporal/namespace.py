"""What a namespace of Temporal needs."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.service import RPCError, RPCStatusCode, ServiceClient

_TIMEOUT = timedelta(seconds=5)


async def register_search_attributes(
    client: ServiceClient, namespace: str, wanted: Mapping[str, str]
) -> None:
    """Adds the attributes that the namespace lacks.

    `temporal server start-dev --search-attribute` does so only when it creates the database.
    `wanted` maps names to types as that option spells them. Raises `RPCError`.
    """
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=namespace), timeout=_TIMEOUT
    )
    missing = {name: kind for name, kind in wanted.items() if name not in listed.custom_attributes}
    if not missing:
        return
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=namespace,
                search_attributes={name: _indexed(kind) for name, kind in missing.items()},
            ),
            timeout=_TIMEOUT,
        )
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise


def _indexed(kind: str) -> IndexedValueType.ValueType:
    name = {"KeywordList": "KEYWORD_LIST"}.get(kind, kind.upper())
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{name}")
