"""For whom a caller speaks, and which session is told: what headers say, and who may send them."""

import re

import pytest
from starlette.datastructures import Headers

from longtask_api.agentcore_ids import DEFAULT_SESSION_ID, actor_of
from longtask_api.longtask import Memory
from longtask_mcp.contract.callers import Caller
from longtask_mcp.delegation import BadHeaders, Delegation, Forbidden

SERVICE = "system:serviceaccount:agents:service"
MEMORY = "team-0123456789"
OTHER = "ops-0123456789"
ARN = f"arn:aws:bedrock-agentcore:eu-central-1:123456789012:memory/{MEMORY}"
RULES = Delegation([SERVICE, "anonymous"], [MEMORY, OTHER, ARN])
WITH_DEFAULT = Delegation([SERVICE], [MEMORY, OTHER], OTHER)

Sent = list[tuple[str, str]]
A, S, M = "X-LongTask-Actor-Id", "X-LongTask-Session-Id", "X-LongTask-Memory-Id"
ALL = [(A, "user-7"), (S, "conv-1"), (M, MEMORY)]


def caller(sent: Sent, rules: Delegation = RULES, principal: str = SERVICE) -> Caller:
    return rules.caller(principal, Headers(raw=[(name.lower().encode(), value.encode()) for name, value in sent]))


def memory(memory_id: str, actor_id: str = "user-7", session_id: str = "conv-1") -> Memory:
    return Memory(memory_id=memory_id, actor_id=actor_id, session_id=session_id)


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ([], Caller(SERVICE)),
        ([(A, "user-7")], Caller(SERVICE, "user-7")),
        ([(A, "user-7"), (S, "conv-1")], Caller(SERVICE, "user-7", "conv-1")),
        (ALL, Caller(SERVICE, "user-7", "conv-1", memory(MEMORY))),
        ([(A, "a/b:c/d"), (S, "x"), (M, ARN)], Caller(SERVICE, "a/b:c/d", "x", memory(ARN, "a/b:c/d", "x"))),
        ([(S, "longtask"), (A, "user-7")], Caller(SERVICE, "user-7", "longtask")),
        ([("Mcp-Session-Id", f"conv-1@@@{MEMORY}@@@user-7")], Caller(SERVICE, "user-7", "conv-1", memory(MEMORY))),
        (
            [("Mcp-Session-Id", f"conv-1@@@{MEMORY}@@@user-7"), *ALL],
            Caller(SERVICE, "user-7", "conv-1", memory(MEMORY)),
        ),
        (
            [("Mcp-Session-Id", f"conv-1@@@{MEMORY}@@@user-7"), (A, "user-7")],
            Caller(SERVICE, "user-7", "conv-1", memory(MEMORY)),
        ),
        ([("Mcp-Session-Id", "0f4b2c")], Caller(SERVICE)),
        ([("Mcp-Session-Id", "0f4b2c"), *ALL], Caller(SERVICE, "user-7", "conv-1", memory(MEMORY))),
    ],
)
def test_a_trusted_principal_is_who_its_headers_say(sent: Sent, known: Caller) -> None:
    assert caller(sent) == known


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ([], Caller(SERVICE, memory=memory(OTHER, SERVICE, DEFAULT_SESSION_ID))),
        ([(A, "user-7")], Caller(SERVICE, "user-7")),
        ([(A, "user-7"), (S, "conv-1")], Caller(SERVICE, "user-7", "conv-1", memory(OTHER))),
        (ALL, Caller(SERVICE, "user-7", "conv-1", memory(MEMORY))),
    ],
)
def test_the_default_memory_is_that_of_callers_that_name_none(sent: Sent, known: Caller) -> None:
    assert caller(sent, WITH_DEFAULT) == known


def test_an_identity_that_is_no_actor_id_has_the_actor_of_the_published_function() -> None:
    known = caller([], WITH_DEFAULT, "jane@example.com")
    assert known == Caller("jane@example.com", memory=memory(OTHER, actor_of("jane@example.com"), DEFAULT_SESSION_ID))


def test_the_anonymous_caller_may_be_trusted() -> None:
    assert caller(ALL, principal="anonymous").actor_id == "user-7"


@pytest.mark.parametrize("name", [A, S, M])
@pytest.mark.parametrize("value", ["user-7", "", "@@", MEMORY])
def test_nobody_else_may_send_any_of_the_headers(name: str, value: str) -> None:
    told = f"mallory may not speak for others, so {name} cannot be taken from it; list the account in "
    with pytest.raises(Forbidden, match=re.escape(f"{told}mcp.trustedPrincipals of the chart's values")):
        caller([(name, value)], principal="mallory")


def test_nobody_else_may_send_the_composite() -> None:
    with pytest.raises(Forbidden, match="so Mcp-Session-Id cannot be taken from it"):
        caller([("Mcp-Session-Id", f"conv-1@@@{MEMORY}@@@user-7")], principal="mallory")
    assert caller([("Mcp-Session-Id", "0f4b2c")], principal="mallory") == Caller("mallory")


@pytest.mark.parametrize("memory_id", ["stray-0123456789", MEMORY.replace("team", "Team"), ARN.replace("eu", "us")])
def test_a_memory_that_is_not_listed_is_refused(memory_id: str) -> None:
    told = f"memory {memory_id} may not be written to from here; list it in memory.memoryIds of the chart's values"
    sent = [(A, "user-7"), (S, "conv-1"), (M, memory_id)]
    with pytest.raises(Forbidden, match=re.escape(told)):
        caller(sent)
    with pytest.raises(Forbidden, match=re.escape(told)):
        caller([("Mcp-Session-Id", f"conv-1@@@{memory_id}@@@user-7")])


def test_no_memory_is_allowed_where_none_is_listed() -> None:
    with pytest.raises(Forbidden, match="may not be written to"):
        caller(ALL, Delegation([SERVICE]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (A, ""),
        (A, "user@example.com"),
        (A, "user.7"),
        (A, "-user"),
        (A, "a:"),
        (A, "a" * 256),
        (A, "user-7, user-8"),
        (A, "us\u00e9r"),
        (A, "user 7"),
        (S, ""),
        (S, "conv/1"),
        (S, "_conv"),
        (S, "s" * 101),
        (S, "conv-1\u0000"),
        (M, "team"),
        (M, "team-012345678"),
        (M, "team-0123456789x"),
        (M, f"0{MEMORY}"),
        (M, f"arn:aws:s3:eu-central-1:123456789012:memory/{MEMORY}"),
        (M, f"{'m' * 101}-0123456789"),
    ],
)
def test_an_id_that_does_not_fit_is_refused_with_header_and_pattern(name: str, value: str) -> None:
    sent = [(header, each) for header, each in ALL if header != name] + [(name, value)]
    with pytest.raises(BadHeaders, match=rf"^{name}: .* does not fit \^.*\$ with at most \d+ characters"):
        caller(sent)


@pytest.mark.parametrize(
    ("composite", "told"),
    [
        ("@@@", "is not session@@@memory@@@actor"),
        (f"conv-1%40%40%40{MEMORY}%40%40%40user-7", "is not session@@@memory@@@actor"),
        (f"conv%2D1@@@{MEMORY}@@@user-7", "'conv%2D1' does not fit"),
        (f"conv-1@@@{MEMORY}", "is not session@@@memory@@@actor"),
        (f"conv-1@@@{MEMORY}@@@user-7@@@more", "is not session@@@memory@@@actor"),
        (f"@@@{MEMORY}@@@user-7", "Mcp-Session-Id (for X-LongTask-Session-Id): '' does not fit"),
        ("conv-1@@@@@@user-7", "Mcp-Session-Id (for X-LongTask-Memory-Id): '' does not fit"),
        (f"conv-1@@@{MEMORY}@@@", "Mcp-Session-Id (for X-LongTask-Actor-Id): '' does not fit"),
        (f"conv-1@@@{MEMORY}@@@@user", "Mcp-Session-Id (for X-LongTask-Actor-Id): '@user' does not fit"),
        (f"longtask-1@@@{MEMORY}@@@user-7", "'longtask-1' begins with longtask-"),
    ],
)
def test_a_composite_that_does_not_fit_is_refused(composite: str, told: str) -> None:
    with pytest.raises(BadHeaders, match=re.escape(told)):
        caller([("Mcp-Session-Id", composite)])


@pytest.mark.parametrize(("name", "value"), [(A, "user-8"), (S, "conv-2"), (M, OTHER)])
def test_headers_and_composite_that_differ_are_refused(name: str, value: str) -> None:
    with pytest.raises(BadHeaders, match=f"{name} is '{value}', but Mcp-Session-Id has"):
        caller([("Mcp-Session-Id", f"conv-1@@@{MEMORY}@@@user-7"), (name, value)])


@pytest.mark.parametrize("name", [A, S, M, "Mcp-Session-Id"])
def test_a_repeated_header_is_refused_even_if_it_says_the_same(name: str) -> None:
    value = dict(ALL).get(name, f"conv-1@@@{MEMORY}@@@user-7")
    with pytest.raises(BadHeaders, match=f"{name} is there 2 times; send it once"):
        caller([*((header, each) for header, each in ALL if header != name), (name, value), (name, value)])


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([(S, "conv-1")], f"{A} is missing: without it, {S} cannot"),
        ([(M, MEMORY)], f"{A} is missing: without it, {M} cannot"),
        ([(S, "conv-1"), (M, MEMORY)], f"{A} is missing: without it, {S} and {M} cannot"),
        ([(A, "user-7"), (M, MEMORY)], f"{S} is missing: without it, {M} cannot"),
    ],
)
def test_headers_that_lack_another_are_refused_with_its_name(sent: Sent, told: str) -> None:
    with pytest.raises(BadHeaders, match=re.escape(told)):
        caller(sent)


@pytest.mark.parametrize("session_id", ["longtask-", "longtask-8f3c0000-0000-4000-8000-000000000001"])
def test_no_conversation_has_the_id_of_a_record(session_id: str) -> None:
    with pytest.raises(
        BadHeaders, match=f"{S}: '{session_id}' begins with longtask-, as only the records of tasks may"
    ):
        caller([(A, "user-7"), (S, session_id)])


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(BadHeaders) as caught:
        caller([(A, "user-7"), (S, "s" * 5000)])
    assert len(str(caught.value)) < 400
    assert "(5000)" in str(caught.value)


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ([], Caller(SERVICE, "user-7", memory=memory(OTHER, session_id=DEFAULT_SESSION_ID))),
        ([(S, "conv-1")], Caller(SERVICE, "user-7", "conv-1", memory(OTHER))),
        ([(S, "conv-1"), (M, MEMORY)], Caller(SERVICE, "user-7", "conv-1", memory(MEMORY))),
        (ALL, Caller(SERVICE, "user-7", "conv-1", memory(MEMORY))),
    ],
)
def test_the_actor_of_a_token_needs_no_header(sent: Sent, known: Caller) -> None:
    headers = Headers(raw=[(name.lower().encode(), value.encode()) for name, value in sent])
    assert WITH_DEFAULT.caller(SERVICE, headers, "user-7") == known


def test_a_header_may_not_name_another_actor_than_the_token() -> None:
    with pytest.raises(Forbidden, match="the token is user-8's, so it cannot speak for user-7"):
        WITH_DEFAULT.caller(SERVICE, Headers({A: "user-7"}), "user-8")


def test_a_caller_that_is_not_trusted_names_no_session_even_of_its_own_actor() -> None:
    with pytest.raises(Forbidden, match="may not speak for others"):
        WITH_DEFAULT.caller("oidc:alice", Headers({S: "conv-1"}), "user-7")
