"""Configuration of an issuer whose tokens are accepted: one entry of the chart's mcp.authentication.jwt."""

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from longtask_mcp.contract.operations import Operation

ALGORITHMS: Final[Mapping[str, str]] = {
    **{f"{family}{bits}": "RSA" for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"ES{bits}": "EC" for bits in (256, 384, 512)},
    "EdDSA": "OKP",
}
"""Signature algorithms (RFC 7518, section 3.1; RFC 8037) and the type of their keys. All are asymmetric."""
MAX_LEEWAY_SECONDS: Final = 300


def _trustworthy(url: str) -> str:
    """The URL, if what it answers cannot be changed on its way."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        pass
    elif parts.scheme != "http" or not is_loopback(parts):
        raise ValueError(f"{url!r} must begin with https:// (http:// is for loopback addresses)")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{url!r} must have no user name, query or fragment")
    return url


def is_loopback(url: SplitResult) -> bool:
    """Whether the URL is one of this machine."""
    try:
        return url.hostname == "localhost" or ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        return False


HttpsUrl = Annotated[str, AfterValidator(_trustworthy)]
Text = Annotated[str, Field(min_length=1, max_length=512)]
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$", description="A scope (RFC 6749, section 3.3).")]
Prefix = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?:$")]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class _Configured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class WithoutAudience(_Configured):
    """What identifies a token for this server that has no `aud`; all that is named here must hold."""

    clients: Annotated[tuple[Text, ...], Field(description="One of them is the token's azp or client_id.")] = ()
    scopes: Annotated[tuple[Scope, ...], Field(description="The token has all of them.")] = ()

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.clients and not self.scopes:
            raise ValueError("withoutAudience must name clients or scopes: otherwise every token would be accepted")
        return self


class RequiredScopes(_Configured):
    """Scopes that a token must have, all of them, to read, start or cancel tasks."""

    read: tuple[Scope, ...] = ()
    start: tuple[Scope, ...] = ()
    cancel: tuple[Scope, ...] = ()

    def of(self, operation: Operation) -> tuple[str, ...]:
        """The scopes for an operation."""
        return {Operation.READ: self.read, Operation.START: self.start, Operation.CANCEL: self.cancel}[operation]


class Issuer(_Configured):
    """An issuer, which of its tokens are for this server, and what their claims mean.

    A claim is named as it is written in the token, or as a path with dots (`realm_access.roles`).
    """

    issuer: Annotated[HttpsUrl, Field(description="The tokens' `iss`, character by character.")]
    jwks_uri: Annotated[
        HttpsUrl | None, Field(description="Where its keys are. Without it, its metadata says where.")
    ] = None
    audiences: Annotated[tuple[Text, ...], Field(description="A token's `aud` must have one of them.")] = ()
    without_audience: Annotated[
        WithoutAudience | None, Field(description="Accept tokens without `aud`; otherwise they are refused.")
    ] = None
    prefix: Annotated[
        Prefix, Field(description="Prefix of users and groups in Kubernetes; no other issuer has the same.")
    ] = "oidc:"
    principal_claim: Annotated[Text, Field(description="The claim with the user's name.")] = "sub"
    groups_claim: Annotated[Text | None, Field(description="The claim with the user's groups.")] = None
    actor_claim: Annotated[
        Text | None, Field(description="The claim with the actor that the user speaks for, in AgentCore's terms.")
    ] = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, description="Accepted signatures.")] = (
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    )
    leeway_seconds: Annotated[
        int, Field(ge=0, le=MAX_LEEWAY_SECONDS, description="How far its clock and ours may differ.")
    ] = 30
    scopes: Annotated[RequiredScopes, Field(description="Scopes that its tokens need.")] = RequiredScopes()
    certificate_authority: Annotated[
        str | None,
        Field(
            min_length=1, description="Certificates, as PEM, that sign those of its servers, instead of public ones."
        ),
    ] = None

    @model_validator(mode="after")
    def _is_for_this_server(self) -> Self:
        if not self.audiences and self.without_audience is None:
            raise ValueError(
                "audiences is empty: name the `aud` that tokens for this server have, or in withoutAudience the "
                "clients or scopes of tokens that have none"
            )
        return self

    @model_validator(mode="after")
    def _prefix_is_free(self) -> Self:
        if self.prefix == "system:":
            raise ValueError("prefix 'system:' belongs to Kubernetes; choose another one")
        return self

    @model_validator(mode="after")
    def _authority_is_readable(self) -> Self:
        self.tls()
        return self

    def tls(self) -> ssl.SSLContext | None:
        """How its servers are verified; None: by public authorities. Raises ValueError."""
        if self.certificate_authority is None:
            return None
        try:
            return ssl.create_default_context(cadata=self.certificate_authority)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"certificateAuthority is not a certificate in PEM: {error}") from error
