"""Verifies tokens of the configured issuers (RFC 7519, RFC 8725, RFC 9068)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import jwt

from longtask_mcp.oauth.claims import check_type, subject
from longtask_mcp.oauth.issuer import Issuer
from longtask_mcp.oauth.key_cache import KeyCache
from longtask_mcp.oauth.key_source import KeySource, SigningKey
from longtask_mcp.subject import Subject
from longtask_runtime.authentication import (
    MAX_TOKEN_LENGTH,
    Reason,
    Refusals,
    Refused,
    has_passed,
    json_segment,
)

MAX_TRIED: Final = 8
"""Keys that a token without a kid is tried with."""
Json = Mapping[str, Any]


class IssuerTokens:
    """Tokens of one issuer, which only its own keys verify."""

    def __init__(self, issuer: Issuer, keys: KeyCache) -> None:
        self.issuer = issuer
        self.keys = keys

    async def subject(self, token: str, header: Json, claims: Json) -> Subject:
        """Who the token proves, given its unverified parts. Raises Refused or IssuerUnavailable."""
        check_type(header)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self.issuer.algorithms:
            raise Refused(Reason.INVALID, f"the token is signed with {algorithm!r:.50}, which is not accepted")
        if not isinstance(kid, str | None):
            raise Refused(Reason.INVALID, "the token's kid is not a text")
        if has_passed(claims, self.issuer.leeway_seconds):
            raise Refused(Reason.EXPIRED, f"the token has expired; get a new one from {self.issuer.issuer}")
        candidates = self.keys.fitting(kid, algorithm)
        verified = self._verified(token, algorithm, candidates)
        if verified is None and (kid is None or not candidates):
            await self.keys.refresh()
            candidates = self.keys.fitting(kid, algorithm)
            verified = self._verified(token, algorithm, candidates)
        if verified is not None:
            return subject(self.issuer, verified)
        if candidates:
            raise Refused(Reason.BAD_SIGNATURE, f"the token's signature is not that of {self.issuer.issuer}")
        raise Refused(
            Reason.UNKNOWN_KEY, f"{self.issuer.issuer} has no key for the token's kid {kid!r:.100} and {algorithm}"
        )

    def _verified(self, token: str, algorithm: str, candidates: Iterable[SigningKey]) -> Json | None:
        """The claims, if one of the keys has signed them. Raises Refused if they do not hold now."""
        for key in list(candidates)[:MAX_TRIED]:
            try:
                return jwt.decode(
                    token,
                    key.public,
                    algorithms=[algorithm],
                    issuer=self.issuer.issuer,
                    leeway=self.issuer.leeway_seconds,
                    options={"require": ["exp"], "verify_aud": False, "enforce_minimum_key_length": True},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError as error:
                raise Refused(
                    Reason.EXPIRED, f"the token has expired; get a new one from {self.issuer.issuer}"
                ) from error
            except jwt.ImmatureSignatureError as error:
                raise Refused(
                    Reason.NOT_YET_VALID, f"{error}: the clocks of its issuer and this server differ"
                ) from error
            except (jwt.PyJWTError, ValueError) as error:
                raise Refused(Reason.INVALID, f"the token is not valid: {error}") from error
        return None


class TokenVerifier:
    """Verifies the tokens of several issuers. Which one a token belongs to is what it says itself (`iss`)."""

    def __init__(self, issuers: Iterable[IssuerTokens]) -> None:
        self._issuers = {each.issuer.issuer: each for each in issuers}
        self._refused = Refusals()

    async def verify(self, token: str) -> Subject | None:
        """Who the token proves; None if it is a JWT of nobody here. Raises Refused or IssuerUnavailable."""
        if not token:
            raise Refused(
                Reason.MISSING, f"a bearer token of {' or '.join(self._issuers)}, or of a service account, is needed"
            )
        if len(token) > MAX_TOKEN_LENGTH:
            raise Refused(Reason.INVALID, f"the token is longer than {MAX_TOKEN_LENGTH} characters")
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
        self._refused.recall(digest)
        try:
            header, claims = _unverified(token)
            name = claims.get("iss")
            issuer = self._issuers.get(name) if isinstance(name, str) else None
            return await issuer.subject(token, header, claims) if issuer is not None else None
        except Refused as refused:
            self._refused.remember(digest, refused)
            raise

    def key_ages(self) -> dict[str, Callable[[], float]]:
        """By issuer, what gives the seconds since its keys were read."""
        return {name: each.keys.age for name, each in self._issuers.items()}


@asynccontextmanager
async def verifying(issuers: Iterable[Issuer]) -> AsyncIterator[TokenVerifier]:
    """A verifier that reads the keys of every issuer, and keeps them up to date."""
    sources = {issuer: KeySource(issuer) for issuer in issuers}
    tokens = [IssuerTokens(issuer, KeyCache(issuer.issuer, source.fetch)) for issuer, source in sources.items()]
    following = [asyncio.create_task(each.keys.follow()) for each in tokens]
    try:
        yield TokenVerifier(tokens)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await asyncio.gather(*(source.aclose() for source in sources.values()))


def _unverified(token: str) -> tuple[Json, Json]:
    """Header and claims of a signed JWT in its compact form. Raises Refused."""
    segments = token.split(".")
    try:
        if len(segments) != 3:
            raise ValueError("it has no three parts")
        header, claims = (_object(segment) for segment in segments[:2])
    except ValueError as error:
        raise Refused(Reason.INVALID, f"the token is not a JWT: {error}") from error
    return header, claims


def _object(segment: str) -> Json:
    document = json_segment(segment)
    if not isinstance(document, dict):
        raise ValueError("a part of it is not a JSON object")
    return document
