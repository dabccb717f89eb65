"""Which ids of memories, actors and sessions there are: to the API server, to the models, and to the service itself.

And how large what is recorded of a delivery may be.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import botocore.session
import pytest
from pydantic import ValidationError

from longtask_api import agentcore_ids, constants
from longtask_api.longtask import LongTask
from tests.api.conftest import MakeTask
from tests.api.objects import EVENT, MEMORY, TOLD, task
from tests.api.writes import Change
from tests.kube import Answer, Kube

ARN: Final = "arn:aws:bedrock-agentcore:eu-central-1:111122223333:memory/"
GOOD: Final[dict[str, list[str]]] = {
    "memoryId": [
        "a-a1b2c3d4e5",
        "Conversations_2-A1B2C3D4E5",
        "with-dashes-0123456789",
        "m" * 100 + "-a1b2c3d4e5",
        f"{ARN}a-a1b2c3d4e5",
        "arn:aws-cn:bedrock-agentcore:cn-north-1:111122223333:memory/a-a1b2c3d4e5",
        "arn:aws-us-gov:bedrock-agentcore:us-gov-west-1:111122223333:memory/" + "m" * 100 + "-a1b2c3d4e5",
    ],
    "actorId": [
        "a",
        "7",
        "ann",
        "Ann_Lee-2",
        "tenant/ann",
        "a//b/",
        "system:serviceaccount:agents:researcher",
        "a:-:_:/",
        "a" * 255,
        agentcore_ids.actor_of("jane@example.com"),
    ],
    "sessionId": ["a", "7", "monday-1", "s_1-", "8f3c2a1b-2222-4333-8444-555555555555", "s" * 100],
}
BAD: Final[dict[str, list[str]]] = {
    "memoryId": [
        "",
        "a-a1b2c3d4e",
        "a-a1b2c3d4e5f",
        "conversations",
        "1-a1b2c3d4e5",
        "_a-a1b2c3d4e5",
        "a.b-a1b2c3d4e5",
        "a@b-a1b2c3d4e5",
        "a|b-a1b2c3d4e5",
        "a#b-a1b2c3d4e5",
        "a b-a1b2c3d4e5",
        "a-a1b2c3d4e_",
        "a-a1b2c3d4e\u0665",
        "a-a1b2c3d4e5\n",
        "a-a1b2c3d4e5:",
        "m" * 101 + "-a1b2c3d4e5",
        f"{ARN}",
        f"{ARN}a-a1b2c3d4e5/events",
        "arn:aws:s3:::a-a1b2c3d4e5",
        "arn:aws:bedrock-agentcore:eu-central-1:11112222333:memory/a-a1b2c3d4e5",
        "arn:aws:bedrock-agentcore:eu-central-1:11112222333\u0663:memory/a-a1b2c3d4e5",
        "arn:aws:bedrock-agentcore::111122223333:memory/a-a1b2c3d4e5",
    ],
    "actorId": [
        "",
        "ann@example.com",
        "ann.lee",
        "a|b",
        "a#b",
        "a b",
        "/ann",
        "-ann",
        "_ann",
        ":ann",
        "ann:",
        "a::b",
        "Ann\u00e9",
        "ann\u0661",
        "ann\n",
        "\nann",
        "a" * 256,
    ],
    "sessionId": [
        "",
        "a.b",
        "a@b",
        "a@@@b",
        "a|b",
        "a#b",
        "a b",
        "a/b",
        "a:b",
        "a:",
        "-a",
        "_a",
        "\u0661",
        "s1\u0661",
        "a\n",
        "s" * 101,
    ],
}
SHAPES: Final = {
    "memoryId": (agentcore_ids.MEMORY_ID_PATTERN, agentcore_ids.MAX_MEMORY_ID),
    "actorId": (agentcore_ids.ACTOR_ID_PATTERN, agentcore_ids.MAX_ACTOR_ID),
    "sessionId": (agentcore_ids.SESSION_ID_PATTERN, agentcore_ids.MAX_SESSION_ID),
}


def each_of(table: dict[str, list[str]]) -> list[Any]:
    return [pytest.param(field, value, id=f"{field}-{ascii(value)[:60]}") for field in table for value in table[field]]


def judged_by_the_service(field: str, value: str) -> bool:
    """Whether the service's own model has such an id in CreateEvent."""
    model = botocore.session.get_session().get_service_model("bedrock-agentcore")
    shape = model.operation_model("CreateEvent").input_shape
    assert shape is not None
    limits = shape.members[field].metadata
    fits = re.fullmatch(limits["pattern"], value, re.ASCII) is not None
    return fits and limits.get("min", 0) <= len(value) <= limits.get("max", len(value))


def judged_by_the_model(field: str, value: str) -> bool:
    body = task("x", {"memory": MEMORY | {field: value}})
    try:
        LongTask.from_api(body)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("field", "value"), each_of(GOOD))
def test_an_id_that_the_service_has_is_taken(kube: Kube, new_name: Callable[[], str], field: str, value: str) -> None:
    assert judged_by_the_service(field, value)
    assert judged_by_the_model(field, value)
    assert agentcore_ids.fits(value, *SHAPES[field])

    created = kube.create(
        kube.path(constants.TASK_PLURAL), task(new_name(), {"memory": MEMORY | {field: value}})
    ).done()

    assert created["spec"]["memory"][field] == value


@pytest.mark.parametrize(("field", "value"), each_of(BAD))
def test_an_id_that_the_service_has_not_is_refused(
    kube: Kube, new_name: Callable[[], str], field: str, value: str
) -> None:
    assert not judged_by_the_service(field, value)
    assert not judged_by_the_model(field, value)
    assert not agentcore_ids.fits(value, *SHAPES[field])

    answer = kube.create(kube.path(constants.TASK_PLURAL), task(new_name(), {"memory": MEMORY | {field: value}}))

    assert answer.code == 422, answer.body
    assert _refused(answer) == {f"spec.memory.{field}"}


@pytest.mark.parametrize(("field", "value"), each_of({key: BAD[key] for key in ("actorId", "sessionId")}))
def test_a_requester_has_the_same_ids(kube: Kube, new_name: Callable[[], str], field: str, value: str) -> None:
    requester = {"principal": "system:serviceaccount:agents:assistant", field: value}

    answer = kube.create(kube.path(constants.TASK_PLURAL), task(new_name(), {"requester": requester}))

    assert _refused(answer) == {f"spec.requester.{field}"}


def test_an_arn_longer_than_any_is_refused_though_it_has_the_form(kube: Kube) -> None:
    """The service's pattern has no end; a longest id keeps what is refused and shown short."""
    long = f"arn:aws:bedrock-agentcore:{'x' * 142}:111122223333:memory/a-a1b2c3d4e5"
    assert judged_by_the_service("memoryId", long)

    answer = kube.create(kube.path(constants.TASK_PLURAL), task("long-arn", {"memory": MEMORY | {"memoryId": long}}))

    assert _refused(answer) == {"spec.memory.memoryId"}
    assert "Too long: may not be more than 200 bytes" in answer.refusals


@pytest.mark.parametrize("field", ["memoryId", "actorId", "sessionId"])
def test_a_session_is_named_by_all_three(kube: Kube, field: str) -> None:
    least = {key: value for key, value in MEMORY.items() if key != field}

    answer = kube.create(kube.path(constants.TASK_PLURAL), task("x", {"memory": least}))

    assert answer.refusals.get("Required value") == f"spec.memory.{field}", answer.body


def _refused(answer: Answer) -> set[str]:
    """The fields; where one is too long the API server adds that it checked no rule, of no field."""
    return set(answer.refusals.values()) - {"<nil>"}


IDENTITIES: Final = [
    "system:serviceaccount:agents:researcher",
    "system:serviceaccount:agents:research.er",
    "system:serviceaccount:agents:research-er",
    "jane@example.com",
    "jane-example-com",
    "jane_example.com",
    "J\u00e4ne",
    "J\u00e2ne",
    "a" * 255,
    "a" * 256,
    "a" * 257,
    "a" * 512,
    "longtask:jane-example-com:" + "0" * 32,
    agentcore_ids.actor_of("jane@example.com"),
    "|",
    "#",
    "\n",
    ":",
]


@pytest.mark.parametrize("principal", IDENTITIES, ids=lambda principal: ascii(principal)[:60])
def test_every_identity_has_an_actor_that_the_service_has(principal: str) -> None:
    assert judged_by_the_service("actorId", agentcore_ids.actor_of(principal))
    assert agentcore_ids.fits(agentcore_ids.actor_of(principal), *SHAPES["actorId"])


def test_no_two_identities_have_one_actor() -> None:
    assert len({agentcore_ids.actor_of(principal) for principal in IDENTITIES}) == len(IDENTITIES)


def test_an_identity_that_is_an_actor_id_is_its_own_actor() -> None:
    assert agentcore_ids.actor_of(IDENTITIES[0]) == IDENTITIES[0]


def test_an_actor_is_what_the_published_rule_gives() -> None:
    """Whoever opens the memory derives it too, in any language."""
    assert agentcore_ids.actor_of("jane@example.com") == "longtask:jane-example-com:8c87b489ce35cf2e2f39f80e282cb2e8"


def test_the_record_of_a_task_has_a_session_that_the_service_has() -> None:
    assert judged_by_the_service("sessionId", agentcore_ids.archive_session("8f3c2a1b-2222-4333-8444-555555555555"))
    assert judged_by_the_service("sessionId", agentcore_ids.DEFAULT_SESSION_ID)
    assert not agentcore_ids.DEFAULT_SESSION_ID.startswith(agentcore_ids.ARCHIVE_PREFIX)


def _events(count: int) -> list[dict[str, Any]]:
    return [EVENT | {"name": f"progress-{number}"} for number in range(count)]


EVENT_LIMITS: Final[list[tuple[str, Any, Any, str]]] = [
    ("name", "progress-50", "Progress_50", "should match"),
    ("name", "p" * 32, "p" * 33, "may not be more than 32"),
    ("name", "p", "", "should match"),
    ("eventTime", "2026-03-01T10:07:00.123Z", "soon", "must be of type date-time"),
    ("payload", "é" * 16384, "é" * 16385, "may not be more than 16384"),
    ("payloadSHA256", "0" * 64, "0" * 63, "should match"),
    ("payloadSHA256", "a" * 64, "A" * 64, "should match"),
    ("clientToken", "t" * 64, "t" * 65, "may not be more than 64"),
    ("eventId", "e" * 64, "e" * 65, "may not be more than 64"),
]
STATUS_LIMITS: Final[list[tuple[str, Any, Any, str]]] = [
    ("delivery.events", _events(6), _events(7), "must have at most 6 items"),
    ("delivery.events", _events(2), [EVENT, EVENT], "Duplicate value"),
    ("delivery.recordId", "r" * 128, "r" * 129, "may not be more than 128"),
    ("delivery.failures", 0, -1, "greater than or equal to 0"),
    ("delivery.nextRetryTime", "2026-03-01T10:07:00Z", "later", "must be of type date-time"),
    ("archive.uri", "s3://" + "k" * 2043, "s3://" + "k" * 2044, "may not be more than 2048"),
    ("archive.archivedTime", "2026-03-01T10:07:00Z", "1772359620", "must be of type date-time"),
]
LIMITS: Final = [
    *((f"delivery.events[0].{field}", *rest) for field, *rest in EVENT_LIMITS),
    *STATUS_LIMITS,
]


@pytest.mark.parametrize(("field", "most", "more", "says"), LIMITS)
def test_what_is_recorded_has_limits(a_task: MakeTask, field: str, most: Any, more: Any, says: str) -> None:
    stored = a_task()

    refused = stored.write("PUT", _with(field, more))
    stored.write("PUT", _with(field, most)).done()

    assert refused.code == 422, refused.body
    assert [where for what, where in refused.refusals.items() if says in what and f"status.{field}" in where], (
        refused.body
    )


@pytest.mark.parametrize("field", ["name", "eventTime", "payloadSHA256", "clientToken"])
def test_what_must_be_recorded_of_an_event(a_task: MakeTask, field: str) -> None:
    least = {key: value for key, value in EVENT.items() if key != field}

    answer = a_task().write("PUT", Change("status", {"delivery": {"events": [least]}}))

    assert answer.refusals.get("Required value") == f"status.delivery.events[0].{field}", answer.body


@pytest.mark.parametrize("field", ["uri", "archivedTime"])
def test_what_must_be_recorded_of_an_archive(a_task: MakeTask, field: str) -> None:
    least = {key: value for key, value in TOLD["archive"].items() if key != field}

    answer = a_task().write("PUT", Change("status", {"archive": least}))

    assert answer.refusals.get("Required value") == f"status.archive.{field}", answer.body


def _with(field: str, value: Any) -> Change:
    part, _, name = field.partition(".")
    if name.startswith("events[0]."):
        return Change("status", {part: {"events": [EVENT | {name.removeprefix("events[0]."): value}]}})
    return Change("status", {part: TOLD[part] | {name: value}})
