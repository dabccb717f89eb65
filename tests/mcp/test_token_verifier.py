"""Which tokens an issuer's keys verify, against a real issuer on loopback."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from longtask_mcp.oauth import issuer as configured
from longtask_mcp.oauth import key_cache, key_source
from longtask_mcp.oauth.key_cache import IssuerUnavailable
from longtask_mcp.oauth.key_source import metadata_urls
from longtask_mcp.oauth.verifier import TokenVerifier, verifying
from longtask_runtime.authentication import MAX_TOKEN_LENGTH, Reason, Refused
from longtask_runtime.tls import ServerCertificate
from tests.mcp import certificates
from tests.mcp.issuer import AUDIENCE, Issuer, issuing, new_key, public_jwk
from tests.mcp.world import eventually

METADATA = "/.well-known/openid-configuration"
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for seconds."""
    monkeypatch.setattr(key_cache, "INTERVAL_SECONDS", 0.05)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as made:
        yield made


@asynccontextmanager
async def trusting(*issuers: Issuer, **settings: Any) -> AsyncIterator[TokenVerifier]:
    every = [
        configured.Issuer.model_validate(
            {"issuer": each.url, "audiences": [AUDIENCE], "prefix": f"i{number}:", **settings}
        )
        for number, each in enumerate(issuers)
    ]
    async with verifying(every) as verifier:
        yield verifier


async def outcome(verifier: TokenVerifier, token: str) -> str:
    """The user, or why there is none."""
    try:
        subject = await verifier.verify(token)
    except Refused as refused:
        return refused.reason
    except IssuerUnavailable:
        return "unavailable"
    return subject.identity.username if subject is not None else "somebody else's"


def now() -> int:
    return int(time.time())


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parts(token: str) -> tuple[Json, Json]:
    header, claims = (json.loads(base64.urlsafe_b64decode(each + "==")) for each in token.split(".")[:2])
    return header, claims


@pytest.mark.parametrize("algorithm", configured.ALGORITHMS)
async def test_every_algorithm_that_is_accepted_works(issuer: Issuer, algorithm: str) -> None:
    issuer.rotate("key", algorithm)
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, issuer.token()) == "i0:alice"


def forged_by_hmac(issuer: Issuer) -> str:
    """Signed with the issuer's public key, as text, for a verifier that believes the header."""
    _, key = issuer.keys["first"]
    secret = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body = encoded({"alg": "HS256", "kid": "first", "typ": "JWT"}), issuer.token().split(".")[1]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{head}.{body}".encode(), secret
    )
    return f"{head}.{body}.{encoded(signature)}"


def with_header(issuer: Issuer, **header: Any) -> str:
    """Signed in earnest."""
    return issuer.token(header)


def with_part(issuer: Issuer, place: int, part: object) -> str:
    segments = issuer.token().split(".")
    segments[place] = part if isinstance(part, str) else encoded(part)
    return ".".join(segments)


def signed_by_another(issuer: Issuer) -> str:
    header, claims = parts(issuer.token())
    return jwt.encode(claims, new_key("ES256"), "ES256", headers=header)


def long(issuer: Issuer) -> str:
    return issuer.token(padding="x" * MAX_TOKEN_LENGTH)


FORGED: dict[str, tuple[Callable[[Issuer], str], Reason]] = {
    "no signature": (lambda i: i.token().rpartition(".")[0] + ".", Reason.BAD_SIGNATURE),
    "alg none": (lambda i: with_part(i, 0, {"alg": "none", "kid": "first"}).rpartition(".")[0] + ".", Reason.INVALID),
    "alg None": (lambda i: with_part(i, 0, {"alg": "None", "kid": "first"}), Reason.INVALID),
    "no alg": (lambda i: with_part(i, 0, {"kid": "first"}), Reason.INVALID),
    "alg a list": (lambda i: with_part(i, 0, {"alg": ["ES256"], "kid": "first"}), Reason.INVALID),
    "HS256 with the public key": (forged_by_hmac, Reason.INVALID),
    "an algorithm of another type of key": (
        lambda i: with_part(i, 0, {"alg": "RS256", "kid": "first"}),
        Reason.UNKNOWN_KEY,
    ),
    "an algorithm of another curve": (lambda i: with_part(i, 0, {"alg": "ES384", "kid": "first"}), Reason.UNKNOWN_KEY),
    "another's key": (signed_by_another, Reason.BAD_SIGNATURE),
    "another's key in its header": (
        lambda i: jwt.encode(
            parts(i.token())[1],
            (own := new_key("ES256")),
            "ES256",
            headers={"kid": "mine", "jwk": public_jwk("mine", "ES256", own), "jku": "http://127.0.0.1:1/keys"},
        ),
        Reason.UNKNOWN_KEY,
    ),
    "other claims": (lambda i: with_part(i, 1, parts(i.token())[1] | {"sub": "bob"}), Reason.BAD_SIGNATURE),
    "an unknown kid": (lambda i: with_header(i, kid="other"), Reason.UNKNOWN_KEY),
    "a kid that is a path": (lambda i: with_header(i, kid="../../dev/null"), Reason.UNKNOWN_KEY),
    "a kid that is a number": (lambda i: with_part(i, 0, {"alg": "ES256", "kid": 1}), Reason.INVALID),
    "an extension that is critical": (lambda i: with_header(i, crit=["x"], x=1), Reason.INVALID),
    "a body that is detached": (
        lambda i: with_part(i, 0, {"alg": "ES256", "kid": "first", "b64": False}),
        Reason.INVALID,
    ),
    "a type of its own": (lambda i: with_header(i, typ="dpop+jwt"), Reason.INVALID),
    "no exp": (lambda i: i.token(exp=None), Reason.INVALID),
    "an exp that is text": (lambda i: i.token(exp="tomorrow"), Reason.INVALID),
    "an exp that is a list": (lambda i: i.token(exp=[now() + 100]), Reason.INVALID),
    "an exp without end": (lambda i: i.token(exp=float("inf")), Reason.INVALID),
    "expired": (lambda i: i.token(exp=now() - 40), Reason.EXPIRED),
    "expired, by an unknown key": (lambda i: i.token({"kid": "gone"}, exp=now() - 40), Reason.EXPIRED),
    "not yet valid": (lambda i: i.token(nbf=now() + 400), Reason.NOT_YET_VALID),
    "issued in the future": (lambda i: i.token(iat=now() + 400), Reason.NOT_YET_VALID),
    "an nbf that is text": (lambda i: i.token(nbf="now"), Reason.INVALID),
    "another audience": (lambda i: i.token(aud="account"), Reason.WRONG_AUDIENCE),
    "no audience": (lambda i: i.token(aud=None), Reason.WRONG_AUDIENCE),
    "no user": (lambda i: i.token(sub=None), Reason.INVALID),
    "a sub that is a number": (lambda i: with_part(i, 1, parts(i.token())[1] | {"sub": 7}), Reason.BAD_SIGNATURE),
    "long": (long, Reason.INVALID),
    "deep claims": (lambda i: with_part(i, 1, b'{"iss":"' + i.url.encode() + b'","a":' + b"[" * 9000), Reason.INVALID),
    "a deep header": (lambda i: with_part(i, 0, b"[" * 9000), Reason.INVALID),
    "claims that are a list": (lambda i: with_part(i, 1, []), Reason.INVALID),
    "claims in UTF-16": (lambda i: with_part(i, 1, json.dumps({"iss": i.url}).encode("utf-16")), Reason.INVALID),
    "claims that are no base64": (lambda i: with_part(i, 1, "*"), Reason.INVALID),
    "a signature that is no base64": (lambda i: with_part(i, 2, "*"), Reason.INVALID),
    "padding": (lambda i: with_part(i, 2, i.token().split(".")[2] + "==="), Reason.INVALID),
    "five parts": (lambda i: f"{i.token()}.a.b", Reason.INVALID),
    "two parts": (lambda i: i.token().rpartition(".")[0], Reason.INVALID),
    "no JWT": (lambda _: "ghp_0123456789abcdefghij", Reason.INVALID),
    "nothing": (lambda _: "", Reason.MISSING),
    "half a surrogate": (lambda _: "a.\ud800.c", Reason.INVALID),
}


async def test_tokens_that_are_forged_or_misshapen_are_refused(issuer: Issuer) -> None:
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, issuer.token()) == "i0:alice"
        found = {case: await outcome(verifier, make(issuer)) for case, (make, _) in FORGED.items()}
        expected = {case: reason for case, (_, reason) in FORGED.items()}
        assert found == expected
        assert await outcome(verifier, issuer.token()) == "i0:alice"


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -200), ("nbf", 200), ("iat", 200)])
async def test_clocks_may_differ_as_far_as_is_configured(issuer: Issuer, claim: str, seconds: int) -> None:
    async with trusting(issuer, leewaySeconds=300) as patient, trusting(issuer, leewaySeconds=0) as exact:
        claims = {claim: now() + seconds}
        assert await outcome(patient, issuer.token(**claims)) == "i0:alice"
        assert await outcome(exact, issuer.token(**claims)) in (Reason.EXPIRED, Reason.NOT_YET_VALID)


async def test_only_the_algorithms_that_are_configured_are_accepted(issuer: Issuer) -> None:
    async with trusting(issuer, algorithms=["RS256"]) as verifier:
        assert await outcome(verifier, issuer.token()) == Reason.INVALID


async def test_a_token_belongs_to_the_issuer_that_it_names_and_to_its_keys(issuer: Issuer) -> None:
    """Both use the same kid."""
    async with issuing() as other, trusting(issuer, other) as verifier:
        assert await outcome(verifier, issuer.token()) == "i0:alice"
        assert await outcome(verifier, other.token()) == "i1:alice"
        assert await outcome(verifier, issuer.token(iss=other.url)) == Reason.BAD_SIGNATURE
        assert await outcome(verifier, other.token(iss=issuer.url)) == Reason.BAD_SIGNATURE
        other.rotate("of other")
        assert await outcome(verifier, other.token(iss=issuer.url)) == Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "name", [None, "", 7, ["a"], {"a": 1}, "https://kubernetes.default.svc.cluster.local", "{url}/", "{url}?", "{URL}"]
)
async def test_a_token_of_nobody_here_is_left_to_others(issuer: Issuer, name: Any) -> None:
    if isinstance(name, str):
        name = name.replace("{url}", issuer.url).replace("{URL}", issuer.url.upper())
    header, claims = parts(issuer.token())
    token = f"{encoded(header)}.{encoded(claims | {'iss': name})}.c2ln"
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, token) == "somebody else's"
        issuer.asked.clear()
    assert not issuer.asked


async def test_keys_rotate_without_a_refused_token(issuer: Issuer) -> None:
    async with trusting(issuer) as verifier:
        for number in range(10):
            issuer.rotate(f"key-{number}", keep=number % 2 == 0)
            tokens = [issuer.token(sub=f"user-{each}") for each in range(20)]
            found = await asyncio.gather(*(outcome(verifier, token) for token in tokens))
            assert found == [f"i0:user-{each}" for each in range(20)]
    assert issuer.asked["/keys"] <= 20


async def test_a_key_without_a_kid_is_found_among_others_and_rotates(issuer: Issuer) -> None:
    issuer.keys = {}
    for kid in ("a", "b", None):
        issuer.rotate(kid, keep=True)
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, issuer.token()) == "i0:alice"
        issuer.rotate(None)
        assert await outcome(verifier, issuer.token()) == "i0:alice"
        assert await outcome(verifier, signed_by_another(issuer)) == Reason.BAD_SIGNATURE


async def test_known_keys_verify_while_the_issuer_is_away(issuer: Issuer) -> None:
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, issuer.token()) == "i0:alice"
        await issuer.stop()
        assert await outcome(verifier, issuer.token(sub="bob")) == "i0:bob"
        assert await outcome(verifier, issuer.token(exp=now() - 40)) == Reason.EXPIRED
        issuer.rotate("new")
        assert await outcome(verifier, issuer.token()) == "unavailable"
        await issuer.start()
        assert await eventually_other_than("unavailable", verifier, issuer.token()) == "i0:alice"


async def test_a_server_that_starts_while_the_issuer_is_away_serves_once_it_is_there(issuer: Issuer) -> None:
    await issuer.stop()
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, issuer.token()) == "unavailable"
        await issuer.start()
        assert await eventually_other_than("unavailable", verifier, issuer.token()) == "i0:alice"


async def eventually_other_than(unwanted: str, verifier: TokenVerifier, token: str) -> str:
    async def look() -> str | None:
        found = await outcome(verifier, token)
        return found if found != unwanted else None

    return await eventually(look, f"something else than {unwanted}") or ""


async def test_an_issuer_that_does_not_answer_is_not_waited_for_long(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_source, "FETCH_SECONDS", 0.1)
    monkeypatch.setattr(key_cache, "INTERVAL_SECONDS", 600.0)
    issuer.late.clear()
    async with trusting(issuer) as verifier:
        found = await asyncio.gather(*(outcome(verifier, issuer.token(sub=f"{each}")) for each in range(20)))
        assert set(found) == {"unavailable"}
    assert issuer.asked[METADATA] == 1


def jwks(*keys: Json) -> Response:
    return JSONResponse({"keys": list(keys)})


RSA_KEY = public_jwk("rsa", "RS256", new_key("RS256"))
BROKEN: dict[str, Callable[[Issuer], dict[str, Response]]] = {
    "keys that are no JSON": lambda _: {"/keys": PlainTextResponse("<html>Sign in</html>")},
    "keys in another encoding": lambda i: {"/keys": Response(json.dumps(i.jwks()).encode("utf-16"))},
    "keys that are a list": lambda i: {"/keys": JSONResponse(i.jwks()["keys"])},
    "keys that are text": lambda _: {"/keys": JSONResponse({"keys": "x"})},
    "no keys": lambda _: {"/keys": jwks()},
    "no key that is usable": lambda i: {
        "/keys": jwks(
            {"kty": "oct", "kid": "first", "k": "c2VjcmV0"},
            RSA_KEY | {"kid": "first", "use": "enc"},
            RSA_KEY | {"kid": "first", "alg": "RSA-OAEP"},
            RSA_KEY | {"kid": "first", "alg": "HS256"},
            RSA_KEY | {"kid": "first", "alg": "ES256"},
            RSA_KEY | {"kid": "first", "key_ops": ["encrypt"]},
            RSA_KEY | {"kid": "first", "key_ops": "verify"},
            RSA_KEY | {"kid": "first", "n": 7},
            RSA_KEY | {"kid": "first", "kty": ["RSA"]},
            RSA_KEY | {"kid": 7},
            {"kty": "RSA", "kid": "first"},
            {"kty": "EC", "kid": "first", "crv": "secp256k1", "x": "AA", "y": "AA"},
            {"kty": "EC", "kid": "first", "crv": ["P-256"], "x": "AA", "y": "AA"},
            {"kty": "EC", "kid": "first", "crv": "P-256", "x": "AA", "y": "AA"},
            i.jwks()["keys"][0] | {"alg": "ES384"},
        )
    },
    "too many keys": lambda i: {"/keys": jwks(*i.jwks()["keys"] * 101)},
    "deep JSON": lambda _: {"/keys": Response('{"keys":' + "[" * 100_000)},
    "a long answer": lambda i: {"/keys": JSONResponse(i.jwks() | {"padding": "x" * 1_000_000})},
    "an error": lambda _: {"/keys": Response(status_code=500)},
    "a redirect of the keys": lambda i: {
        "/keys": RedirectResponse(f"{i.url}/elsewhere"),
        "/elsewhere": JSONResponse(i.jwks()),
    },
    "a redirect of the metadata": lambda i: {
        METADATA: RedirectResponse("/elsewhere"),
        "/elsewhere": JSONResponse({"issuer": i.url, "jwks_uri": f"{i.url}/keys"}),
    },
    "metadata of another issuer": lambda i: {
        METADATA: JSONResponse({"issuer": f"{i.url}/", "jwks_uri": f"{i.url}/keys"})
    },
    "metadata without jwks_uri": lambda i: {METADATA: JSONResponse({"issuer": i.url})},
    "a jwks_uri that is no https": lambda i: {
        METADATA: JSONResponse({"issuer": i.url, "jwks_uri": "http://192.0.2.1/keys"})
    },
    "a jwks_uri that is a file": lambda i: {
        METADATA: JSONResponse({"issuer": i.url, "jwks_uri": "file:///etc/passwd"})
    },
    "a jwks_uri that is a number": lambda i: {METADATA: JSONResponse({"issuer": i.url, "jwks_uri": 7})},
    "no metadata": lambda _: {METADATA: Response(status_code=404)},
}


async def test_an_issuer_that_is_broken_neither_lets_in_nor_locks_out(issuer: Issuer) -> None:
    async with trusting(issuer) as verifier:
        known, unknown = issuer.token(), issuer.token({"kid": "other"})
        assert await outcome(verifier, known) == "i0:alice"
        found = {}
        for case, answers in BROKEN.items():
            issuer.answers = answers(issuer)
            async with trusting(issuer) as anew:
                found[case] = await outcome(anew, known)
        assert found == dict.fromkeys(BROKEN, "unavailable")
        assert await outcome(verifier, unknown) == "unavailable"
        assert await outcome(verifier, issuer.token(sub="bob")) == "i0:bob"
        issuer.answers = {}
        assert await eventually_other_than("unavailable", verifier, unknown) == Reason.UNKNOWN_KEY


async def test_keys_that_are_not_understood_do_not_hide_the_others(issuer: Issuer) -> None:
    issuer.answers = {"/keys": jwks("x", {"kty": "AKP"}, RSA_KEY | {"use": "enc"}, *issuer.jwks()["keys"])}  # type: ignore[arg-type]
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, issuer.token()) == "i0:alice"


async def test_a_short_key_verifies_nothing(issuer: Issuer) -> None:
    issuer.keys = {"short": ("RS256", rsa.generate_private_key(65537, 1024))}
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.token()
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, token) == Reason.INVALID


def test_metadata_is_looked_for_where_both_standards_have_it() -> None:
    assert metadata_urls("https://a.example/realms/b/") == (
        "https://a.example/realms/b/.well-known/openid-configuration",
        "https://a.example/.well-known/oauth-authorization-server/realms/b",
    )
    assert metadata_urls("https://a.example") == (
        "https://a.example/.well-known/openid-configuration",
        "https://a.example/.well-known/oauth-authorization-server",
    )


async def test_metadata_of_oauth_will_do_and_so_will_an_address_of_the_keys() -> None:
    async with issuing("/realms/b") as issuer:
        issuer.answers = {
            f"/realms/b{METADATA}": Response(status_code=404),
            "/.well-known/oauth-authorization-server/realms/b": JSONResponse(
                {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
            ),
        }
        async with trusting(issuer) as verifier:
            assert await outcome(verifier, issuer.token()) == "i0:alice"
        issuer.answers = dict.fromkeys(issuer.answers, Response(status_code=404))
        async with trusting(issuer, jwksUri=f"{issuer.url}/keys") as verifier:
            assert await outcome(verifier, issuer.token()) == "i0:alice"


async def test_https_is_verified_by_the_authority_that_is_configured(tmp_path: Path) -> None:
    issuer, authority = Issuer(scheme="https"), certificates.write(tmp_path)
    await issuer.start(ServerCertificate(tmp_path).context)
    try:
        async with trusting(issuer, certificateAuthority=authority) as verifier:
            assert await outcome(verifier, issuer.token()) == "i0:alice"
        async with trusting(issuer) as verifier:
            assert await outcome(verifier, issuer.token()) == "unavailable"
        async with trusting(issuer, certificateAuthority=certificates.write(tmp_path / "other", "other")) as verifier:
            assert await outcome(verifier, issuer.token()) == "unavailable"
    finally:
        await issuer.stop()


async def test_a_refusal_is_remembered_for_a_moment(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with trusting(issuer) as verifier:
        token = issuer.token({"kid": "other"})
        assert await outcome(verifier, token) == Reason.UNKNOWN_KEY
        asked = issuer.asked["/keys"]
        assert [await outcome(verifier, token) for _ in range(50)] == [Reason.UNKNOWN_KEY] * 50
        assert issuer.asked["/keys"] == asked


SEGMENT = st.one_of(
    st.binary(max_size=60).map(encoded),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3),
    ).map(encoded),
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x"]), st.text(max_size=8) | st.integers()
    ).map(encoded),
    st.text(alphabet="ABab01-_=.", max_size=12),
)


async def test_no_token_is_too_strange_to_be_refused(issuer: Issuer) -> None:
    """Headers and claims of any shape, with the right issuer and kid too."""
    async with trusting(issuer) as verifier:
        assert await outcome(verifier, issuer.token()) == "i0:alice"
        loop, segments = asyncio.get_running_loop(), issuer.token().split(".")

        @given(st.lists(SEGMENT, min_size=3, max_size=3), st.sets(st.integers(0, 2), max_size=2))
        def refused(random: list[str], kept: set[int]) -> None:
            token = ".".join(segments[place] if place in kept else each for place, each in enumerate(random))
            if token != ".".join(segments):
                found = asyncio.run_coroutine_threadsafe(outcome(verifier, token), loop).result(60)
                assert found in {*Reason, "somebody else's"}

        await asyncio.to_thread(refused)
