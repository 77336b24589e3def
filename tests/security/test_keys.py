"""Keys: read and refused, found again after a rotation, kept while their server is down."""

import asyncio
import base64
import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from holdfast.domain.errors import ConfigurationError, InvalidStatement
from holdfast.security.bounds import KeyBounds
from holdfast.security.development_keys import DevelopmentKeys, write_development_keys
from holdfast.security.signing_key import SigningKey
from holdfast.security.verification_keys import VerificationKeys
from tests.security.examples import elliptic, jwks, public_part, rsa_key, signing

NEVER = timedelta(hours=1)
ALWAYS = timedelta(0)


class JwksServer:
    """A server of a JWKS, on a port of its own, that counts how often it is asked."""

    def __init__(self, body: str) -> None:
        self.body, self.status, self.asked = body, 200, 0
        self.answering = threading.Event()
        self.answering.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                outer.answering.wait(10)
                body = outer.body.encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jwks.json"

    def stop(self) -> None:
        """Be gone: nobody listens any more."""
        self.answering.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def server(key: SigningKey) -> Iterator[JwksServer]:
    served = JwksServer(jwks([key]))
    yield served
    served.stop()


async def _knows(keys: VerificationKeys, kid: str) -> bool:
    try:
        return (await keys.key(kid)).kid == kid
    except InvalidStatement:
        return False


def _write(path: Path, content: str | None) -> None:
    """Write the file; None removes it."""
    path.unlink(missing_ok=True) if content is None else path.write_text(content)


# A file.


async def test_a_new_key_in_the_file_is_found_and_a_removed_one_is_not(
    jwks_file: Path, key: SigningKey
) -> None:
    keys = await VerificationKeys.open(str(jwks_file))
    second = SigningKey.generate("k2")
    assert not await _knows(keys, "k2")
    _write(jwks_file, jwks([key, second]))
    assert await _knows(keys, "k2")
    assert await _knows(keys, "k1")
    _write(jwks_file, jwks([second]))
    assert not await _knows(keys, "k1")


async def test_what_keys_may_sign_and_which_there_are_is_what_the_file_says_now(
    jwks_file: Path, key: SigningKey
) -> None:
    keys = await VerificationKeys.open(str(jwks_file))
    _write(jwks_file, jwks([key, SigningKey.generate("k2")]))
    assert len(await keys.bounds()) == 2
    _write(jwks_file, jwks([SigningKey.generate("k3")]))
    await keys.refresh()
    assert list(keys.fingerprint()) == ["k3"]


async def test_another_key_of_the_same_id_takes_its_place(jwks_file: Path, key: SigningKey) -> None:
    keys = await VerificationKeys.open(str(jwks_file))
    other = SigningKey.generate(key.kid)
    replacement = jwks_file.with_name("new.json")
    replacement.write_text(jwks([other]))
    replacement.rename(jwks_file)
    found = (await keys.key("k1")).key.key
    assert found.public_bytes_raw() == other.key.key.public_key().public_bytes_raw()


@pytest.mark.parametrize("content", ["", "{", "[]", None])
async def test_a_file_that_breaks_later_leaves_the_keys_and_warns_once(
    jwks_file: Path, key: SigningKey, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    keys = await VerificationKeys.open(str(jwks_file))
    _write(jwks_file, content)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await _knows(keys, "k1")
    assert len(caplog.records) == 1
    assert str(jwks_file) in caplog.text
    _write(jwks_file, jwks([key, SigningKey.generate("k2")]))
    assert await _knows(keys, "k2")


def _secret_in(jwk: dict[str, Any]) -> str:
    return json.dumps({"keys": [jwk]})


_SHARED = {"kty": "oct", "kid": "s", "k": base64.urlsafe_b64encode(b"s" * 32).decode()}
_OKP = {"kty": "OKP", "crv": "Ed25519", "kid": "k"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("", "not a JsonWebKeySet"),
        ("not json", "not a JsonWebKeySet"),
        ("[]", "not a JsonWebKeySet"),
        ("{}", "keys: Field required"),
        ('{"keys": {}}', "keys: "),
        ('{"keys": [1]}', "entry 0: "),
        (json.dumps({"keys": [{**_OKP, "x": "AAAA"}]}), "'k' (OKP Ed25519) is broken"),
        (json.dumps({"keys": [_OKP]}), "'k' (OKP Ed25519) is broken"),
        (json.dumps({"keys": [{**_OKP, "x": 1}]}), "entry 0: x: "),
        (json.dumps({"keys": [{**_OKP, "kid": None}]}), 'a key has no "kid"'),
        (json.dumps({"keys": [{**_OKP, "alg": "ES256"}]}), "no key that can be used"),
        (json.dumps({"keys": [{**_OKP, "alg": "HS256"}]}), "no key that can be used"),
        (json.dumps({"keys": [{**_OKP, "crv": "Ed448"}]}), "no key that can be used"),
        (_secret_in(_SHARED), "a private or a shared key"),
        (_secret_in(elliptic("e")), "a private or a shared key"),
    ],
)
async def test_a_file_that_is_no_set_of_public_keys_is_refused_at_the_start(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "keys.json"
    _write(path, content)
    with pytest.raises(ConfigurationError) as refused:
        await VerificationKeys.open(str(path))
    assert reason in str(refused.value)
    assert str(path) in str(refused.value)


async def test_a_private_key_in_the_set_is_refused_without_being_quoted(
    tmp_path: Path, key: SigningKey
) -> None:
    private = key.private_jwk().model_dump(mode="json", exclude_none=True)
    path = tmp_path / "keys.json"
    for jwk in (private, {**private, "d": [private["d"]]}):
        path.write_text(_secret_in(jwk))
        with pytest.raises(ConfigurationError) as refused:
            await VerificationKeys.open(str(path))
        assert private["d"] not in str(refused.value)


async def test_entries_that_cannot_be_used_are_passed_over_and_the_log_says_so(
    tmp_path: Path, key: SigningKey, caplog: pytest.LogCaptureFixture
) -> None:
    private = elliptic("p")
    unusable = [
        1,
        {**_OKP, "x": "AAAA"},
        {"kty": "OKP"},
        private,
        public_part(rsa_key("r", bits=1024)),
        SigningKey.generate(key.kid).public_jwk().model_dump(exclude_none=True),
        {**public_part(elliptic("b")), "holdfast": {"tenant": ["a typo binds nothing"]}},
    ]
    path = tmp_path / "keys.json"
    path.write_text(jwks([key, SigningKey.generate("k2")], *unusable))
    with caplog.at_level(logging.WARNING):
        keys = await VerificationKeys.open(str(path))
    assert [kid for kid in ("k1", "k2", "k", "p", "r", "b") if await _knows(keys, kid)] == [
        "k1",
        "k2",
    ]
    found = (await keys.key("k1")).key.key
    assert found.public_bytes_raw() == key.key.key.public_key().public_bytes_raw()
    for number in range(2, 9):
        assert f"entry {number}: " in caplog.text
    assert private["d"] not in caplog.text


@pytest.mark.parametrize(
    "entry",
    [
        r'{"kid": "a", "kty": "\ud800"}',
        f'{{"kid": "a", "kty": "RSA", "n": {"1" * 5_000}}}',
        '{"kid": "a", "kty": "RSA", "n": 1e999, "e": NaN}',
        '{"kid": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
    ],
)
async def test_an_entry_that_is_json_and_nothing_else_is_passed_over(
    tmp_path: Path, key: SigningKey, entry: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(jwks([key]).replace("[", f"[{entry}, ", 1))
    keys = await VerificationKeys.open(str(path))
    assert await _knows(keys, "k1")
    assert not await _knows(keys, "a")


async def test_an_empty_set_takes_all_keys_out(jwks_file: Path, key: SigningKey) -> None:
    keys = await VerificationKeys.open(str(jwks_file))
    assert await _knows(keys, "k1")
    _write(jwks_file, '{"keys": []}')
    assert not await _knows(keys, "k1")
    assert not await _knows(await VerificationKeys.open(str(jwks_file)), "k1")
    _write(jwks_file, jwks([key]))
    assert await _knows(keys, "k1")


def _pass(monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """Let this time pass for the keys."""
    clock = time.monotonic
    later = SimpleNamespace(monotonic=lambda: clock() + seconds)
    monkeypatch.setattr("holdfast.security.verification_keys.time", later)


@pytest.mark.parametrize("trouble", ["broken", "gone"])
async def test_keys_of_a_file_in_trouble_count_no_more_once_they_are_too_old(
    jwks_file: Path, key: SigningKey, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = await VerificationKeys.open(str(jwks_file), max_age=timedelta(minutes=1))
    _write(jwks_file, "{" if trouble == "broken" else None)
    assert await _knows(keys, "k1")
    _pass(monkeypatch, seconds=60)
    assert not await _knows(keys, "k1")
    with pytest.raises(InvalidStatement, match="too long"):
        await keys.key("k1")
    assert await keys.bounds() == []
    _write(jwks_file, jwks([key]))
    assert await _knows(keys, "k1")


async def test_keys_of_a_url_that_is_down_count_no_more_once_they_are_too_old(
    server: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = await VerificationKeys.open(
        server.url, fresh_for=ALWAYS, refetch_after=ALWAYS, max_age=timedelta(minutes=1)
    )
    server.status = 500
    assert await _knows(keys, "k1")
    _pass(monkeypatch, seconds=60)
    assert not await _knows(keys, "k1")
    server.status = 200
    assert await _knows(keys, "k1")


async def test_a_set_may_hold_keys_for_other_purposes_which_do_not_count(
    tmp_path: Path, key: SigningKey
) -> None:
    signer = {**public_part(elliptic("e1")), "key_ops": ["verify"]}
    others = [
        {**public_part(elliptic("e2")), "use": "enc"},
        {**public_part(elliptic("e3")), "key_ops": ["deriveKey"]},
        {**public_part(elliptic("e4")), "alg": "ECDH-ES"},
        public_part(elliptic("e5", ec.SECP384R1())),
        {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "e6"},
        {"kty": "AKP", "kid": "e7", "alg": "ML-DSA-44", "pub": "AAAA"},
    ]
    path = tmp_path / "keys.json"
    path.write_text(jwks([key], {**signer, "x5c": ["AAAA"]}, *others))
    keys = await VerificationKeys.open(str(path))
    assert [kid for kid in ("k1", *(f"e{n}" for n in range(1, 8))) if await _knows(keys, kid)] == [
        "k1",
        "e1",
    ]
    assert (await keys.key("e1")).algorithm == "ES256"


def test_two_bounds_leave_what_both_allow() -> None:
    free = KeyBounds()
    first = KeyBounds(tenants=("acme", "globex"), roles=("lead",), issuer="https://one.example.com")
    second = KeyBounds(tenants=("globex", "more"), roles=("lead", "boss"))
    assert first.within(free) == free.within(first) == first
    both = KeyBounds(tenants=("globex",), roles=("lead",), issuer="https://one.example.com")
    assert first.within(second) == second.within(first) == both
    assert first.within(KeyBounds(issuer="https://one.example.com")) == first
    other = first.within(KeyBounds(issuer="https://other.example.com"))
    assert (other.tenants, other.roles) == ((), ())


# A URL.


async def test_a_key_that_is_new_at_the_url_is_found_at_once(
    server: JwksServer, key: SigningKey
) -> None:
    keys = await VerificationKeys.open(server.url, fresh_for=NEVER, refetch_after=ALWAYS)
    server.body = jwks([key, SigningKey.generate("k2")])
    assert await _knows(keys, "k1")
    assert server.asked == 1
    assert await _knows(keys, "k2")
    assert server.asked == 2


async def test_a_key_that_is_gone_from_the_url_counts_no_more_after_the_next_fetch(
    server: JwksServer,
) -> None:
    keys = await VerificationKeys.open(server.url, fresh_for=ALWAYS, refetch_after=ALWAYS)
    assert await _knows(keys, "k1")
    server.body = jwks([SigningKey.generate("k2")])
    assert not await _knows(keys, "k1")
    assert await _knows(keys, "k2")


async def test_a_refresh_fetches_no_more_often_than_known_keys_are_looked_at(
    server: JwksServer,
) -> None:
    keys = await VerificationKeys.open(server.url, fresh_for=NEVER, refetch_after=ALWAYS)
    await keys.refresh()
    assert server.asked == 1


async def test_unknown_keys_do_not_make_it_fetch_again_and_again(server: JwksServer) -> None:
    keys = await VerificationKeys.open(server.url)
    for number in range(20):
        assert not await _knows(keys, f"made-up-{number}")
    assert await _knows(keys, "k1")
    assert server.asked == 1


async def test_many_who_ask_for_a_new_key_share_one_fetch(
    server: JwksServer, key: SigningKey
) -> None:
    keys = await VerificationKeys.open(
        server.url, fresh_for=NEVER, refetch_after=timedelta(seconds=0.1)
    )
    await asyncio.sleep(0.11)
    server.body = jwks([key, SigningKey.generate("k2")])
    assert all(await asyncio.gather(*(_knows(keys, "k2") for _ in range(20))))
    assert server.asked == 2


async def test_known_keys_do_not_wait_for_the_fetch_of_an_unknown_one(server: JwksServer) -> None:
    keys = await VerificationKeys.open(server.url, fresh_for=NEVER, refetch_after=ALWAYS)
    server.answering.clear()
    unknown = asyncio.create_task(_knows(keys, "made-up"))
    while server.asked < 2:  # noqa: ASYNC110 the server is a thread
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(_knows(keys, "k1"), 1)
    assert not unknown.done()
    server.answering.set()
    assert not await unknown


@pytest.mark.parametrize("trouble", ["down", "500", "404", "broken"])
async def test_a_url_in_trouble_leaves_the_keys_and_warns(
    server: JwksServer, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    keys = await VerificationKeys.open(server.url, fresh_for=ALWAYS, refetch_after=ALWAYS)
    match trouble:
        case "down":
            await asyncio.to_thread(server.stop)
        case "broken":
            server.body = "<html>"
        case status:
            server.status = int(status)
    with caplog.at_level(logging.WARNING):
        assert await _knows(keys, "k1")
        assert not await _knows(keys, "k2")
    assert server.url in caplog.text


async def test_a_url_that_does_not_answer_is_refused_at_the_start(server: JwksServer) -> None:
    server.status = 404
    with pytest.raises(ConfigurationError, match="404"):
        await VerificationKeys.open(server.url)
    await asyncio.to_thread(server.stop)
    with pytest.raises(ConfigurationError, match=server.url):
        await VerificationKeys.open(server.url)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await VerificationKeys.open("http://[::1/jwks.json")


# The signing key.


async def test_a_signing_key_is_read_as_it_was_written(tmp_path: Path) -> None:
    for made in (SigningKey.generate("k1"), signing(elliptic("e1")), signing(rsa_key("r1"))):
        path = tmp_path / f"{made.kid}.json"
        path.write_text(made.private_jwk().model_dump_json(exclude_none=True))
        read = SigningKey.read(path)
        assert (read.kid, read.algorithm) == (made.kid, made.algorithm)
        assert read.private_jwk() == made.private_jwk()


def test_a_key_without_a_name_gets_one_of_its_own() -> None:
    first, second = SigningKey.generate(), SigningKey.generate()
    assert first.kid.startswith("key-")
    assert first.kid != second.kid


async def test_the_public_part_holds_nothing_secret() -> None:
    for made in (SigningKey.generate("k1"), signing(elliptic("e1")), signing(rsa_key("r1"))):
        public = made.public_jwk()
        assert not public.is_secret
        assert public.checks_signatures()
        assert made.private_jwk().is_secret


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("{", "not a JsonWebKey"),
        (json.dumps(public_part(elliptic("e1"))), "no private part"),
        (json.dumps(elliptic("e1", ec.SECP384R1())), "is not for EdDSA"),
        (json.dumps(_SHARED), "is not for EdDSA"),
        (json.dumps({**elliptic("e1"), "kid": ""}), 'no "kid"'),
    ],
)
async def test_what_is_no_signing_key_is_refused(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "key.json"
    _write(path, content)
    with pytest.raises(ConfigurationError) as refused:
        SigningKey.read(path)
    assert reason in str(refused.value)
    assert str(path) in str(refused.value)


async def test_a_signing_key_whose_halves_do_not_fit_is_refused(
    tmp_path: Path, key: SigningKey
) -> None:
    other = SigningKey.generate("k1").private_jwk()
    mixed = key.private_jwk().model_copy(update={"d": other.d})
    path = tmp_path / "key.json"
    path.write_text(mixed.model_dump_json(exclude_none=True))
    with pytest.raises(ConfigurationError, match="broken") as refused:
        SigningKey.read(path)
    assert str(other.d) not in str(refused.value)


# Development.


async def test_development_keys_are_made_once_and_only_their_owner_reads_the_private_one(
    tmp_path: Path,
) -> None:
    made = write_development_keys(tmp_path / "data")
    assert made == DevelopmentKeys.below(tmp_path / "data")
    assert made.exist()
    assert made.signing.stat().st_mode & 0o777 == 0o600
    before = made.signing.read_bytes(), made.public.read_bytes()
    assert write_development_keys(tmp_path / "data") == made
    assert (made.signing.read_bytes(), made.public.read_bytes()) == before
    keys = await VerificationKeys.open(str(made.public))
    assert await _knows(keys, SigningKey.read(made.signing).kid)
    assert sorted(made.signing.parent.iterdir()) == sorted([made.signing, made.public])


async def test_development_keys_fit_when_many_make_them_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_development_keys, [tmp_path] * 16))
    made = DevelopmentKeys.below(tmp_path)
    keys = await VerificationKeys.open(str(made.public))
    assert await _knows(keys, SigningKey.read(made.signing).kid)


def test_development_keys_that_another_process_has_just_made_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exist = DevelopmentKeys.exist

    def made_right_after(keys: DevelopmentKeys) -> bool:
        monkeypatch.setattr(DevelopmentKeys, "exist", exist)
        write_development_keys(tmp_path)
        return False

    monkeypatch.setattr(DevelopmentKeys, "exist", made_right_after)
    made = write_development_keys(tmp_path)
    assert made.exist()


async def test_what_is_left_of_development_keys_is_never_overwritten(tmp_path: Path) -> None:
    made = write_development_keys(tmp_path)
    public, private = made.public.read_bytes(), made.signing.read_bytes()
    made.public.unlink()
    write_development_keys(tmp_path)
    assert (made.public.read_bytes(), made.signing.read_bytes()) == (public, private)
    made.signing.unlink()
    with pytest.raises(ConfigurationError, match="is gone"):
        write_development_keys(tmp_path)
    assert made.public.read_bytes() == public
