"""What the real boto3 sees of it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from agentcore_emulator.faults import Limits
from agentcore_emulator.model import Refusal
from tests.agentcore import MEMORY, AgentCoreMemory, agentcore_memory

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
ACTOR, SESSION = "system:serviceaccount:agents/ann", "one"
SAID = [{"conversational": {"content": {"text": "hello"}, "role": "USER"}}]
BLOB = [{"blob": "state"}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentCoreMemory]:
    with agentcore_memory(tmp_path_factory.mktemp("agentcore"), "--no-limits") as service:
        yield service


@pytest.fixture
def service(running: AgentCoreMemory) -> AgentCoreMemory:
    running.no_faults()
    return running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return "".join(char for char in request.node.name if char.isalnum())[:80]


def create(service: AgentCoreMemory, session: str = SESSION, **more: Any) -> str:
    call = {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": session, "eventTimestamp": NOW, "payload": SAID, **more}
    return str(service.client().create_event(**call)["event"]["eventId"])


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_event_comes_back_as_it_was_written(service: AgentCoreMemory, session: str) -> None:
    metadata = {"longtaskUid": {"stringValue": "8f3c"}}
    written = create(service, session, metadata=metadata)

    [event] = service.events(ACTOR, session)
    one = service.client().get_event(memoryId=MEMORY, actorId=ACTOR, sessionId=session, eventId=written)["event"]

    assert (event["eventId"], event["eventTimestamp"], event["payload"]) == (written, NOW, SAID)
    assert event["metadata"] == metadata
    assert one == event


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"memoryId": "no_memory_at_all"}, "memoryId"),
        ({"actorId": "ann@example.com"}, "actorId"),
        ({"actorId": "a" * 256}, "actorId"),
        ({"sessionId": "a.b"}, "sessionId"),
        ({"sessionId": "a" * 101}, "sessionId"),
        ({"payload": [{"conversational": {"content": {"text": "x" * 100_001}, "role": "USER"}}]}, "text"),
        ({"payload": [{"conversational": {"content": {"text": "x"}, "role": "HUMAN"}}]}, "role"),
        ({"payload": BLOB * 101}, "payload"),
        ({"metadata": {"key": {"stringValue": "a|b"}}}, "metadata"),
        ({"metadata": {"key": {"stringValue": "x" * 257}}}, "metadata"),
        ({"metadata": {f"key{n}": {"stringValue": "x"} for n in range(16)}}, "metadata"),
    ],
)
def test_what_the_model_does_not_allow_is_refused(
    service: AgentCoreMemory, session: str, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ClientError, match=says) as error:
        create(service, session, **wrong)

    assert refused(error) == ("ValidationException", 400)
    assert service.events(ACTOR, session) == []


def test_a_call_that_is_repeated_under_its_token_writes_one_event(service: AgentCoreMemory, session: str) -> None:
    token = f"{session}-token".ljust(40, "x")

    assert create(service, session, clientToken=token) == create(service, session, clientToken=token)
    with pytest.raises(ClientError, match="clientToken") as error:
        create(service, session, clientToken=token, payload=BLOB)

    assert refused(error)[0] == "ValidationException"
    assert len(service.events(ACTOR, session)) == 1


def test_events_come_newest_first_by_their_own_time_page_by_page(service: AgentCoreMemory, session: str) -> None:
    written = [create(service, session, eventTimestamp=NOW + timedelta(seconds=n)) for n in (3, 1, 2, 5, 4)]
    call = {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": session, "maxResults": 2}

    pages = [service.client().list_events(**call)]
    create(service, session, eventTimestamp=NOW + timedelta(seconds=9))
    while token := pages[-1].get("nextToken"):
        pages.append(service.client().list_events(**call, nextToken=token))

    assert [[event["eventId"] for event in page["events"]] for page in pages] == [
        [written[3], written[4]],
        [written[0], written[2]],
        [written[1]],
    ]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"operator": "EQUALS_TO", "right": {"metadataValue": {"stringValue": "b"}}}, ["b"]),
        ({"operator": "EXISTS"}, ["b", "a"]),
        ({"operator": "NOT_EXISTS"}, [None]),
    ],
)
def test_events_are_found_by_metadata(
    service: AgentCoreMemory, session: str, condition: dict[str, Any], found: list[str | None]
) -> None:
    create(service, session, metadata={"key": {"stringValue": "a"}})
    create(service, session, eventTimestamp=NOW + timedelta(seconds=1), metadata={"key": {"stringValue": "b"}})
    create(service, session, eventTimestamp=NOW + timedelta(seconds=2))

    wanted = {"eventMetadata": [{"left": {"metadataKey": "key"}, **condition}]}
    call = {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": session, "filter": wanted}
    events = service.client().list_events(**call)["events"]

    assert [event.get("metadata", {}).get("key", {}).get("stringValue") for event in events] == found


def test_actors_and_sessions_are_apart(service: AgentCoreMemory, session: str) -> None:
    create(service, session)
    create(service, session, actorId="bob")
    create(service, f"{session}2", actorId="bob", eventTimestamp=NOW + timedelta(seconds=1))

    sessions = service.client().list_sessions(memoryId=MEMORY, actorId="bob")["sessionSummaries"]

    assert len(service.events("bob", session)) == 1
    assert [each["sessionId"] for each in sessions[:2]] == [f"{session}2", session]


def test_what_was_answered_outlives_a_kill(service: AgentCoreMemory, session: str) -> None:
    written = [create(service, session, eventTimestamp=NOW + timedelta(seconds=n)) for n in range(20)]

    service.restart()

    assert [event["eventId"] for event in service.events(ACTOR, session)] == written


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ("throttle", "ThrottledException", 429),
        ("error", "ServiceException", 500),
        ("conflict", "RetryableConflictException", 409),
        ("denied", "AccessDeniedException", 403),
        ("invalid", "ValidationException", 400),
        ("notFound", "ResourceNotFoundException", 404),
        ("quota", "ServiceQuotaExceededException", 402),
    ],
)
def test_a_scripted_refusal_does_nothing_and_passes(
    service: AgentCoreMemory, session: str, fault: str, code: str, status: int
) -> None:
    service.fault("CreateEvent", fault)

    with pytest.raises(ClientError) as error:
        create(service, session)
    create(service, session)

    assert refused(error) == (code, status)
    assert len(service.events(ACTOR, session)) == 1


@pytest.mark.parametrize(
    ("fault", "raises", "written"),
    [
        ("reset", ConnectionClosedError, 0),
        ("resetAfter", ConnectionClosedError, 1),
        ("errorAfter", ClientError, 1),
        ("hang", ReadTimeoutError, 0),
        ("hangAfter", ReadTimeoutError, 1),
    ],
)
def test_a_lost_answer(
    service: AgentCoreMemory, session: str, fault: str, raises: type[Exception], written: int
) -> None:
    service.fault("CreateEvent", fault, match={"sessionId": session})

    with pytest.raises(raises):
        create(service, session)

    assert len(service.events(ACTOR, session)) == written


def test_five_messages_a_second_of_a_session_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("agentcore_emulator.faults.time.monotonic", lambda: now)
    limits, said = Limits(), {"memoryId": MEMORY, "actorId": ACTOR, "sessionId": SESSION, "payload": SAID}
    for _ in range(5):
        limits.take("CreateEvent", said)

    with pytest.raises(Refusal):
        limits.take("CreateEvent", said)
    limits.take("CreateEvent", said | {"sessionId": "another"})
    limits.take("CreateEvent", said | {"payload": BLOB})
    now += 1
    limits.take("CreateEvent", said)


def test_who_writes_too_fast_is_throttled(tmp_path: Path) -> None:
    with agentcore_memory(tmp_path) as limited:
        client, deadline = limited.client(), time.monotonic() + 30

        def write_fast() -> None:
            while time.monotonic() < deadline:
                client.create_event(memoryId=MEMORY, actorId=ACTOR, sessionId=SESSION, eventTimestamp=NOW, payload=SAID)

        with pytest.raises(ClientError) as error:
            write_fast()
        assert len(limited.events(ACTOR, SESSION)) >= 5
        create(limited, "another")
        create(limited, payload=BLOB)

    assert refused(error) == ("ThrottledException", 429)


def test_only_the_named_memories_are_there(tmp_path: Path) -> None:
    with agentcore_memory(tmp_path, "--memory", "other-a1b2c3d4e5") as service:
        with pytest.raises(ClientError) as error:
            create(service)
        create(service, memoryId="other-a1b2c3d4e5")

    assert refused(error) == ("ResourceNotFoundException", 404)


def test_long_term_records_are_found_by_words_below_a_namespace(service: AgentCoreMemory, session: str) -> None:
    record = {"requestIdentifier": "one", "namespaces": [f"/longtasks/{session}/"], "timestamp": NOW}
    call: dict[str, Any] = {"memoryId": MEMORY, "records": [{**record, "content": {"text": "the training scored 0.9"}}]}

    [first] = service.client().batch_create_memory_records(**call, clientToken=session.ljust(40, "x"))[
        "successfulRecords"
    ]
    [again] = service.client().batch_create_memory_records(**call, clientToken=session.ljust(40, "x"))[
        "successfulRecords"
    ]

    def search(query: str, **where: str) -> list[str]:
        answer = service.client().retrieve_memory_records(
            memoryId=MEMORY, searchCriteria={"searchQuery": query, "topK": 3}, **where
        )
        return [each["memoryRecordId"] for each in answer["memoryRecordSummaries"]]

    assert first["memoryRecordId"] == again["memoryRecordId"]
    assert search("How did the training go?", namespacePath=f"/longtasks/{session}/") == [first["memoryRecordId"]]
    assert search("weather", namespacePath=f"/longtasks/{session}/") == []
    assert search("training", namespace="/longtasks/other/") == []
