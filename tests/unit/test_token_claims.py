"""Whom the claims of a token name, in the shapes that issuers give them, and which tokens are for somebody else."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from longtask_api.agentcore_ids import actor_of
from longtask_api.longtask import Requester
from longtask_mcp.contract.operations import Operation
from longtask_mcp.oauth.claims import MAX_NAME, check_type, subject
from longtask_mcp.oauth.issuer import Issuer
from longtask_runtime.authentication import Reason, Refused

Claims = dict[str, Any]
URL = "https://login.example.com"
RESOURCE = "https://longtask.example.com/mcp"


def issuer(**settings: Any) -> Issuer:
    return Issuer.model_validate({"issuer": URL, "audiences": [RESOURCE], **settings})


COGNITO_CLIENT: Claims = {
    "sub": "7k2m9p4q",
    "token_use": "access",
    "scope": "longtask/start longtask/read",
    "auth_time": 1764547200,
    "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_a1b2c3d4e",
    "exp": 1764550800,
    "iat": 1764547200,
    "version": 2,
    "jti": "0d8f",
    "client_id": "7k2m9p4q",
}
COGNITO_USER: Claims = COGNITO_CLIENT | {
    "sub": "c3e4a8f0-1111-4222-8333-444455556666",
    "username": "alice",
    "cognito:groups": ["researchers"],
    "scope": "openid longtask/read",
}
ENTRA_USER: Claims = {
    "aud": "99999999-aaaa-bbbb-cccc-dddddddddddd",
    "iss": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    "azp": "77777777-aaaa-bbbb-cccc-dddddddddddd",
    "oid": "0a1b2c3d-0000-1111-2222-333344445555",
    "preferred_username": "alice@example.com",
    "scp": "Tasks.Read Tasks.Start",
    "sub": "Zm9vYmFy",
    "tid": "11111111-2222-3333-4444-555555555555",
    "ver": "2.0",
}
KEYCLOAK: Claims = {
    "iss": "https://sso.example.com/realms/agents",
    "typ": "Bearer",
    "azp": "assistant",
    "sub": "2d6baa03-7c5c-4d02-8f88-f2934fb32d0c",
    "realm_access": {"roles": ["researchers", "offline_access"]},
    "scope": "profile email",
    "preferred_username": "alice",
}
AUTH0: Claims = {
    "iss": "https://tenant.eu.auth0.com/",
    "sub": "auth0|64f1c0ffee",
    "aud": [RESOURCE, "https://tenant.eu.auth0.com/userinfo"],
    "azp": "f00d",
    "scope": "openid profile read:tasks",
    "https://example.com/groups": ["researchers"],
}


@pytest.mark.parametrize(
    ("settings", "claims", "user", "groups", "actor"),
    [
        pytest.param(
            {"audiences": [], "withoutAudience": {"clients": ["7k2m9p4q"], "scopes": ["longtask/start"]}},
            COGNITO_CLIENT,
            "oidc:7k2m9p4q",
            (),
            None,
            id="Cognito, client credentials: the client is the user",
        ),
        pytest.param(
            {
                "audiences": [],
                "withoutAudience": {"scopes": ["longtask/read"]},
                "prefix": "cognito:",
                "groupsClaim": "cognito:groups",
                "actorClaim": "sub",
            },
            COGNITO_USER,
            "cognito:c3e4a8f0-1111-4222-8333-444455556666",
            ("cognito:researchers",),
            "c3e4a8f0-1111-4222-8333-444455556666",
            id="Cognito, a user's token passed through: the user is the actor",
        ),
        pytest.param(
            {
                "audiences": [],
                "withoutAudience": {"scopes": ["longtask/read"]},
                "principalClaim": "client_id",
                "actorClaim": "sub",
            },
            COGNITO_USER,
            "oidc:7k2m9p4q",
            (),
            "c3e4a8f0-1111-4222-8333-444455556666",
            id="Cognito, a user's token passed through: RBAC asks about the client",
        ),
        pytest.param(
            {"audiences": ["99999999-aaaa-bbbb-cccc-dddddddddddd"], "principalClaim": "oid"},
            ENTRA_USER,
            "oidc:0a1b2c3d-0000-1111-2222-333344445555",
            (),
            None,
            id="Entra v2",
        ),
        pytest.param(
            {
                "audiences": [],
                "withoutAudience": {"clients": ["assistant"]},
                "principalClaim": "preferred_username",
                "groupsClaim": "realm_access.roles",
            },
            KEYCLOAK,
            "oidc:alice",
            ("oidc:researchers", "oidc:offline_access"),
            None,
            id="Keycloak without aud",
        ),
        pytest.param(
            {"groupsClaim": "https://example.com/groups", "actorClaim": "sub"},
            AUTH0,
            "oidc:auth0|64f1c0ffee",
            ("oidc:researchers",),
            actor_of("auth0|64f1c0ffee"),
            id="Auth0, with a list in aud, and an actor that is no id in AgentCore",
        ),
        pytest.param({}, {"aud": RESOURCE + "/", "sub": "a"}, "oidc:a", (), None, id="asked for with a slash"),
        pytest.param(
            {"audiences": ["https://longtask.example.com"]},
            {"aud": "https://longtask.example.com/", "sub": "a"},
            "oidc:a",
            (),
            None,
            id="asked for as the host",
        ),
        pytest.param({"actorClaim": "act"}, {"aud": RESOURCE, "sub": "a"}, "oidc:a", (), None, id="without an actor"),
        pytest.param(
            {"groupsClaim": "role"}, {"aud": RESOURCE, "sub": "a", "role": "b"}, "oidc:a", ("oidc:b",), None, id="one"
        ),
        pytest.param(
            {"principalClaim": "email"},
            {"aud": RESOURCE, "email": "a@b.c", "email_verified": True},
            "oidc:a@b.c",
            (),
            None,
            id="a verified mail address",
        ),
    ],
)
def test_claims_name_a_user(
    settings: Claims, claims: Claims, user: str, groups: tuple[str, ...], actor: str | None
) -> None:
    found = subject(issuer(**settings), claims)
    assert (found.identity.username, found.identity.groups, found.actor_id) == (user, groups, actor)
    assert (found.identity.uid, found.identity.extra, found.lacks) == ("", {}, {})


GOOD: Claims = {"aud": RESOURCE, "sub": "alice"}
WITHOUT: Claims = {"audiences": [], "withoutAudience": {"clients": ["assistant"], "scopes": ["longtask/use"]}}


@pytest.mark.parametrize(
    ("settings", "claims", "reason", "told"),
    [
        ({}, {"aud": "account"}, Reason.WRONG_AUDIENCE, f"another audience, 'account'; {RESOURCE} is needed"),
        ({}, {"aud": ["account", "other"]}, Reason.WRONG_AUDIENCE, "for another audience"),
        ({}, {"aud": None}, Reason.WRONG_AUDIENCE, f"has no aud; {RESOURCE} is needed"),
        ({}, {"aud": []}, Reason.WRONG_AUDIENCE, "has no aud"),
        ({}, {"aud": ""}, Reason.WRONG_AUDIENCE, "has no aud"),
        ({}, {"aud": {"a": 1}}, Reason.WRONG_AUDIENCE, "neither text nor a list of texts"),
        ({}, {"aud": [RESOURCE, 1]}, Reason.WRONG_AUDIENCE, "neither text nor a list of texts"),
        ({}, {"aud": "https://longtask.example.com"}, Reason.WRONG_AUDIENCE, "for another audience"),
        ({}, {"aud": RESOURCE[:-1]}, Reason.WRONG_AUDIENCE, "for another audience"),
        ({"audiences": ["a"]}, {"aud": "a/"}, Reason.WRONG_AUDIENCE, "for another audience"),
        (WITHOUT, {"azp": "assistant", "scope": "longtask/use"}, Reason.WRONG_AUDIENCE, "must have no aud here"),
        (WITHOUT, {"aud": None, "azp": "other"}, Reason.WRONG_AUDIENCE, "its client 'other' is not one that may call"),
        (WITHOUT, {"aud": None}, Reason.WRONG_AUDIENCE, "its client None is not one that may call"),
        (WITHOUT, {"aud": None, "client_id": ["assistant"]}, Reason.WRONG_AUDIENCE, "is not one that may call"),
        (WITHOUT, {"aud": None, "azp": "other", "client_id": "assistant"}, Reason.WRONG_AUDIENCE, "client 'other'"),
        (
            WITHOUT,
            {"aud": None, "azp": "assistant", "scope": "longtask/user"},
            Reason.WRONG_AUDIENCE,
            "has no aud, and lacks the scope longtask/use",
        ),
        ({}, {"token_use": "id"}, Reason.INVALID, "token_use is 'id'; an access token is needed"),
        ({}, {"typ": "Refresh"}, Reason.INVALID, "typ is 'Refresh'; an access token is needed"),
        ({}, {"cnf": {"jkt": "x"}}, Reason.INVALID, "bound to a key of its client"),
        ({}, {"sub": None}, Reason.INVALID, "no claim sub"),
        ({}, {"sub": ""}, Reason.INVALID, "sub is not a text of 1 to 448 printable characters"),
        ({}, {"sub": 7}, Reason.INVALID, "sub is not a text"),
        ({}, {"sub": ["alice"]}, Reason.INVALID, "sub is not a text"),
        ({}, {"sub": "a" * 449}, Reason.INVALID, "sub is not a text"),
        ({}, {"sub": "alice\n"}, Reason.INVALID, "sub is not a text"),
        ({}, {"sub": " alice"}, Reason.INVALID, "sub is not a text"),
        ({}, {"sub": "a\u202eb"}, Reason.INVALID, "sub is not a text"),
        ({"principalClaim": "a.b"}, {"a": {"c": "x"}}, Reason.INVALID, "no claim a.b"),
        ({"principalClaim": "a.b"}, {"a": "b"}, Reason.INVALID, "no claim a.b"),
        ({"principalClaim": "email"}, {"email": "a@b.c", "email_verified": False}, Reason.INVALID, "not verified"),
        ({"principalClaim": "email"}, {"email": "a@b.c", "email_verified": "true"}, Reason.INVALID, "not verified"),
        ({"groupsClaim": "groups"}, {"groups": ["a", 1]}, Reason.INVALID, "groups is not a text"),
        ({"groupsClaim": "groups"}, {"groups": {"a": "b"}}, Reason.INVALID, "groups is not a text"),
        ({"actorClaim": "actor"}, {"actor": "system:serviceaccount:a:b"}, Reason.INVALID, "begins with system:"),
        ({"actorClaim": "actor"}, {"actor": ["a"]}, Reason.INVALID, "actor is not a text"),
    ],
)
def test_claims_for_somebody_else_or_of_nobody_are_refused(
    settings: Claims, claims: Claims, reason: Reason, told: str
) -> None:
    with pytest.raises(Refused, match=re.escape(told)) as refused:
        subject(issuer(**settings), GOOD | claims)
    assert refused.value.reason is reason


def test_a_name_never_is_one_of_kubernetes_own() -> None:
    claims = GOOD | {"sub": "system:masters", "groups": ["system:masters"]}
    identity = subject(issuer(groupsClaim="groups"), claims).identity
    assert (identity.username, identity.groups) == ("oidc:system:masters", ("oidc:system:masters",))


@pytest.mark.parametrize(
    ("claims", "lacks"),
    [
        ({"scope": "read start stop"}, set()),
        ({"scp": "read start stop"}, set()),
        ({"scp": ["read", "start", "stop"]}, set()),
        ({"scope": "read"}, {Operation.START, Operation.CANCEL}),
        ({"scope": "start stop"}, {Operation.READ}),
        ({"scope": "read start"}, {Operation.CANCEL}),
        ({"scope": "reading starting"}, {*Operation}),
        ({"scope": None, "scp": 7}, {*Operation}),
        ({}, {*Operation}),
    ],
)
def test_operations_need_their_scopes(claims: Claims, lacks: set[Operation]) -> None:
    required = {"read": ["read"], "start": ["start"], "cancel": ["start", "stop"]}
    assert set(subject(issuer(scopes=required), GOOD | claims).lacks) == lacks


def test_a_better_token_is_asked_for_with_the_scopes_that_this_one_has() -> None:
    required = {"read": ["read"], "start": ["read", "start"], "cancel": ["stop"]}
    found = subject(issuer(scopes=required), GOOD | {"scope": "openid stop read"})
    assert found.lacks == {Operation.START: ("read", "stop", "start")}


@pytest.mark.parametrize(
    "header", [{}, {"typ": "JWT"}, {"typ": "jwt"}, {"typ": "at+jwt"}, {"typ": "application/at+jwt"}]
)
def test_access_tokens_have_one_of_these_types(header: Claims) -> None:
    check_type(header)


@pytest.mark.parametrize("given", ["dpop+jwt", "logout+jwt", "secevent+jwt", "", None, 7])
def test_a_jwt_of_another_type_is_refused(given: object) -> None:
    with pytest.raises(Refused, match="an access token is needed"):
        check_type({"typ": given})


def test_the_longest_name_fits_into_a_task_with_the_longest_prefix() -> None:
    longest = issuer(prefix="p" * 63 + ":")
    username = subject(longest, GOOD | {"sub": "a" * MAX_NAME}).identity.username
    assert Requester(principal=username).principal == username
    with pytest.raises(ValidationError):
        issuer(prefix="p" * 64 + ":")
