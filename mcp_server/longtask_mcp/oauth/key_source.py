"""Reads an issuer's keys over HTTPS: its metadata (OpenID Connect Discovery, RFC 8414), then its JWK Set (RFC 7517)."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import jwt
from jwt.algorithms import AllowedPublicKeys
from pydantic import TypeAdapter, ValidationError

from longtask_api.bounds import excess
from longtask_mcp.oauth.issuer import ALGORITHMS, HttpsUrl, Issuer

FETCH_SECONDS: Final = 5.0
"""For the metadata and the keys together."""
MAX_BYTES: Final = 512 * 1024
MAX_KEYS: Final = 100
MEMBERS: Final = ("kty", "n", "e", "crv", "x", "y")
"""Members of a public key; a private one is never loaded."""
CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
"""The algorithm of keys on a curve."""
RSA: Final = tuple(name for name, kty in ALGORITHMS.items() if kty == "RSA")
"""Algorithms of RSA keys; a key may be meant for all of them."""

_URL: Final[TypeAdapter[str]] = TypeAdapter(HttpsUrl)


class NoKeys(Exception):
    """The keys cannot be had; the text says why, for the administrator."""


@dataclass(frozen=True)
class SigningKey:
    """A public key of an issuer. `algorithm` is the only one that it may be used with, if its issuer says so."""

    kid: str | None
    kty: str
    algorithm: str | None
    public: AllowedPublicKeys

    def fits(self, kid: str | None, algorithm: str) -> bool:
        """Whether it may have signed a token with this header; one without a kid may be signed with any."""
        return kid in (None, self.kid) and self.kty == ALGORITHMS[algorithm] and self.algorithm in (None, algorithm)


class KeySource:
    """The servers of one issuer. Redirects are not followed."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._http = httpx2.AsyncClient(
            verify=issuer.tls() or True,
            timeout=FETCH_SECONDS,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "longtask-mcp"},
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def fetch(self) -> tuple[SigningKey, ...]:
        """The issuer's current keys, at least one. Raises NoKeys."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                url = self._issuer.jwks_uri or await self._discovered()
                return _signing_keys(await self._document(url), url)
        except TimeoutError as error:
            raise NoKeys(f"no answer within {FETCH_SECONDS:g} seconds") from error

    async def _discovered(self) -> str:
        """The jwks_uri of the issuer's metadata."""
        first, second = metadata_urls(self._issuer.issuer)
        try:
            metadata = await self._document(first)
        except NoKeys as missing:
            try:
                metadata = await self._document(second)
            except NoKeys as also:
                raise NoKeys(f"{missing}; {also}") from also
        said, uri = metadata.get("issuer"), metadata.get("jwks_uri")
        if said != self._issuer.issuer:
            raise NoKeys(f"its metadata says that the issuer is {said!r:.200}: configure it in the same way")
        try:
            return _URL.validate_python(uri)
        except ValidationError as error:
            raise NoKeys(f"its metadata has no usable jwks_uri: {uri!r:.200}") from error

    async def _document(self, url: str) -> Mapping[str, Any]:
        try:
            async with self._http.stream("GET", url) as response:
                if response.status_code != 200:
                    to = (
                        f" (a redirect to {response.headers['location']:.200})"
                        if response.has_redirect_location
                        else ""
                    )
                    raise NoKeys(f"{url} answers {response.status_code}{to}")
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise NoKeys(f"{url} answers with more than {MAX_BYTES} bytes")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NoKeys(f"{url} cannot be read: {error or type(error).__name__}") from error
        if problem := excess(bytes(body)):
            raise NoKeys(f"the answer of {url} {problem}")
        try:
            document = json.loads(body)
        except ValueError as error:
            raise NoKeys(f"{url} does not answer with JSON: {error}") from error
        if not isinstance(document, dict):
            raise NoKeys(f"{url} does not answer with a JSON object")
        return document


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Where an issuer's metadata may be: that of OpenID Connect (Discovery 1.0, section 4.1), then RFC 8414's."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )


def _signing_keys(document: Mapping[str, Any], url: str) -> tuple[SigningKey, ...]:
    """The usable keys of a JWK Set; others, for encryption or of an unknown type, are left out."""
    given = document.get("keys")
    if not isinstance(given, list) or len(given) > MAX_KEYS:
        raise NoKeys(f"{url} has no list of at most {MAX_KEYS} keys")
    keys = tuple(key for each in given if (key := _signing_key(each)) is not None)
    if not keys:
        raise NoKeys(f"{url} has no key that verifies signatures")
    return keys


def _signing_key(jwk: Any) -> SigningKey | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    kty, kid, operations = f"{jwk.get('kty')}", jwk.get("kid"), jwk.get("key_ops", ["verify"])
    if not isinstance(kid, str | None) or not isinstance(operations, list) or "verify" not in operations:
        return None
    of_curve = CURVES.get(f"{jwk.get('crv')}", "")
    algorithm = jwk.get("alg", of_curve or None)
    if algorithm not in ((None, *RSA) if kty == "RSA" else (of_curve,)):
        return None
    try:
        key = jwt.PyJWK({name: jwk[name] for name in MEMBERS if name in jwk})
    except jwt.PyJWTError:
        return None
    return SigningKey(kid, kty, algorithm, key.key)
