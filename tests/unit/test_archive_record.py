"""Records in the archive: what they keep, how they come back, whose they are, and how they are cut into pieces."""

import json
from datetime import timedelta

import pytest

from longtask_api.agentcore_ids import actor_of
from longtask_api.longtask import Delivery, Failure, LongTask, Phase
from longtask_api.reports import Artifact, Reference, Result
from longtask_operator.archive import record
from longtask_operator.archive.models import Caller, Entry
from tests.archived import CALLER, EVENT, OTHERS, artifact, ended, reference
from tests.unit import given

TABLE = reference("configmap:table", b"a,b")
RESULT = Result(
    attempt=1,
    reference=reference("configmap:result"),
    media_type="text/plain",
    summary="score 0.87",
    artifacts=[artifact("table", TABLE), artifact("model", reference("s3://b/x/model")), Artifact(name="note")],
)
ENDS = {
    "succeeded": ended(),
    "failed": ended(Phase.FAILED, result=None, failure=Failure(reason="OOMKilled", message="m", log_tail="l" * 8000)),
    "cancelled": ended(Phase.CANCELLED, result=Result(text="so far", media_type="text/plain")),
    "result elsewhere": ended(result=RESULT),
    "null as text": ended(result=Result(text="null", media_type="application/json")),
}


@pytest.mark.parametrize("task", ENDS.values(), ids=ENDS)
def test_what_was_written_is_read_again_but_for_what_is_about_the_object(task: LongTask) -> None:
    again = record.read(record.written(task, {}))
    conditions = [each for each in task.status.conditions if each.type != "Archived"]
    delivery = Delivery(events=[EVENT.model_copy(update={"payload": None})], record_id="mem-1")
    kept = {"conditions": conditions, "archive": None, "delivery": delivery}
    assert again.status == task.status.model_copy(update=kept)
    assert again.spec == task.spec
    metadata = {"resource_version": "", "generation": 0, "labels": {}, "annotations": {}}
    assert again.metadata == task.metadata.model_copy(update=metadata)


def test_a_record_is_json_that_a_person_can_read() -> None:
    text = record.written(ended(), {}).decode()
    assert json.loads(text)["spec"]["parameters"] == {"epochs": 3, "note": None, "deep": {"a": None}}
    assert '"größe":"😀"' in text
    assert "resourceVersion" not in text
    assert "managedFields" not in text


def test_the_same_task_gives_the_same_bytes() -> None:
    assert record.written(ended(result=RESULT), {}) == record.written(ended(result=RESULT), {})


def test_a_record_names_the_copies() -> None:
    moved = {"configmap:result": "s3://bucket/a", "configmap:table": "s3://bucket/b"}
    result = record.read(record.written(ended(result=RESULT), moved)).status.result
    assert result is not None
    assert result.reference is not None
    assert result.reference.uri == "s3://bucket/a"
    assert [each.uri for each in result.artifacts or []] == ["s3://bucket/b", "s3://b/x/model", None]
    assert result.reference.sha256 == reference("configmap:result").sha256


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"kind":"Pod"}', b"\xff", b"[" * 200_000, b'{"metadata":{}}'])
def test_what_is_no_record_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        record.read(data)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_record_is_its_requesters_only(other: Caller) -> None:
    assert record.belongs_to(ended(), CALLER)
    assert not record.belongs_to(ended(), other)


def test_a_record_that_nobody_asked_for_is_nobodys() -> None:
    assert not record.belongs_to(given.task(), CALLER)


def test_what_goes_with_the_object_is_the_result_and_artifacts_in_config_maps() -> None:
    twice = [*(RESULT.artifacts or []), artifact("again", TABLE)]
    task = ended(result=RESULT.model_copy(update={"artifacts": twice}))
    assert [each.reference.uri for each in record.in_config_maps(task)] == ["configmap:result", "configmap:table"]
    assert [each.media_type for each in record.in_config_maps(task)] == ["text/plain", "text/csv"]
    assert record.in_config_maps(ended()) == []
    assert record.in_config_maps(given.task()) == []


FOUND = {None: "configmap:result", "table": "configmap:table", "model": "s3://b/x/model", "note": None, "x": None}


@pytest.mark.parametrize(("name", "uri"), FOUND.items())
def test_what_is_stored_is_found_by_name(name: str | None, uri: str | None) -> None:
    found = record.stored(ended(result=RESULT), name)
    assert (found.reference.uri if found else None) == uri


@pytest.mark.parametrize(
    ("sizes", "fit"),
    [([], []), ([10], [10]), ([11], []), ([4, 6], [4, 6]), ([4, 7, 6], [4, 6]), ([11, 3], [3]), ([10, 0], [10, 0])],
)
def test_what_does_not_fit_is_left_out_and_smaller_ones_still_go_along(sizes: list[int], fit: list[int]) -> None:
    bodies = [
        record.Stored(Reference(uri=f"configmap:{n}", size=size, sha256="0" * 64), None) for n, size in enumerate(sizes)
    ]
    assert [each.reference.size for each in record.fitting(bodies, 10)] == fit


@pytest.mark.parametrize("size", [0, 1, record.PIECE, record.PIECE + 1, 3 * record.PIECE - 1])
def test_pieces_are_the_whole_and_none_is_too_large(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    pieces = record.pieces(data[:size])
    assert b"".join(pieces) == data[:size]
    assert len(pieces) == max(1, -(-size // record.PIECE))
    assert all(len(piece) <= record.PIECE for piece in pieces)


def test_in_short_says_how_it_ended_and_has_nothing_long() -> None:
    long = "x" * 8000
    failure = Failure(reason="OOMKilled", message="too little memory", log_tail=long, hint="Ask for more.")
    task = ended(
        Phase.FAILED, spec={"parameters": {"long": long}}, failure=failure, result=RESULT, log_tail=long[:4096]
    )
    short = record.summary(task)
    assert len(json.dumps(record.document(short))) < 4000
    assert short.status.failure == failure.model_copy(update={"log_tail": None})
    assert short.status.result == RESULT
    assert (short.metadata, short.status.completion_time) == (task.metadata, task.status.completion_time)
    assert record.summary(given.task()) == given.task()


def test_entries_are_in_the_order_of_their_time_and_come_back_from_a_cursor() -> None:
    first, second = Entry.at(given.at(0), "b"), Entry.at(given.at(0) + timedelta(milliseconds=1), "a")
    assert sorted([second, first]) == [first, second]
    assert [Entry.from_cursor(each.cursor) for each in (first, second)] == [first, second]


def test_records_are_kept_for_the_actor_that_the_caller_speaks_for() -> None:
    assert Caller("system:serviceaccount:agents:service", "ada").actor == "ada"
    assert Caller("system:serviceaccount:agents:ada").actor == "system:serviceaccount:agents:ada"
    assert Caller("ada@example.test").actor == actor_of("ada@example.test") != "ada@example.test"
