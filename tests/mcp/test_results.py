"""Results as agents read them: whole, in parts, from the operator's store, and when they cannot be had."""

import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from longtask_mcp.contract import answers, results
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.paging import PAGE_BYTES
from longtask_mcp.task_api import Absent, Piece, TaskApi, Unavailable
from tests.mcp.given_task_api import GivenTaskApi, given_task_api
from tests.mcp.objects import NOW, UID, ago, task
from tests.mcp.replica import ERAS, Agent, Replica, agent, running
from tests.mcp.world import World, eventually
from tests.ports import free_port

eras = pytest.mark.parametrize("era", ERAS)
RUNNING = {"phase": "Running", "startTime": ago(minutes=6), "attemptCount": 1}
ENDED = {"startTime": ago(minutes=20), "completionTime": ago(minutes=8), "attemptCount": 1}
SUCCEEDED: dict[str, Any] = {
    "phase": "Succeeded",
    **ENDED,
    "result": {"value": {"score": 0.87, "notes": None}, "summary": "score 0.87"},
}
MISFIT = {
    "phase": "Failed",
    **ENDED,
    "failure": {"reason": "InvalidResult", "message": "the result does not fit: score: is required", "logTail": "bye"},
    "result": {"value": {"scor": 0.87}, "mismatch": "score: is required"},
}
LARGE = json.dumps({"text": "größer €😀 " * 4000}, ensure_ascii=False).encode()
TABLE = b"a,b\n1,2\n" * 3000
REFERENCE = {"uri": "configmap:result-1", "size": len(LARGE), "sha256": sha256(LARGE).hexdigest()}
KEPT: dict[str, Any] = {
    "name": "table.csv",
    "uri": "s3://bucket/table.csv",
    "size": len(TABLE),
    "sha256": sha256(TABLE).hexdigest(),
    "mediaType": "text/csv",
}
RESULT = {
    "reference": REFERENCE,
    "mediaType": "application/json",
    "summary": "much text",
    "artifacts": [KEPT, {"name": "model", "uri": "s3://models/7"}, {"name": "../x", "uri": "s3://x"} | REFERENCE],
}
REFERENCED = {"phase": "Succeeded", **ENDED, "result": RESULT}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"phase": "Pending"}, "task not completed. Current status: started, not running yet. Check again in 60 s."),
        (RUNNING, "task not completed. Current status: running. Check again in 60 s."),
        (
            RUNNING | {"result": {"value": 1, "attempt": 1}},
            "task not completed. Current status: running. Check again in 60 s.",
        ),
    ],
)
def test_results_that_are_not_there_yet_are_an_answer(status: dict[str, Any], text: str) -> None:
    assert results.results(task(status=status), NOW).text == text


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed", **ENDED, "failure": {"reason": "Error", "message": "x"}},
        {"phase": "Failed", "failure": {"reason": "Error", "message": "x"}, "result": {"summary": "x"}},
        {"phase": "Cancelled", **ENDED},
        {"phase": "Succeeded", **ENDED},
        {"phase": "Succeeded", **ENDED, "result": {"artifacts": [{"name": "model"}]}},
    ],
)
def test_results_of_a_task_that_gave_none_are_how_it_ended(status: dict[str, Any]) -> None:
    assert results.results(task(status=status), NOW) == answers.status(task(status=status), NOW)


def test_a_result_is_whole_in_text_and_envelope_with_its_nulls() -> None:
    answer = results.results(task(status=SUCCEEDED), NOW)
    assert answer.text == 'completed in 12 min. score 0.87. Result:\n{"score": 0.87, "notes": null}'
    assert answer.envelope["result"] == {"score": 0.87, "notes": None}
    assert "next" not in answer.envelope
    assert "pages" not in answer.envelope


@pytest.mark.parametrize("value", [None, False, 0, "", [], "done"])
def test_any_json_can_be_a_result(value: Any) -> None:
    answer = results.results(task(status=SUCCEEDED | {"result": {"value": value}}), NOW)
    assert answer.envelope["result"] == value


def test_json_that_the_record_keeps_as_text_stays_text() -> None:
    result = {"text": '{"id": 9223372036854775808}', "mediaType": "application/json"}
    answer = results.results(task(status=SUCCEEDED | {"result": result}), NOW)
    assert answer.envelope["result"] == '{"id": 9223372036854775808}'
    assert answer.envelope["media_type"] == "application/json"


def test_a_text_result_and_its_artifacts_are_told() -> None:
    artifact = {"name": "model", "uri": "s3://models/7", "sha256": "ab" * 32}
    status = SUCCEEDED | {"result": {"text": "all good", "artifacts": [artifact]}}
    answer = results.results(task(status=status), NOW)
    assert answer.text == (f"completed in 12 min. Artifact model s3://models/7 (sha256 {'ab' * 32}). Result:\nall good")
    assert answer.envelope["artifacts"] == [artifact]


def test_artifacts_that_can_be_read_are_told_with_how() -> None:
    assert answers.status(task(status=SUCCEEDED | {"result": {"artifacts": [KEPT]}}), NOW).text == (
        f"completed in 12 min. Artifact table.csv s3://bucket/table.csv (text/csv, 24,000 bytes, sha256 "
        f"{KEPT['sha256']}). Those that are text can be read with get_task_results(artifact=name), and "
        f"all of them as the resource longtask://tasks/{UID}/artifacts/<name>. The work gave no result."
    )


def test_a_large_result_comes_in_parts_that_join_to_the_whole() -> None:
    value = ["x" * 99] * 250
    large = task(status=SUCCEEDED | {"result": {"value": value}})
    first = results.results(large, NOW)
    assert first.text.startswith("completed in 12 min. Part 1 of 3: call get_task_results with page=2.\n")
    assert first.envelope["next"] == {
        "tool": "get_task_results",
        "arguments": {"task_id": UID, "page": 2},
        "after_seconds": 0,
    }
    pages = [results.results(large, NOW, number) for number in (1, 2, 3)]
    assert json.loads("".join(page.envelope["result"] for page in pages)) == value
    assert [(page.envelope["page"], page.envelope["pages"]) for page in pages] == [(1, 3), (2, 3), (3, 3)]
    assert all(page.text.endswith(f"\n{page.envelope['result']}") for page in pages)
    assert "Part 3 of 3, the last one.\n" in pages[2].text
    assert "next" not in pages[2].envelope


@pytest.mark.parametrize("result", [{"value": 1}, None])
def test_a_page_out_of_range_is_an_error(result: dict[str, Any] | None) -> None:
    status = {key: value for key, value in SUCCEEDED.items() if key != "result"} | (
        {"result": result} if result else {}
    )
    with pytest.raises(BadArguments, match=r"page: 2 is out of range; there is 1 page\."):
        results.results(task(status=status), NOW, 2)


def test_a_result_that_does_not_fit_is_kept_and_readable() -> None:
    status = answers.status(task(status=MISFIT), NOW)
    assert status.text == (
        "failed after 1 attempt: InvalidResult: the result does not fit: score: is required. What it handed in as its "
        "result is kept: get_task_results reads it. Last log:\nbye\nFull log: get_task_logs."
    )
    assert status.envelope["next"]["tool"] == "get_task_results"
    answer = results.results(task(status=MISFIT), NOW)
    assert answer.text == (
        "failed after 1 attempt: InvalidResult: the result does not fit: score: is required. What it had handed in as "
        'its result is kept. Result:\n{"scor": 0.87}'
    )
    assert answer.envelope["status"] == "failed"
    assert answer.envelope["result"] == {"scor": 0.87}


@pytest.mark.parametrize(
    ("artifact", "told"),
    [
        ("tabel.csv", 'has no artifact \'tabel.csv\'. It has "table.csv", "model", "../x"; its status is completed.'),
        ("x" * 300, f"has no artifact '{'x' * 100}'. It has"),
    ],
)
def test_an_artifact_that_there_is_not_is_an_error_that_lists_them(artifact: str, told: str) -> None:
    with pytest.raises(BadArguments) as caught:
        results.stored(task(status=REFERENCED), artifact)
    assert told in str(caught.value)


def test_a_task_without_artifacts_says_so() -> None:
    with pytest.raises(BadArguments, match="It has none; its status is running"):
        results.stored(task(status=RUNNING), "model")


@pytest.mark.parametrize(
    ("status", "artifact", "fetched"),
    [
        (REFERENCED, None, True),
        (REFERENCED, "table.csv", True),
        (RUNNING | {"result": RESULT}, "table.csv", True),
        (RUNNING | {"result": RESULT}, None, False),
        (MISFIT | {"result": RESULT}, None, True),
        (SUCCEEDED, None, False),
        (RUNNING, None, False),
    ],
)
def test_only_what_is_kept_outside_is_fetched(status: dict[str, Any], artifact: str | None, fetched: bool) -> None:
    assert (results.stored(task(status=status), artifact) is not None) is fetched


@pytest.fixture
async def operator() -> AsyncIterator[GivenTaskApi]:
    async with given_task_api() as operator:
        operator.contents = {
            f"/v1/tasks/{UID}/result": LARGE,
            f"/v1/tasks/{UID}/artifacts/table.csv": TABLE,
            f"/v1/tasks/{UID}/artifacts/empty": b"",
        }
        yield operator


@pytest.fixture
async def task_api(operator: GivenTaskApi, tmp_path: Path) -> AsyncIterator[TaskApi]:
    (tmp_path / "token").write_text("secret\n")
    async with TaskApi(f"{operator.url}/", tmp_path / "token") as api:
        yield api


@pytest.mark.parametrize(
    ("artifact", "first", "last", "piece"),
    [
        (None, 0, 9, Piece(LARGE[:10], len(LARGE))),
        (None, 100, 20_102, Piece(LARGE[100:20_103], len(LARGE))),
        (None, len(LARGE) - 5, len(LARGE) + 5, Piece(LARGE[-5:], len(LARGE))),
        (None, len(LARGE), len(LARGE) + 5, Piece(b"", len(LARGE))),
        ("table.csv", 0, 3, Piece(b"a,b\n", len(TABLE))),
        ("empty", 0, 3, Piece(b"", 0)),
    ],
)
async def test_a_piece_is_read_and_no_more(
    task_api: TaskApi, operator: GivenTaskApi, artifact: str | None, first: int, last: int, piece: Piece
) -> None:
    assert await task_api.read(UID, artifact, first, last) == piece
    assert operator.seen == [
        (
            f"/v1/tasks/{UID}/{f'artifacts/{artifact}' if artifact else 'result'}",
            f"bytes={first}-{last}",
            "Bearer secret",
        )
    ]
    assert operator.sent == len(piece.content)


UNREADABLE = "the operator's answer is not readable"


@pytest.mark.parametrize(
    ("instead", "told"),
    [
        (Response(LARGE, 200), UNREADABLE),
        (Response(b"x" * 10, 206), UNREADABLE),
        (Response(b"x" * 10, 206, {"Content-Range": "bytes 0-9/*"}), UNREADABLE),
        (Response(b"x" * 10, 206, {"Content-Range": "bytes 1-10/20"}), UNREADABLE),
        (Response(b"x" * 9, 206, {"Content-Range": "bytes 0-8/20"}), UNREADABLE),
        (Response(LARGE, 206, {"Content-Range": f"bytes 0-9/{len(LARGE)}"}), UNREADABLE),
        (Response(b"", 416), UNREADABLE),
        (Response(b"", 416, {"Content-Range": "bytes */20"}), UNREADABLE),
        (JSONResponse({"reason": "Busy", "detail": "too many readers now"}, 503), "too many readers now"),
        (Response("<html>", 502), "the operator answered 502"),
    ],
)
async def test_an_answer_that_is_not_the_piece_is_never_taken_for_it(
    task_api: TaskApi, operator: GivenTaskApi, instead: Response, told: str
) -> None:
    operator.instead = instead
    with pytest.raises(Unavailable, match=told) as caught:
        await task_api.read(UID, None, 0, 9)
    assert not isinstance(caught.value, Absent)


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(task_api: TaskApi, operator: GivenTaskApi) -> None:
    chunks = iter([b"x" * 65536] * 1000)

    async def long() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    operator.instead = StreamingResponse(long(), 206, {"Content-Range": "bytes 0-9/10"})
    with pytest.raises(Unavailable, match=UNREADABLE):
        await task_api.read(UID, None, 0, 9)
    assert len(list(chunks)) > 500


async def test_what_the_store_does_not_have_is_told_apart(task_api: TaskApi) -> None:
    with pytest.raises(Absent, match="has no stored artifact 'other'"):
        await task_api.read(UID, "other", 0, 9)
    with pytest.raises(Absent):
        await task_api.read(UID, "../result", 0, 9)


@pytest.fixture
async def connected(world: World, kubeconfig: Path, operator: GivenTaskApi, tmp_path: Path) -> AsyncIterator[Replica]:
    """A replica that is connected to the operator's task API."""
    (tmp_path / "token").write_text("secret")
    settings = {"task_api_url": operator.url, "task_api_token_file": str(tmp_path / "token")}
    async with running(kubeconfig, world.namespace, tmp_path, **settings) as process:
        yield process


async def ended(world: World, session: Agent, key: str, status: dict[str, Any]) -> str:
    """A task that ended with `status`; its id."""
    task_id = (await session.call("model_training", model_name="digits", idempotency_key=key)).task_id
    await world.set_status(task_id, **status)

    async def known() -> bool:
        reply = await session.call("check_task_status", task_id=task_id)
        return bool(reply.envelope.get("phase") == status["phase"])

    await eventually(known, status["phase"])
    return task_id


@eras
async def test_a_result_kept_by_the_operator_is_read_part_by_part(
    world: World, connected: Replica, operator: GivenTaskApi, alice: str, new_key: Callable[[], str], era: str
) -> None:
    async with agent(connected.url, alice, era) as session:
        task_id = await ended(world, session, new_key(), REFERENCED)
        operator.contents[f"/v1/tasks/{task_id}/result"] = LARGE
        first = await session.call("get_task_results", task_id=task_id)
        count = -(-len(LARGE) // PAGE_BYTES)
        assert f"configmap:result-1 ({len(LARGE):,} bytes, sha256 {REFERENCE['sha256']})." in first.text
        assert "completed in 12 min. much text." in first.text
        assert f"Part 1 of {count}: call get_task_results with page=2.\n" in first.text
        assert first.envelope["reference"] == REFERENCE
        assert first.envelope["media_type"] == "application/json"
        parts = [first.envelope["result"]]
        step = first.envelope["next"]
        while step is not None:
            assert operator.sent <= len(parts) * (PAGE_BYTES + 3)
            reply = await session.call(step["tool"], **step["arguments"])
            parts.append(reply.envelope["result"])
            step = reply.envelope.get("next")
        assert len(parts) == count
        assert sha256("".join(parts).encode()).hexdigest() == REFERENCE["sha256"]
        beyond = await session.call("get_task_results", task_id=task_id, page=count + 1)
        assert beyond.error
        assert beyond.text == f"page: {count + 1} is out of range; there are {count} pages."
        waited = await session.call("wait_for_task", task_id=task_id)
        assert waited.envelope["result"] == parts[0]


async def test_an_artifact_is_read_part_by_part_also_while_the_task_runs(
    world: World, connected: Replica, operator: GivenTaskApi, alice: str, new_key: Callable[[], str]
) -> None:
    async with agent(connected.url, alice) as session:
        task_id = await ended(world, session, new_key(), RUNNING | {"result": RESULT})
        operator.contents[f"/v1/tasks/{task_id}/artifacts/table.csv"] = TABLE
        pages = [
            await session.call("get_task_results", task_id=task_id, artifact="table.csv", page=page)
            for page in (1, 2, 3)
        ]
        assert "".join(page.envelope["text"] for page in pages).encode() == TABLE
        assert pages[0].envelope["artifact"] == "table.csv"
        assert pages[0].text.startswith("Artifact table.csv s3://bucket/table.csv (text/csv, 24,000 bytes, sha256 ")
        assert 'Part 1 of 3: call get_task_results with artifact="table.csv", page=2.' in pages[0].text
        assert pages[0].envelope["next"]["arguments"] == {"task_id": task_id, "artifact": "table.csv", "page": 2}
        assert "next" not in pages[2].envelope


@pytest.mark.parametrize(
    ("artifact", "content", "told"),
    [
        (
            "model",
            b"x",
            "Artifact model s3://models/7 cannot be shown here: the work left it elsewhere and only named it.",
        ),
        ("../x", b"x", "cannot be shown here: the work left it elsewhere and only named it."),
        (None, None, "has no result outside of its object."),
        (
            "table.csv",
            b"PK\x03\x04\xff\xfe",
            "cannot be shown here: it is not UTF-8 text; read it as the resource longtask://tasks/",
        ),
    ],
)
async def test_what_cannot_be_shown_is_an_answer_that_says_where_it_is(
    world: World,
    connected: Replica,
    operator: GivenTaskApi,
    alice: str,
    new_key: Callable[[], str],
    artifact: str | None,
    content: bytes | None,
    told: str,
) -> None:
    async with agent(connected.url, alice) as session:
        task_id = await ended(world, session, new_key(), REFERENCED)
        if content is not None:
            operator.contents[f"/v1/tasks/{task_id}/artifacts/{artifact}"] = content
        arguments = {"artifact": artifact} if artifact else {}
        reply = await session.call("get_task_results", task_id=task_id, **arguments)
    assert not reply.error
    assert told in reply.text
    assert "s3://" in reply.text
    assert "next" not in reply.envelope
    assert reply.envelope["status"] == "completed"


@eras
async def test_an_operator_that_is_away_is_an_answer_that_says_when_to_ask_again(
    world: World, kubeconfig: Path, alice: str, new_key: Callable[[], str], tmp_path: Path, era: str
) -> None:
    (tmp_path / "token").write_text("secret")
    settings = {
        "task_api_url": f"http://127.0.0.1:{free_port()}",
        "task_api_token_file": str(tmp_path / "token"),
    }
    async with (
        running(kubeconfig, world.namespace, tmp_path, **settings) as replica,
        agent(replica.url, alice, era) as session,
    ):
        task_id = await ended(world, session, new_key(), REFERENCED)
        reply = await session.call("get_task_results", task_id=task_id, page=2)
        assert not reply.error
        assert "completed in 12 min. much text." in reply.text
        assert (
            f"The result configmap:result-1 ({len(LARGE):,} bytes, sha256 {REFERENCE['sha256']}) cannot be read now: "
            "the operator cannot be reached now (ConnectError). It is not lost. Call get_task_results again in 30 s."
        ) in reply.text
        arguments = {"task_id": task_id, "page": 2}
        assert reply.envelope["next"] == {"tool": "get_task_results", "arguments": arguments, "after_seconds": 30}
        assert reply.envelope["reference"] == REFERENCE
        table = await session.call("get_task_results", task_id=task_id, artifact="table.csv")
        assert table.envelope["next"]["arguments"] == {"task_id": task_id, "artifact": "table.csv"}


async def test_a_server_without_a_task_api_says_so(
    world: World, replica: Replica, alice: str, new_key: Callable[[], str]
) -> None:
    async with agent(replica.url, alice) as session:
        task_id = await ended(world, session, new_key(), REFERENCED)
        reply = await session.call("get_task_results", task_id=task_id)
    assert "cannot be read now: this server is not connected to the operator's task API." in reply.text
