"""From the claims of a verified token to the user that it stands for. Pure.

Tokens differ between issuers: Amazon Cognito's access tokens have no `aud`, but client_id and `token_use`; Keycloak's
may have no `aud`, but `azp`, and a `typ` among the claims; Microsoft Entra has the scopes in `scp`; Auth0 has a list in
`aud`. RFC 9068 is the standard for all.
"""

from collections.abc import Mapping
from typing import Any, Final

from longtask_api.agentcore_ids import actor_of
from longtask_mcp.contract.operations import Operation
from longtask_mcp.oauth.issuer import Issuer
from longtask_mcp.subject import Subject
from longtask_runtime.authentication import Identity, Reason, Refused

MAX_NAME: Final = 448
"""Characters of a user or group without its prefix; both together fit into spec.requester.principal."""
RESERVED: Final = "system:"
"""Prefix of names that belong to Kubernetes, service accounts among them."""
TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""Values of the header `typ` that an access token may have (RFC 9068, section 2.1); it may be absent."""
KINDS: Final[Mapping[str, str]] = {"token_use": "access", "typ": "Bearer"}
"""Claims in which Cognito and Keycloak say what a token is, and their value for an access token."""


def check_type(header: Mapping[str, Any]) -> None:
    """Refuse what is a JWT and no access token, by its header. Raises Refused."""
    given = header.get("typ", "JWT")
    if not isinstance(given, str) or given.lower() not in TYPES:
        raise Refused(Reason.INVALID, f"the token is of type {_shown(given)}; an access token is needed")


def subject(issuer: Issuer, claims: Mapping[str, Any]) -> Subject:
    """Who the claims name. Raises Refused if the token is for somebody else, or names nobody."""
    for name, access in KINDS.items():
        if claims.get(name, access) != access:
            raise Refused(Reason.INVALID, f"the token's {name} is {_shown(claims[name])}; an access token is needed")
    if "cnf" in claims:
        raise Refused(
            Reason.INVALID,
            "the token is bound to a key of its client (cnf), which is not checked here; get one without",
        )
    scopes = _scopes(claims)
    _check_audience(issuer, claims, scopes)
    identity = Identity(
        username=issuer.prefix + _name(claims, issuer.principal_claim),
        uid="",
        groups=tuple(issuer.prefix + each for each in _names(claims, issuer.groups_claim)),
        extra={},
    )
    return Subject(identity, _actor(claims, issuer.actor_claim), _lacks(issuer, scopes))


def _check_audience(issuer: Issuer, claims: Mapping[str, Any], scopes: frozenset[str]) -> None:
    audience = claims.get("aud")
    needed = " or ".join(issuer.audiences)
    if audience not in (None, "", []):
        given = [audience] if isinstance(audience, str) else audience
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise Refused(Reason.WRONG_AUDIENCE, "the token's aud is neither text nor a list of texts")
        if not {_plain(each) for each in given} & {_plain(each) for each in issuer.audiences}:
            raise Refused(
                Reason.WRONG_AUDIENCE,
                f"the token is for another audience, {_shown(audience)}; "
                + (f"{needed} is needed" if needed else f"tokens of {issuer.issuer} must have no aud here"),
            )
        return
    without = issuer.without_audience
    if without is None:
        raise Refused(Reason.WRONG_AUDIENCE, f"the token has no aud; {needed} is needed")
    client = claims.get("azp", claims.get("client_id"))
    if without.clients and client not in without.clients:
        raise Refused(
            Reason.WRONG_AUDIENCE, f"the token has no aud, and its client {_shown(client)} is not one that may call"
        )
    if missing := [each for each in without.scopes if each not in scopes]:
        raise Refused(Reason.WRONG_AUDIENCE, f"the token has no aud, and lacks the scope {' '.join(missing)}")


def _plain(audience: str) -> str:
    """An audience that is a URL without a slash at its end: clients ask for the resource with one, or without."""
    return audience.rstrip("/") if "://" in audience else audience


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes of a token: `scope`, a text (RFC 8693, section 4.2), or `scp`, a text or a list."""
    given = claims.get("scope", claims.get("scp", ""))
    if isinstance(given, str):
        return frozenset(given.split())
    return frozenset(each for each in given if isinstance(each, str)) if isinstance(given, list) else frozenset()


def _lacks(issuer: Issuer, scopes: frozenset[str]) -> dict[Operation, tuple[str, ...]]:
    required = {each: issuer.scopes.of(each) for each in Operation}
    held = [scope for wanted in required.values() for scope in wanted if scope in scopes]
    return {
        operation: tuple(dict.fromkeys([*held, *wanted]))
        for operation, wanted in required.items()
        if not scopes.issuperset(wanted)
    }


def _name(claims: Mapping[str, Any], claim: str) -> str:
    if claim == "email" and claims.get("email_verified", True) is not True:
        raise Refused(Reason.INVALID, "the token's email is not verified (email_verified)")
    return _checked(_found(claims, claim), claim)


def _names(claims: Mapping[str, Any], claim: str | None) -> list[str]:
    """The groups; none if there is no such claim."""
    found = _found(claims, claim) if claim is not None else None
    if found is None:
        return []
    return [_checked(each, claim) for each in (found if isinstance(found, list) else [found])]


def _actor(claims: Mapping[str, Any], claim: str | None) -> str | None:
    """The actor id of the token; None if it has no such claim, and so speaks for its own user."""
    found = _found(claims, claim) if claim is not None else None
    if found is None:
        return None
    name = _checked(found, claim)
    if name.startswith(RESERVED):
        raise Refused(Reason.INVALID, f"the token's {claim} begins with {RESERVED}, as only names of Kubernetes may")
    return actor_of(name)


def _checked(value: Any, claim: str | None) -> str:
    """A value as a name in Kubernetes."""
    if value is None:
        raise Refused(Reason.INVALID, f"the token has no claim {claim}, which names its user")
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= MAX_NAME
        or not value.isprintable()
        or value != value.strip()
    ):
        raise Refused(Reason.INVALID, f"the token's {claim} is not a text of 1 to {MAX_NAME} printable characters")
    return value


def _found(claims: Mapping[str, Any], claim: str) -> Any:
    """The value of a claim of that name, else of the path with dots; None if there is none."""
    if claim in claims:
        return claims[claim]
    value: Any = claims
    for part in claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _shown(value: Any) -> str:
    return f"{value!r:.100}"
