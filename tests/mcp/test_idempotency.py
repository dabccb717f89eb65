"""When two starts are one."""

import hashlib
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from longtask_api import constants
from longtask_api.canonical import canonical
from longtask_api.constants import ANNOTATION_TAKEN_BACK
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.idempotency import ALPHABET, SUFFIX_LENGTH, Relation, Start
from longtask_mcp.contract.task_status import age
from tests.mcp.objects import NOW, ago, task

KEYED = Start(Caller("alice"), "model-training", {"epochs": 10}, "nightly")
UNKEYED = Start(Caller("alice"), "model-training", {"epochs": 10}, None)


@pytest.mark.parametrize(
    ("start", "spec", "created", "relation"),
    [
        (KEYED, {"idempotencyKey": "nightly"}, ago(seconds=1), Relation.SAME),
        (KEYED, {"idempotencyKey": "nightly"}, ago(hours=23.9), Relation.SAME),
        (KEYED, {"idempotencyKey": "nightly"}, ago(hours=24), Relation.SAME),
        (KEYED, {"idempotencyKey": "nightly"}, ago(hours=24.1), Relation.UNRELATED),
        (KEYED, {"idempotencyKey": "nightly"}, ago(hours=-1), Relation.SAME),
        (KEYED, {"idempotencyKey": "nightly", "parameters": {"epochs": 10.0}}, ago(hours=1), Relation.SAME),
        (KEYED, {"idempotencyKey": "nightly", "parameters": {"epochs": 11}}, ago(hours=1), Relation.CONFLICT),
        (KEYED, {"idempotencyKey": "nightly", "parameters": {"epochs": 11}}, ago(hours=25), Relation.UNRELATED),
        (KEYED, {"idempotencyKey": "nightly", "parameters": {"epochs": True}}, ago(hours=1), Relation.CONFLICT),
        (KEYED, {"idempotencyKey": "other"}, ago(hours=1), Relation.UNRELATED),
        (KEYED, {}, ago(hours=1), Relation.UNRELATED),
        (KEYED, {"idempotencyKey": "nightly", "requester": {"principal": "bob"}}, ago(hours=1), Relation.UNRELATED),
        (KEYED, {"idempotencyKey": "nightly", "requester": None}, ago(hours=1), Relation.UNRELATED),
        (KEYED, {"idempotencyKey": "nightly", "templateRef": {"name": "x"}}, ago(hours=1), Relation.UNRELATED),
        (UNKEYED, {}, ago(seconds=119), Relation.SAME),
        (UNKEYED, {}, ago(seconds=121), Relation.UNRELATED),
        (UNKEYED, {"parameters": {"epochs": 11}}, ago(seconds=1), Relation.UNRELATED),
        (UNKEYED, {"idempotencyKey": "nightly"}, ago(seconds=1), Relation.UNRELATED),
    ],
)
def test_what_an_existing_task_is_to_a_start(
    start: Start, spec: dict[str, Any], created: str, relation: Relation
) -> None:
    assert start.relation(task(spec, creationTimestamp=created), NOW) is relation


@pytest.mark.parametrize(
    ("caller", "requester", "relation"),
    [
        (Caller("alice", "a", "s"), {"actorId": "a", "sessionId": "s"}, Relation.SAME),
        (Caller("alice", "a", "s"), {"actorId": "a", "sessionId": "t"}, Relation.UNRELATED),
        (Caller("alice", "a", "s"), {"actorId": "a"}, Relation.UNRELATED),
        (Caller("alice", "a", "s"), {"actorId": "b", "sessionId": "s"}, Relation.UNRELATED),
        (Caller("alice", "a", "s"), {}, Relation.UNRELATED),
        (Caller("alice", "a"), {"actorId": "a"}, Relation.SAME),
        (Caller("alice"), {"actorId": "a"}, Relation.UNRELATED),
    ],
)
def test_only_the_same_actor_and_session_meet(caller: Caller, requester: dict[str, str], relation: Relation) -> None:
    known = task({"idempotencyKey": "nightly", "requester": {"principal": "alice", **requester}})
    assert Start(caller, "model-training", {"epochs": 10}, "nightly").relation(known, NOW) is relation


def test_names_of_callers_without_actor_and_session_stay_as_they_were() -> None:
    seed = json.dumps(["alice", "model-training", "key", "nightly", 0])
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    letters = ""
    for _ in range(SUFFIX_LENGTH):
        number, index = divmod(number, len(ALPHABET))
        letters += ALPHABET[index]
    assert KEYED.task_name(0) == f"model-training-{letters}"


def test_a_task_that_is_being_deleted_is_nobodys_start() -> None:
    going = task({"idempotencyKey": "nightly"}, creationTimestamp=ago(seconds=5), deletionTimestamp=ago(seconds=1))
    assert KEYED.relation(going, NOW) is Relation.UNRELATED


def test_a_task_that_was_taken_back_is_nobodys_start() -> None:
    back = task(
        {"idempotencyKey": "nightly"}, creationTimestamp=ago(seconds=5), annotations={ANNOTATION_TAKEN_BACK: ""}
    )
    assert KEYED.relation(back, NOW) is Relation.UNRELATED


def test_names_are_the_same_on_every_replica_and_readable() -> None:
    assert KEYED.task_name(0) == Start(Caller("alice"), "model-training", {"epochs": 99}, "nightly").task_name(0)
    assert re.fullmatch(r"model-training-[bcdfghjklmnpqrstvwxz2-9]{5}", KEYED.task_name(0))


@pytest.mark.parametrize(
    ("caller", "key", "n", "suffix"),
    [
        (Caller("alice"), "nightly", 0, "mkcw9"),
        (Caller("alice"), "nightly", 1, "qrkct"),
        (Caller("alice"), None, 0, "brxq7"),
        (Caller("alice", "a"), "nightly", 0, "dmqrj"),
        (Caller("alice", "a", "s"), None, 0, "l7jnb"),
    ],
)
def test_names_are_those_of_every_version(caller: Caller, key: str | None, n: int, suffix: str) -> None:
    """While an upgrade goes on, replicas of two versions hear the same start."""
    assert Start(caller, "model-training", {"epochs": 10}, key).task_name(n) == f"model-training-{suffix}"


def test_names_differ_by_caller_session_template_key_parameters_and_number() -> None:
    starts = [
        KEYED,
        UNKEYED,
        Start(Caller("bob"), "model-training", {"epochs": 10}, "nightly"),
        Start(Caller("alice", "a"), "model-training", {"epochs": 10}, "nightly"),
        Start(Caller("alice", "a", "s"), "model-training", {"epochs": 10}, "nightly"),
        Start(Caller("alice", None, "s"), "model-training", {"epochs": 10}, "nightly"),
        Start(Caller("alice", "s"), "model-training", {"epochs": 10}, "nightly"),
        Start(Caller("alice"), "model-testing", {"epochs": 10}, "nightly"),
        Start(Caller("alice"), "model-training", {"epochs": 10}, "weekly"),
        Start(Caller("alice"), "model-training", {"epochs": 11}, None),
        Start(Caller("alice"), "model-training", {"epochs": 10}, canonical({"epochs": 10})),
    ]
    made = [start.task_name(n) for start in starts for n in range(3)]
    assert len(set(made)) == len(made)


def test_the_longest_template_name_makes_a_name_that_fits() -> None:
    assert (
        len(Start(Caller("a"), "t" * constants.MAX_TEMPLATE_NAME, {}, None).task_name(10**6)) <= constants.MAX_TASK_NAME
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1.0}, {"a": 1}),
        ({"a": [2.0, {"b": -3.0}]}, {"a": [2, {"b": -3}]}),
        ({"a": 2**64}, {"a": float(2**64)}),
    ],
)
def test_values_that_storage_makes_equal_are_equal(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), [({"a": 1}, {"a": True}), ({"a": 1}, {"a": "1"}), ({"a": None}, {})])
def test_values_that_are_alike_to_python_only_differ(one: Any, other: Any) -> None:
    assert canonical(one) != canonical(other)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 10**400, "\ud800", _nested(5000)], ids=["nan", "inf", "huge", "half", "deep"]
)
def test_what_json_storage_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        canonical({"a": value})


def test_age_is_never_negative() -> None:
    assert age(task(creationTimestamp=ago(hours=-1)), NOW) == timedelta()
