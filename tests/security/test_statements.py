"""Signed statements: whatever differs from what was signed, or is not genuine, is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.utils import base64url_decode, base64url_encode

from holdfast.domain.decision import Decision
from holdfast.domain.errors import InvalidRequest, InvalidStatement
from holdfast.domain.ids import json_digest
from holdfast.domain.people import PersonAct
from holdfast.security.bounds import KeyBounds
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import (
    StatementVerifier,
    TrustingVerifier,
    Verifier,
    sign_act,
    sign_decision,
)
from holdfast.security.verification_keys import VerificationKeys
from tests.security.examples import (
    DIGEST,
    decision,
    elliptic,
    jwks,
    public_part,
    rsa_key,
    signing,
)

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
ADDING = {"name": "add", "arguments": {"amount": 150, "note": "für Zoë"}}
EDIT: dict[str, Any] = {"kind": "edit", "actions": (ADDING,)}

Signing = Callable[..., Decision]


@pytest.fixture
async def verifier(jwks_file: Path) -> Verifier:
    return StatementVerifier(await VerificationKeys.open(str(jwks_file)))


@pytest.fixture
def sign(key: SigningKey) -> Signing:
    """Signs a decision as an identity service would, with claims and headers of its own."""

    def sign_(one: Decision, *, headers: dict[str, Any] | None = None, **claims: Any) -> Decision:
        signed = {**_claims(sign_decision(one, tenant="acme", key=key, now=NOW)), **claims}
        kept = {name: value for name, value in signed.items() if value is not ...}
        written = {"kid": key.kid, "typ": "holdfast-decision+jwt", **(headers or {})}
        header = {name: value for name, value in written.items() if value is not ...}
        payload = json.dumps(kept).encode()
        statement = jwt.PyJWS().encode(payload, key.key, algorithm="EdDSA", headers=header)
        return one.model_copy(update={"statement": statement})

    return sign_


def _claims(one: Decision) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64url_decode(one.statement.split(".")[1]))
    return claims


async def _refusal(verifier: Verifier, one: Decision, at: datetime = NOW) -> str:
    with pytest.raises(InvalidStatement) as refused:
        await verifier.verify(one, tenant="acme", at=at)
    return str(refused.value)


# What is accepted.


@pytest.mark.parametrize(
    "changes",
    [
        {},
        EDIT,
        {"kind": "reject", "text": "Not without a receipt."},
        {"kind": "delegate", "to": "bob"},
        {"team": None, "roles": ()},
    ],
)
async def test_a_signed_decision_is_taken(
    verifier: Verifier, key: SigningKey, changes: dict[str, Any]
) -> None:
    signed = sign_decision(decision(**changes), tenant="acme", key=key, now=NOW)
    await verifier.verify(signed, tenant="acme", at=NOW)


async def test_a_statement_is_good_again_years_later_for_the_time_it_came_in(
    verifier: Verifier, key: SigningKey
) -> None:
    then = NOW - timedelta(days=1_000)
    signed = sign_decision(decision(), tenant="acme", key=key, now=then)
    await verifier.verify(signed, tenant="acme", at=then + timedelta(minutes=9))
    assert "expired at" in await _refusal(verifier, signed)


async def test_a_decision_that_crossed_json_still_fits_its_statement(
    verifier: Verifier, key: SigningKey
) -> None:
    signed = sign_decision(decision(**EDIT), tenant="acme", key=key, now=NOW)
    received = Decision.model_validate_json(signed.model_dump_json())
    await verifier.verify(received, tenant="acme", at=NOW)


async def test_roles_may_be_listed_in_any_order(verifier: Verifier, sign: Signing) -> None:
    await verifier.verify(sign(decision(), roles=["lead", "finance"]), tenant="acme", at=NOW)
    await verifier.verify(sign(decision(), roles=["finance", "lead"]), tenant="acme", at=NOW)


async def test_an_identity_service_may_leave_out_what_is_free_and_say_more(
    verifier: Verifier, sign: Signing
) -> None:
    signed = sign(decision(team=None), iss=..., team=..., aud=["holdfast-decision"], azp="portal")
    await verifier.verify(signed, tenant="acme", at=NOW)


async def test_the_content_of_a_plain_acceptance_is_what_the_documentation_says(
    key: SigningKey,
) -> None:
    claims = _claims(sign_decision(decision(), tenant="acme", key=key, now=NOW))
    assert claims == {
        "iss": "holdfast",
        "aud": "holdfast-decision",
        "sub": "ann",
        "team": "north",
        "roles": ["finance", "lead"],
        "tenant": "acme",
        "approval": "apr_1",
        "digest": DIGEST,
        "decision": "accept",
        "jti": "d1",
        "content": json_digest({"actions": [], "text": "", "to": None}),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
    }


@pytest.mark.parametrize("make", [elliptic, rsa_key])
async def test_keys_for_es256_and_rs256_sign_and_check_too(
    tmp_path: Path, make: Callable[[str], dict[str, Any]]
) -> None:
    key = signing(make("other"))
    path = tmp_path / "keys.json"
    path.write_text(jwks([key]))
    verifier = StatementVerifier(await VerificationKeys.open(str(path)))
    signed = sign_decision(decision(), tenant="acme", key=key, now=NOW)
    assert jwt.get_unverified_header(signed.statement)["alg"] == key.algorithm
    await verifier.verify(signed, tenant="acme", at=NOW)


# What says something else.


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": "d2"}, "jti"),
        ({"approval": "apr_2"}, "approval"),
        ({"kind": "claim"}, "decision"),
        ({"reviewer": "eve"}, "sub"),
        ({"team": "south"}, "team"),
        ({"team": None}, "team"),
        ({"roles": ("lead", "finance", "boss")}, "roles"),
        ({"roles": ("lead",)}, "roles"),
        ({"roles": ("lead", "boss")}, "roles"),
        ({"roles": ()}, "roles"),
        ({"digest": "5e" * 32}, "digest"),
        ({"text": "With regards."}, "content"),
        ({"actions": ({"name": "add", "arguments": {"amount": 151}},)}, "content"),
        ({"actions": (ADDING, ADDING)}, "content"),
        ({"actions": ()}, "content"),
        ({"to": "bob"}, "content"),
    ],
)
async def test_a_decision_with_any_other_field_is_refused(
    verifier: Verifier, key: SigningKey, changes: dict[str, Any], named: str
) -> None:
    signed = sign_decision(decision(**EDIT), tenant="acme", key=key, now=NOW)
    altered = Decision.model_validate({**signed.model_dump(), **changes})
    assert f"the statement's {named} is" in await _refusal(verifier, altered)


async def test_a_statement_for_another_tenant_is_refused(
    verifier: Verifier, key: SigningKey
) -> None:
    signed = sign_decision(decision(), tenant="globex", key=key, now=NOW)
    assert "the statement's tenant is 'globex'" in await _refusal(verifier, signed)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("aud", "holdfast"),
        ("aud", "holdfast-decisions"),
        ("aud", ["another"]),
        ("sub", "eve"),
        ("team", ""),
        ("roles", []),
        ("roles", ["finance", "lead", "boss"]),
        ("roles", "finance lead"),
        ("roles", {"finance": 1, "lead": 1}),
        ("tenant", "globex"),
        ("approval", "apr_2"),
        ("digest", DIGEST.upper()),
        ("decision", "claim"),
        ("jti", "d2"),
        ("jti", 1),
        ("content", "0" * 64),
        ("iat", "now"),
        ("iat", True),
        ("iat", -1),
        ("exp", 1e300),
        ("exp", 10**400),
        ("exp", float("nan")),
        ("exp", float("inf")),
        ("exp", "2099-01-01T00:00:00Z"),
        ("exp", str(int(NOW.timestamp()) + 600)),
        ("nbf", "now"),
        ("nbf", 253_402_300_800),
    ],
)
async def test_a_statement_with_any_other_claim_is_refused(
    verifier: Verifier, sign: Signing, claim: str, value: object
) -> None:
    await _refusal(verifier, sign(decision(), **{claim: value}))


@pytest.mark.parametrize(
    "claim",
    [
        "aud",
        "sub",
        "roles",
        "tenant",
        "approval",
        "digest",
        "decision",
        "jti",
        "content",
        "iat",
        "exp",
        "team",
    ],
)
@pytest.mark.parametrize("value", [..., None])
async def test_a_statement_that_lacks_a_claim_is_refused(
    verifier: Verifier, sign: Signing, claim: str, value: object
) -> None:
    await _refusal(verifier, sign(decision(), **{claim: value}))


_names = st.text("abc", min_size=1, max_size=2)
_decisions = st.builds(
    decision,
    id=_names,
    approval=_names,
    kind=st.sampled_from(["accept", "reject", "edit"]),
    reviewer=_names,
    team=st.none() | _names,
    roles=st.lists(_names, max_size=2),
    digest=_names,
    text=_names,
    to=st.none() | _names,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=_decisions, handed_in=_decisions, tenants=st.tuples(_names, _names))
async def test_a_statement_fits_its_own_decision_only(
    verifier: Verifier,
    key: SigningKey,
    said: Decision,
    handed_in: Decision,
    tenants: tuple[str, str],
) -> None:
    signed = sign_decision(said, tenant=tenants[0], key=key, now=NOW)
    await verifier.verify(signed, tenant=tenants[0], at=NOW)
    other = handed_in.model_copy(update={"statement": signed.statement})
    same = (
        said.model_copy(update={"roles": ()}) == handed_in.model_copy(update={"roles": ()})
        and set(said.roles) == set(handed_in.roles)
        and tenants[0] == tenants[1]
    )
    if same:
        await verifier.verify(other, tenant=tenants[1], at=NOW)
    else:
        with pytest.raises(InvalidStatement):
            await verifier.verify(other, tenant=tenants[1], at=NOW)


# What is not genuine.


async def test_a_decision_without_a_statement_is_refused(verifier: Verifier) -> None:
    assert "has no signed statement" in await _refusal(verifier, decision())


@pytest.mark.parametrize(
    "statement", ["a", "a.b.c", "...", "é.é.é", "e30.e30.", "W10.W10.W10", " "]
)
async def test_what_is_no_token_is_refused(verifier: Verifier, statement: str) -> None:
    await _refusal(verifier, decision(statement=statement))


@pytest.mark.parametrize(
    "written", ["{}=", "{}==", "{}\n", " {}", "{}.", "{}!", "\t{}", "{}\u200b"]
)
async def test_a_genuine_statement_that_is_written_in_another_way_is_refused(
    verifier: Verifier, key: SigningKey, written: str
) -> None:
    signed = sign_decision(decision(), tenant="acme", key=key, now=NOW)
    await verifier.verify(signed, tenant="acme", at=NOW)
    other = written.format(signed.statement)
    await _refusal(verifier, signed.model_copy(update={"statement": other}))


async def test_a_statement_whose_last_letter_has_other_spare_bits_is_refused(
    verifier: Verifier, key: SigningKey
) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    signed = sign_decision(decision(), tenant="acme", key=key, now=NOW)
    start, last = signed.statement[:-1], signed.statement[-1]
    for bits in range(1, 16):  # 64 bytes leave four bits of the last letter over
        other = start + letters[letters.index(last) ^ bits]
        assert base64url_decode(other.split(".")[2]) == base64url_decode(
            signed.statement.split(".")[2]
        )
        refusal = await _refusal(verifier, signed.model_copy(update={"statement": other}))
        assert "base64url without padding" in refusal


async def test_a_forged_key_of_the_same_id_is_refused(verifier: Verifier, key: SigningKey) -> None:
    forged = sign_decision(decision(), tenant="acme", key=SigningKey.generate(key.kid), now=NOW)
    assert "not genuine: Signature verification failed" in await _refusal(verifier, forged)


async def test_a_key_that_is_not_in_the_set_is_refused(verifier: Verifier) -> None:
    unknown = sign_decision(decision(), tenant="acme", key=SigningKey.generate("k2"), now=NOW)
    assert "the key 'k2', which is not among" in await _refusal(verifier, unknown)


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_statement_that_was_tampered_with_is_refused(
    verifier: Verifier, key: SigningKey, part: int
) -> None:
    signed = sign_decision(decision(), tenant="acme", key=key, now=NOW)
    parts = signed.statement.split(".")
    decoded = bytearray(base64url_decode(parts[part]))
    for place in range(len(decoded)):
        altered = bytearray(decoded)
        altered[place] ^= 1
        forged = [*parts]
        forged[part] = base64url_encode(bytes(altered)).decode()
        await _refusal(verifier, signed.model_copy(update={"statement": ".".join(forged)}))


async def test_an_unsigned_token_is_refused(verifier: Verifier, key: SigningKey) -> None:
    claims = _claims(sign_decision(decision(), tenant="acme", key=key, now=NOW))
    headers = {"kid": key.kid, "typ": "holdfast-decision+jwt"}
    for name in ("none", "None", "NONE", "", None, ["EdDSA"]):
        token = _unsigned({**headers, "alg": name}, claims).decode() + "."
        refusal = await _refusal(verifier, decision(statement=token))
        assert refusal == "the statement is not signed with EdDSA, which its key 'k1' is for"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_the_public_key_is_no_shared_secret(
    verifier: Verifier, key: SigningKey, algorithm: str
) -> None:
    claims = _claims(sign_decision(decision(), tenant="acme", key=key, now=NOW))
    headers = {"kid": key.kid, "typ": "holdfast-decision+jwt"}
    public = key.key.key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = key.public_jwk().model_dump_json(exclude_none=True).encode()
    for secret in (pem, pem.strip(), raw, jwk):
        # PyJWT refuses to sign with a PEM itself, which a forger would not.
        token = _hmac_token(claims, {**headers, "alg": algorithm}, secret)
        assert "is not signed with EdDSA" in await _refusal(verifier, decision(statement=token))


def _hmac_token(claims: dict[str, Any], header: dict[str, Any], secret: bytes) -> str:
    signer = jwt.get_algorithm_by_name(header["alg"])
    signed = _unsigned(header, claims)
    return b".".join((signed, base64url_encode(signer.sign(signed, secret)))).decode()


def _unsigned(*parts: dict[str, Any]) -> bytes:
    return b".".join(base64url_encode(json.dumps(part).encode()) for part in parts)


async def test_another_algorithm_of_the_same_key_is_refused(tmp_path: Path) -> None:
    jwk = rsa_key("r1")
    path = tmp_path / "keys.json"
    path.write_text(jwks([], public_part(jwk)))
    verifier = StatementVerifier(await VerificationKeys.open(str(path)))
    key = signing(jwk)
    claims = _claims(sign_decision(decision(), tenant="acme", key=key, now=NOW))
    headers = {"kid": "r1", "typ": "holdfast-decision+jwt"}
    for algorithm in ("PS256", "RS512"):
        token = jwt.encode(claims, key.key.key, algorithm=algorithm, headers=headers)
        assert "is not signed with RS256" in await _refusal(verifier, decision(statement=token))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"typ": "JWT"}, "the statement's type is 'JWT'"),
        ({"typ": ...}, "the statement's type is 'JWT'"),
        ({"typ": "at+jwt"}, "the statement's type is 'at+jwt'"),
        ({"kid": ...}, '"kid" is missing'),
        ({"kid": "k" * 4_000}, "is not among the reviewers' keys"),
        ({"crit": ["exp"], "exp": 1}, "cannot be read"),
    ],
)
async def test_a_token_for_another_purpose_is_refused_in_few_words(
    verifier: Verifier, sign: Signing, headers: dict[str, Any], reason: str
) -> None:
    refusal = await _refusal(verifier, sign(decision(), headers=headers))
    assert reason in refusal
    assert len(refusal) < 300


# Times.


@pytest.mark.parametrize(
    ("after", "good"),
    [
        (timedelta(seconds=-61), False),
        (timedelta(seconds=-60), True),
        (timedelta(), True),
        (timedelta(seconds=599), True),
        (timedelta(seconds=600), False),
        (timedelta(days=400), False),
    ],
)
async def test_a_statement_is_good_from_a_minute_before_it_was_signed_until_it_expires(
    verifier: Verifier, key: SigningKey, after: timedelta, good: bool
) -> None:
    signed = sign_decision(decision(), tenant="acme", key=key, now=NOW)
    if good:
        await verifier.verify(signed, tenant="acme", at=NOW + after)
    else:
        refusal = await _refusal(verifier, signed, NOW + after)
        assert ("expired at" if after > timedelta() else "is not yet") in refusal


async def test_a_statement_that_is_not_good_yet_by_its_own_word_is_refused(
    verifier: Verifier, sign: Signing
) -> None:
    later = sign(decision(), nbf=NOW.timestamp() + 120.5)
    assert "which is not yet" in await _refusal(verifier, later)
    await verifier.verify(later, tenant="acme", at=NOW + timedelta(seconds=61))


async def test_a_statement_for_more_than_a_day_is_refused(
    verifier: Verifier, sign: Signing
) -> None:
    issued = int(NOW.timestamp())
    await verifier.verify(sign(decision(), exp=issued + 86_400), tenant="acme", at=NOW)
    refusal = await _refusal(verifier, sign(decision(), exp=issued + 86_401))
    assert "good for more than 24 hours" in refusal


@pytest.mark.parametrize("lifetime", [timedelta(), timedelta(hours=-1), timedelta(hours=25)])
async def test_nothing_is_signed_that_would_be_refused(
    key: SigningKey, lifetime: timedelta
) -> None:
    with pytest.raises(InvalidRequest, match="between 1 second and 24 hours"):
        sign_decision(decision(), tenant="acme", key=key, now=NOW, lifetime=lifetime)


@pytest.mark.parametrize("lifetime", [timedelta(seconds=1), timedelta(hours=24)])
async def test_a_statement_is_signed_for_a_second_at_least_and_a_day_at_most(
    verifier: Verifier, key: SigningKey, lifetime: timedelta
) -> None:
    signed = sign_decision(decision(), tenant="acme", key=key, now=NOW, lifetime=lifetime)
    await verifier.verify(signed, tenant="acme", at=NOW)
    assert "expired at" in await _refusal(verifier, signed, NOW + lifetime)


async def test_a_statement_is_signed_now_where_no_time_is_given(
    verifier: Verifier, key: SigningKey
) -> None:
    signed = sign_decision(decision(), tenant="acme", key=key)
    await verifier.verify(signed, tenant="acme", at=datetime.now(UTC))


# Without signatures.


async def test_where_decisions_are_not_signed_they_are_taken_without_a_statement() -> None:
    unsigned: Verifier = TrustingVerifier()
    await unsigned.verify(decision(), tenant="acme", at=NOW)
    await unsigned.verify_act(act(), tenant="acme", at=NOW)
    assert await unsigned.may_anybody(frozenset({"lead"}), tenant="acme")


# What a key is bound to.


def bound(key: SigningKey, **bounds: Any) -> SigningKey:
    """The same key, bound."""
    said = KeyBounds.model_validate(bounds)
    return SigningKey(key.private_jwk().model_copy(update={"holdfast": said}))


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"tenants": ("acme",), "roles": ("lead", "finance", "more")}, None),
        ({"tenants": ("another",)}, "does not sign for the tenant 'acme'"),
        ({"tenants": ()}, "does not sign for the tenant 'acme'"),
        ({"roles": ("lead",)}, "does not give the roles 'finance'"),
        ({"roles": ()}, "does not give the roles 'finance', 'lead'"),
        ({"issuer": "https://id.example.com"}, "belongs to 'https://id.example.com'"),
    ],
)
@pytest.mark.parametrize("said_by", ["the set", "the settings, by id", "the settings, for all"])
async def test_a_key_signs_within_its_bounds_only(
    tmp_path: Path, key: SigningKey, bounds: dict[str, Any], reason: str | None, said_by: str
) -> None:
    path = tmp_path / "keys.json"
    in_set = said_by == "the set"
    path.write_text(jwks([bound(key, **bounds) if in_set else key]))
    name = key.kid if said_by == "the settings, by id" else "*"
    settings = {} if in_set else {name: KeyBounds.model_validate(bounds)}
    verifier = StatementVerifier(await VerificationKeys.open(str(path), bounds=settings))
    signed = sign_decision(decision(), tenant="acme", key=key, now=NOW)
    if reason is None:
        await verifier.verify(signed, tenant="acme", at=NOW)
    else:
        assert reason in await _refusal(verifier, signed)


async def test_bounds_of_the_set_and_of_the_settings_both_count(
    tmp_path: Path, key: SigningKey
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(jwks([bound(key, roles=("lead", "finance"))]))
    keys = await VerificationKeys.open(str(path), bounds={"*": KeyBounds(roles=("lead", "more"))})
    verifier = StatementVerifier(keys)
    for roles, taken in ((("lead",), True), (("finance",), False), (("more",), False)):
        signed = sign_decision(decision(roles=roles), tenant="acme", key=key, now=NOW)
        if taken:
            await verifier.verify(signed, tenant="acme", at=NOW)
        else:
            assert "does not give the roles" in await _refusal(verifier, signed)
    assert await verifier.may_anybody(frozenset({"lead", "boss"}), tenant="acme")
    assert not await verifier.may_anybody(frozenset({"finance", "boss"}), tenant="acme")


async def test_a_bound_key_signs_as_its_issuer_and_nothing_beyond_its_bounds(
    tmp_path: Path, key: SigningKey
) -> None:
    mine = bound(key, tenants=("acme",), roles=("lead",), issuer="https://id.example.com")
    path = tmp_path / "keys.json"
    path.write_text(jwks([mine]))
    verifier = StatementVerifier(await VerificationKeys.open(str(path)))
    signed = sign_decision(decision(roles=("lead",)), tenant="acme", key=mine, now=NOW)
    await verifier.verify(signed, tenant="acme", at=NOW)
    with pytest.raises(InvalidStatement, match="does not give the roles 'boss'"):
        sign_decision(decision(roles=("lead", "boss")), tenant="acme", key=mine, now=NOW)
    with pytest.raises(InvalidStatement, match="does not sign for the tenant"):
        sign_decision(decision(roles=("lead",)), tenant="another", key=mine, now=NOW)
    with pytest.raises(InvalidStatement, match="does not sign for the tenant"):
        sign_act(act(), tenant="another", key=mine, now=NOW)


async def test_whether_anybody_may_decide_is_known_from_the_keys_tenants_and_roles(
    tmp_path: Path, key: SigningKey
) -> None:
    path = tmp_path / "keys.json"

    async def may(tenant: str, role: str, **bounds: Any) -> bool:
        path.write_text(jwks([bound(key, **bounds)]))
        verifier = StatementVerifier(await VerificationKeys.open(str(path)))
        return await verifier.may_anybody(frozenset({role}), tenant=tenant)

    assert await may("acme", "lead")
    assert await may("acme", "lead", tenants=("acme",), roles=("lead",))
    assert not await may("globex", "lead", tenants=("acme",), roles=("lead",))
    assert not await may("globex", "lead", tenants=("acme",))
    assert not await may("acme", "boss", tenants=("acme",), roles=("lead",))


# What people do in conversations.


def act(**changes: Any) -> PersonAct:
    """Ann takes a conversation over."""
    fields = {"id": "a1", "kind": "take_over", "reviewer": "ann", "conversation": "c1"}
    return PersonAct.model_validate({**fields, **changes})


async def test_a_statement_of_what_a_person_does_fits_that_alone(
    verifier: Verifier, key: SigningKey
) -> None:
    reply = act(kind="reply", text="Hello, this is Ann.")
    signed = reply.model_copy(
        update={"statement": sign_act(reply, tenant="acme", key=key, now=NOW)}
    )
    await verifier.verify_act(signed, tenant="acme", at=NOW)
    for changes in (
        {"reviewer": "bob"},
        {"conversation": "c2"},
        {"text": "Hello, this is Bob."},
        {"kind": "hand_back"},
        {"id": "a2"},
        {"statement": ""},
        {"statement": sign_decision(decision(), tenant="acme", key=key, now=NOW).statement},
    ):
        with pytest.raises(InvalidStatement):
            await verifier.verify_act(signed.model_copy(update=changes), tenant="acme", at=NOW)
    with pytest.raises(InvalidStatement, match="tenant"):
        await verifier.verify_act(signed, tenant="another", at=NOW)
    with pytest.raises(InvalidStatement, match="expired"):
        await verifier.verify_act(signed, tenant="acme", at=NOW + timedelta(hours=1))
    forged = sign_act(reply, tenant="acme", key=SigningKey.generate(key.kid), now=NOW)
    with pytest.raises(InvalidStatement, match="not genuine"):
        await verifier.verify_act(
            reply.model_copy(update={"statement": forged}), tenant="acme", at=NOW
        )


async def test_an_act_without_a_statement_is_refused_for_that(verifier: Verifier) -> None:
    with pytest.raises(InvalidStatement, match="takes a signed statement, and there is none"):
        await verifier.verify_act(act(), tenant="acme", at=NOW)


@pytest.mark.parametrize("audience", ["holdfast-decision", "another"])
async def test_a_statement_of_an_act_for_somebody_else_is_refused(
    verifier: Verifier, key: SigningKey, audience: str
) -> None:
    header, payload, _ = sign_act(act(), tenant="acme", key=key, now=NOW).split(".")
    claims = {**json.loads(base64url_decode(payload)), "aud": audience}
    statement = jwt.PyJWS().encode(
        json.dumps(claims).encode(),
        key.key,
        algorithm="EdDSA",
        headers=json.loads(base64url_decode(header)),
    )
    with pytest.raises(InvalidStatement, match=f"is for '{audience}', and not for"):
        await verifier.verify_act(
            act().model_copy(update={"statement": statement}), tenant="acme", at=NOW
        )


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"tenants": ("another",)}, "does not sign for the tenant 'acme'"),
        ({"issuer": "https://id.example.com"}, "belongs to 'https://id.example.com'"),
    ],
)
async def test_a_key_signs_acts_within_its_bounds_only(
    tmp_path: Path, key: SigningKey, bounds: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(jwks([bound(key, **bounds)]))
    verifier = StatementVerifier(await VerificationKeys.open(str(path)))
    signed = act().model_copy(
        update={"statement": sign_act(act(), tenant="acme", key=key, now=NOW)}
    )
    with pytest.raises(InvalidStatement, match=reason):
        await verifier.verify_act(signed, tenant="acme", at=NOW)
