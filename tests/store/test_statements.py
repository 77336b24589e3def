"""A statement that is spent stays spent, however it is written."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from jwt.utils import base64url_decode, base64url_encode, der_to_raw_signature, raw_to_der_signature

from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import sign_decision
from holdfast.store.pool import Pool, open_pool
from holdfast.store.statements import spend
from tests.security.examples import decision, elliptic, signing

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""


@pytest.fixture
async def pool(stack_settings: Settings) -> AsyncIterator[Pool]:
    assert stack_settings.database_url is not None
    async with await open_pool(stack_settings.database_url.get_secret_value()) as opened:
        yield opened


def signed_by(key: SigningKey, tenant: str) -> str:
    return sign_decision(decision(), tenant=tenant, key=key, now=datetime.now(UTC)).statement


async def spent(pool: Pool, tenant: str, statement: str, *, by: str) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        return await spend(connection, tenant, statement, by=by)


async def test_a_statement_is_spent_once_whoever_does_it_again(pool: Pool, tenant: str) -> None:
    statement = signed_by(SigningKey.generate(), tenant)
    assert await spent(pool, tenant, statement, by="a")
    assert not await spent(pool, tenant, statement, by="b")
    assert not await spent(pool, tenant, statement, by="a")
    assert await spent(pool, f"{tenant}-other", statement, by="b")


@pytest.mark.parametrize("more", ["=", "==", "\n", "A"])
async def test_another_text_of_what_was_signed_is_spent_with_it(
    pool: Pool, tenant: str, more: str
) -> None:
    statement = signed_by(SigningKey.generate(), tenant)
    assert await spent(pool, tenant, statement, by="a")
    assert not await spent(pool, tenant, statement + more, by="b")


async def test_the_second_signature_that_anybody_makes_from_an_elliptic_one_is_spent_with_it(
    pool: Pool, tenant: str
) -> None:
    key = signing(elliptic("e1"))
    statement = signed_by(key, tenant)
    content, _, signature = statement.rpartition(".")
    curve = key.key.key.curve
    r, s = decode_dss_signature(raw_to_der_signature(base64url_decode(signature), curve))
    twin = der_to_raw_signature(encode_dss_signature(r, _ORDER - s), curve)
    other = f"{content}.{base64url_encode(twin).decode()}"
    jwt.PyJWS().decode(other, key.key.key.public_key(), algorithms=["ES256"])  # it is genuine, too
    assert await spent(pool, tenant, statement, by="a")
    assert not await spent(pool, tenant, other, by="b")


async def test_what_an_earlier_version_has_spent_stays_spent(pool: Pool, tenant: str) -> None:
    statement = signed_by(SigningKey.generate(), tenant)
    async with pool.acquire() as connection:
        await connection.execute(
            "insert into holdfast.spent_statements (tenant, digest, spent_by) values ($1, $2, 'a')",
            tenant,
            hashlib.sha256(statement.encode()).hexdigest(),
        )
    assert not await spent(pool, tenant, statement, by="b")
