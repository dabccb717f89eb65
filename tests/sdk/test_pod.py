"""The context in a pod, against a real HTTP server that may be dead, slow or of another opinion."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import longtask
from longtask import connection, pod, reporter
from longtask.context import Context
from longtask.pod import Pod
from longtask.stop import Stop
from tests.sdk.api import CUT, ENDED, Reply, TaskApi

UNAVAILABLE = Reply(503, {"reason": "NotYet", "detail": "the pod has just started"})


class Work:
    """A context as a pod's process has it."""

    def __init__(self, api: TaskApi, **environment: str) -> None:
        self.stop = Stop()
        self.host = Pod(api.environment | environment, self.stop)
        self.ctx = Context(self.host, self.stop)
        MADE.append(self)


MADE: list[Work] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No thread of one test writes to the stderr of the next."""
    yield
    while MADE:
        MADE.pop().host._reporter._end()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries that follow each other sooner."""
    monkeypatch.setattr(connection, "MAX_DELAY", 0.02)
    monkeypatch.setattr(reporter, "PACE", 0.01)
    monkeypatch.setattr(reporter, "CHECKPOINT_PACE", 0.01)


@pytest.fixture
def work(api: TaskApi, quick: None) -> Work:
    return Work(api)


def in_thread(function: Callable[[], Any]) -> Callable[[], Any]:
    """Starts a function; what it gives or raises when it is asked for."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(20)
        return outcome[0]

    return result


# Progress


def test_progress_is_posted_whole_with_token_sequence_and_memory(api: TaskApi, work: Work) -> None:
    work.ctx.progress(1, 2, "learning", metrics={"loss": 0.5})
    seen = api.wait_for("POST", "/progress")[0]
    assert seen.headers["authorization"] == "Bearer token-of-the-pod"
    body = seen.json
    assert abs(body.pop("sequence") - time.time() * 1000) < 60_000
    body.pop("memoryBytes", None)
    assert body == {"current": 1, "total": 2, "message": "learning", "metrics": {"loss": 0.5}}


def test_reports_go_over_one_connection_in_rising_order(api: TaskApi, work: Work) -> None:
    for current in range(1, 4):
        work.ctx.progress(current)
        api.wait_for("POST", "/progress", current)
    assert len({each.connection for each in api.seen}) == 1
    sequences = [each.json["sequence"] for each in api.seen]
    assert sequences == sorted(set(sequences))


def test_only_the_newest_report_is_sent_and_no_call_waits(api: TaskApi, work: Work) -> None:
    api.held.clear()
    work.ctx.progress(0)
    api.wait_for("POST", "/progress")
    started = time.monotonic()
    for current in range(1, 1001):
        work.ctx.progress(current)
    assert time.monotonic() - started < 30  # the API answers nothing all the while
    api.held.set()
    api.wait(lambda: api.seen[-1].json["current"] == 1000)
    assert [each.json["current"] for each in api.seen] == [0, 1000]


def test_reports_keep_a_pace(api: TaskApi, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "PACE", 0.3)
    work = Work(api)
    work.ctx.progress(1)
    api.wait_for("POST", "/progress")
    work.ctx.progress(2)
    first, second = api.wait_for("POST", "/progress", 2)
    assert second.at - first.at >= 0.3


@pytest.mark.parametrize(
    "trouble",
    [UNAVAILABLE, CUT, Reply(429, headers=(("Retry-After", "0"),)), Reply(500), Reply(401)],
    ids=["503", "cut", "429", "500", "401"],
)
def test_a_report_is_tried_until_it_is_taken(api: TaskApi, work: Work, trouble: Reply) -> None:
    api.instead["POST /progress"] = [trouble] * 3
    work.ctx.progress(7)
    assert [each.json["current"] for each in api.wait_for("POST", "/progress", 4)] == [7, 7, 7, 7]


def test_a_newer_report_takes_the_place_of_one_that_is_not_taken(api: TaskApi, work: Work) -> None:
    api.always = UNAVAILABLE
    work.ctx.progress(1)
    api.wait_for("POST", "/progress", 2)
    work.ctx.progress(2)
    api.wait(lambda: api.seen[-1].json["current"] == 2)
    api.always = None
    work.host.finish(keep_checkpoint=False)
    told = [each.json["current"] for each in api.seen]
    assert told == sorted(told)
    assert api.seen[-1].json["final"]


def test_the_api_is_not_asked_again_before_the_time_it_named(api: TaskApi, work: Work) -> None:
    api.instead["POST /progress"] = [Reply(429, headers=(("Retry-After", "1"),))]
    work.ctx.progress(1)
    first, second = api.wait_for("POST", "/progress", 2)
    assert second.at - first.at >= 1


def test_a_dead_api_costs_nothing_but_freshness(api: TaskApi, work: Work) -> None:
    api.stop()
    started = time.monotonic()
    for current in range(200):
        work.ctx.progress(current, 200)
        work.ctx.heartbeat()
        assert work.ctx.checkpoint({"step": current}) is False
    assert time.monotonic() - started < 30
    api.start()
    api.wait(lambda: api.checkpoint == (b'{"step":199}', "application/json"))
    api.wait(lambda: any(each.json["current"] == 199 for each in api.requests("POST", "/progress")))


def test_an_outage_is_a_line_when_it_lasts_and_a_line_when_it_ends(
    quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    backoff = connection.Backoff()
    for _ in range(2):
        backoff.after(connection.Unreachable("refused"))
    backoff.over()
    assert capsys.readouterr().err == ""
    for _ in range(10):
        backoff.after(connection.Unreachable("refused"))
    backoff.over()
    assert capsys.readouterr().err.splitlines() == [
        "longtask: the task API does not take what is sent (refused); the work goes on, and it is tried again",
        "longtask: the task API takes what is sent again",
    ]


def test_delays_grow_to_a_limit_and_differ() -> None:
    backoff = connection.Backoff()
    delays = [backoff.after(connection.Unreachable("refused")) for _ in range(30)]
    assert delays[0] <= 1
    assert all(5 <= delay <= connection.MAX_DELAY for delay in delays[5:])
    assert len(set(delays)) == 30


@pytest.mark.parametrize("answer", [ENDED, Reply(403, {"reason": "NotTheNewestAttempt", "detail": "a newer one runs"})])
def test_after_the_end_nothing_is_reported_any_more(
    api: TaskApi, work: Work, answer: Reply, capsys: pytest.CaptureFixture[str]
) -> None:
    api.instead["POST /progress"] = [answer]
    work.ctx.progress(1)
    api.wait_for("POST", "/progress")
    work.host.finish(keep_checkpoint=True)
    work.ctx.progress(2)
    assert work.ctx.checkpoint({}, wait=True) is False
    work.host.finish(keep_checkpoint=True)
    assert len(api.seen) == 1
    assert f"nothing is reported any more: {answer.status}: {answer.body['reason']}" in capsys.readouterr().err


def test_a_report_that_is_refused_is_dropped_with_a_line_and_the_next_is_sent(
    api: TaskApi, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    api.instead["POST /progress"] = [Reply(422, {"reason": "Invalid", "detail": "total: must be a number"})]
    work.ctx.progress(1)
    api.wait_for("POST", "/progress")
    work.ctx.progress(2)
    api.wait_for("POST", "/progress", 2)
    assert [each.json["current"] for each in api.seen] == [1, 2]
    assert "a progress was not taken: 422: Invalid: total: must be a number" in capsys.readouterr().err


def test_a_token_that_is_never_taken_ends_a_report_and_is_not_shown(
    api: TaskApi, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = Reply(401, {"reason": "BadToken", "detail": "the token is not known"})
    api.instead["POST /progress"] = [unknown] * connection.TRIES_WITHOUT_TOKEN
    work.ctx.progress(1)
    api.wait_for("POST", "/progress", connection.TRIES_WITHOUT_TOKEN)
    work.ctx.progress(2)
    api.wait(lambda: api.seen[-1].json["current"] == 2)
    err = capsys.readouterr().err
    assert "a progress was not taken: 401: BadToken" in err
    assert "token-of-the-pod" not in err


def test_the_token_is_read_for_each_request(api: TaskApi, work: Work) -> None:
    api.instead["POST /progress"] = [Reply(202)]
    work.ctx.progress(1)
    api.wait_for("POST", "/progress")
    api.token = "renewed"
    api.token_file.write_text("renewed\n")
    work.ctx.progress(2)
    assert api.wait_for("POST", "/progress", 2)[-1].headers["authorization"] == "Bearer renewed"


@pytest.mark.parametrize("text", ["", "secret\nsecond-line", "sécret"])
def test_a_broken_token_file_is_told_without_the_token(
    api: TaskApi, work: Work, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    api.token_file.write_text(text)
    with pytest.raises(longtask.NotDelivered) as refused:
        Work(api, LONGTASK_FLUSH_SECONDS="0.01").ctx.artifact("a", b"x")
    assert "holds no token" in str(refused.value)
    assert "cret" not in str(refused.value) + capsys.readouterr().err


def test_a_heartbeat_is_posted(api: TaskApi, work: Work) -> None:
    work.ctx.heartbeat()
    assert api.wait_for("POST", "/heartbeat")[0].body == b""


def test_the_end_sends_the_last_progress_as_final(api: TaskApi, work: Work) -> None:
    work.ctx.progress(9, 10, "done soon")
    work.host.finish(keep_checkpoint=False)
    last = api.requests("POST", "/progress")[-1].json
    assert (last["current"], last["message"], last["final"]) == (9, "done soon", True)


def test_work_that_told_nothing_has_nothing_final(api: TaskApi, work: Work) -> None:
    work.host.finish(keep_checkpoint=True)
    assert api.seen == []


def test_the_end_waits_for_a_dead_api_for_a_bounded_time(
    api: TaskApi, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "FINISH_SECONDS", 0.2)
    api.stop()
    work.ctx.progress(1)
    work.ctx.checkpoint({"step": 1})
    started = time.monotonic()
    work.host.finish(keep_checkpoint=False)
    assert time.monotonic() - started < 30


def test_a_failure_holds_its_checkpoint_until_the_api_is_back(
    api: TaskApi, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "FINISH_SECONDS", 0.01)
    api.stop()
    work.ctx.checkpoint({"step": 1})
    finished = in_thread(lambda: work.host.finish(keep_checkpoint=True))
    api.start()
    assert finished() is None
    assert api.checkpoint == (b'{"step":1}', "application/json")


def test_sigterm_bounds_the_wait_for_a_checkpoint(
    api: TaskApi, work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporter, "FINISH_SECONDS", 0.2)
    api.stop()
    work.ctx.checkpoint({"step": 1})
    finished = in_thread(lambda: work.host.finish(keep_checkpoint=True))
    work.stop.set()
    assert finished() is None
    assert "the last checkpoint could not be stored" in capsys.readouterr().err


# Checkpoints


@pytest.mark.parametrize(
    ("state", "content", "media_type"),
    [({"step": 1}, b'{"step":1}', "application/json"), (b"\x00\xff", b"\x00\xff", "application/octet-stream")],
)
def test_a_checkpoint_is_stored_and_another_attempt_goes_on_from_it(
    api: TaskApi, work: Work, state: Any, content: bytes, media_type: str
) -> None:
    assert work.ctx.checkpoint(state, wait=True)
    assert api.checkpoint == (content, media_type)
    assert Work(api).ctx.resume() == state


def test_a_checkpoint_does_not_change_after_it_was_saved(api: TaskApi, work: Work) -> None:
    api.held.clear()
    state = {"step": 1}
    work.ctx.checkpoint(state)
    state["step"] = 2
    api.held.set()
    assert api.wait_for("PUT", "/checkpoint")[0].json == {"step": 1}


def test_of_checkpoints_the_newest_wins(api: TaskApi, work: Work) -> None:
    api.held.clear()
    for step in range(100):
        work.ctx.checkpoint({"step": step})
    api.held.set()
    assert work.ctx.checkpoint({"step": 100}, wait=True)
    assert len(api.seen) <= 3
    assert api.seen[-1].json == {"step": 100}


def test_checkpoints_keep_a_pace_unless_the_work_waits(
    api: TaskApi, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "CHECKPOINT_PACE", 30)
    work = Work(api)
    work.ctx.checkpoint({"step": 1})
    api.wait_for("PUT", "/checkpoint")
    work.ctx.checkpoint({"step": 2})
    work.ctx.progress(1)
    api.wait_for("POST", "/progress")
    assert len(api.requests("PUT", "/checkpoint")) == 1
    assert work.ctx.checkpoint({"step": 3}, wait=True)
    assert [each.json["step"] for each in api.requests("PUT", "/checkpoint")] == [1, 3]


def test_a_checkpoint_that_is_too_large_is_told_and_does_not_hold_up_who_waits(
    api: TaskApi, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    large = Reply(413, {"reason": "TooLarge", "detail": "at most 1 MiB: configure storage"}, early=True)
    api.instead["PUT /checkpoint"] = [large] * 2
    assert work.ctx.checkpoint(b"x" * 20_000_000, wait=True) is False
    assert "a checkpoint was not taken: 413: TooLarge: at most 1 MiB: configure storage" in capsys.readouterr().err


def test_the_first_attempt_has_nothing_to_go_on_from(work: Work) -> None:
    assert work.ctx.resume() is None


def test_resume_is_asked_until_the_api_answers(api: TaskApi, work: Work) -> None:
    api.checkpoint = (b'{"step": 3}', "application/json; charset=utf-8")
    api.instead["GET /checkpoint"] = [UNAVAILABLE, CUT, UNAVAILABLE]
    assert work.ctx.resume() == {"step": 3}


def test_resume_gives_up_after_its_time_with_a_line(
    api: TaskApi, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    api.always = UNAVAILABLE
    assert Work(api, LONGTASK_RESUME_SECONDS="0.05").ctx.resume() is None
    assert "the last checkpoint cannot be learned, the work goes on without: 503: NotYet" in capsys.readouterr().err


@pytest.mark.parametrize("call", [lambda ctx: ctx.resume(), lambda ctx: ctx.attempt, lambda ctx: ctx.ask("A?")])
def test_sigterm_ends_a_wait_for_an_api_that_does_not_answer(api: TaskApi, work: Work, call: Any) -> None:
    api.held.clear()
    outcome = in_thread(lambda: call(work.ctx))
    api.wait(lambda: api.seen)
    work.stop.set()
    assert isinstance(outcome(), longtask.Cancelled)


def test_sigterm_ends_a_wait_for_an_api_that_is_dead(api: TaskApi, work: Work) -> None:
    api.stop()
    outcome = in_thread(work.ctx.resume)
    work.stop.set()
    assert isinstance(outcome(), longtask.Cancelled)


def test_the_attempt_is_asked_once(api: TaskApi, work: Work) -> None:
    api.attempt = 3
    assert (work.ctx.attempt, work.ctx.attempt) == (3, 3)
    assert len(api.seen) == 1


def test_the_task_has_the_id_that_the_operator_gave(work: Work) -> None:
    assert work.ctx.task_id == "11111111-2222-3333-4444-555555555555"


# Questions


def test_a_question_is_put_and_its_answer_comes_by_long_poll(api: TaskApi, work: Work) -> None:
    asked = in_thread(
        lambda: work.ctx.ask("Which column?", schema={"type": "string"}, timeout=1.5, default="name", key="column")
    )
    api.wait_for("GET", "/questions/column")
    api.answer("column", "price")
    assert asked() == "price"
    assert api.requests("POST", "/questions")[0].json == {
        "id": "column",
        "message": "Which column?",
        "schema": {"type": "string"},
        "timeoutSeconds": 2,
        "default": "name",
    }
    assert api.requests("GET", "/questions/column")[0].query == {"waitSeconds": "30"}


def test_a_later_attempt_gets_the_answer_at_once(api: TaskApi, work: Work) -> None:
    api.answer("column", ["price"])
    assert work.ctx.ask("Which column?", key="column") == ["price"]
    assert [each.method for each in api.seen] == ["POST"]


def test_a_question_outlives_an_api_that_dies(api: TaskApi, work: Work) -> None:
    asked = in_thread(lambda: work.ctx.ask("Which column?", key="column"))
    api.wait_for("GET", "/questions/column")
    api.stop()
    api.answer("column", "price")
    api.start()
    assert asked() == "price"


def test_an_open_question_is_asked_for_again(api: TaskApi, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod, "POLL_SECONDS", 0)
    asked = in_thread(lambda: work.ctx.ask("Which column?", key="column"))
    api.wait_for("GET", "/questions/column", 2)
    api.answer("column", 1)
    assert asked() == 1


@pytest.mark.parametrize("state", [{"state": "TimedOut", "value": "name"}, {"state": "TimedOut"}])
def test_on_a_timeout_the_default_is_taken(api: TaskApi, work: Work, state: dict[str, Any]) -> None:
    api.questions["column"] = {"id": "column", **state}
    assert work.ctx.ask("Which column?", key="column", timeout=1, default="name") == "name"


def test_on_a_timeout_without_a_default_there_is_no_answer(api: TaskApi, work: Work) -> None:
    api.questions["column"] = {"id": "column", "state": "TimedOut"}
    with pytest.raises(longtask.NoAnswer, match="nobody answered column in time"):
        work.ctx.ask("Which column?", key="column", timeout=1)


def test_an_answer_that_the_api_found_not_to_fit_is_an_error(api: TaskApi, work: Work) -> None:
    api.answer("column", 7, problem="7 is not of type 'string'")
    with pytest.raises(longtask.InvalidAnswer, match="7 is not of type 'string'"):
        work.ctx.ask("Which column?", key="column", schema={"type": "string"})


@pytest.mark.parametrize(
    "answer", [ENDED, Reply(409, {"reason": "TooManyQuestions", "detail": "a task asks at most 32"}), Reply(422)]
)
def test_a_question_that_is_refused_has_no_answer(api: TaskApi, work: Work, answer: Reply) -> None:
    api.instead["POST /questions"] = [answer]
    with pytest.raises(longtask.NoAnswer, match=f"the question cannot be asked: {answer.status}"):
        work.ctx.ask("Which column?")


# Artifacts and results


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(bytes(range(256)) * 10_000)
    return path


def test_an_artifact_is_uploaded_from_the_file_with_its_digest(api: TaskApi, work: Work, model: Path) -> None:
    content = model.read_bytes()
    kept = work.ctx.artifact("model.bin", model, "application/x-model")
    assert kept == longtask.Artifact(
        "model.bin", "s3://bucket/model.bin", len(content), hashlib.sha256(content).hexdigest()
    )
    seen = api.seen[0]
    assert seen.body == content
    assert seen.headers["content-type"] == "application/x-model"
    assert seen.headers["content-digest"].startswith("sha-256=:")


def test_bytes_are_an_artifact(api: TaskApi, work: Work) -> None:
    assert work.ctx.artifact("table.csv", b"a,b", "text/csv").size == 3
    assert api.seen[0].body == b"a,b"


@pytest.mark.parametrize("trouble", [UNAVAILABLE, CUT], ids=["503", "cut"])
def test_an_upload_is_tried_from_the_beginning(api: TaskApi, work: Work, model: Path, trouble: Reply) -> None:
    api.instead["PUT /artifacts/model.bin"] = [trouble] * 2
    work.ctx.artifact("model.bin", model)
    assert [each.body for each in api.seen] == [model.read_bytes()] * 3


def test_a_refusal_before_the_body_was_read_is_understood(api: TaskApi, work: Work, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 20_000_000)
    detail = "at most 10 MiB: configure object storage"
    api.instead["PUT /artifacts/large"] = [Reply(413, {"reason": "TooLarge", "detail": detail}, early=True)]
    with pytest.raises(longtask.NotDelivered, match=f"the artifact large was refused: 413: TooLarge: {detail}"):
        work.ctx.artifact("large", large)


def test_an_artifact_that_cannot_be_handed_in_is_an_error(api: TaskApi, quick: None) -> None:
    api.stop()
    with pytest.raises(longtask.NotDelivered, match=r"table\.csv could not be handed in within 0\.05 s .*operator"):
        Work(api, LONGTASK_FLUSH_SECONDS="0.05").ctx.artifact("table.csv", b"a,b")


def test_a_mismatch_of_the_result_is_a_line_of_the_log(
    api: TaskApi, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    api.mismatch = "loss: 'x' is not of type 'number'"
    work.host.hand_in(b'{"loss":"x"}')
    assert api.requests("PUT", "/result")[0].headers["content-type"] == "application/json"
    assert "does not fit the template's resultSchema: loss: 'x' is not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("result", "query"),
    [
        (b'{"summary": "3 rows & more", "rows": []}', {"summary": "3 rows & more"}),
        (b'{"summary": 3}', {}),
        (b"[1]", {}),
        (b'{"summary": "' + b"x" * 2000 + b'"}', {"summary": "x" * 1024}),
    ],
    ids=["text", "number", "list", "long"],
)
def test_a_result_that_is_handed_in_brings_its_summary(
    api: TaskApi, work: Work, result: bytes, query: dict[str, str]
) -> None:
    work.host.hand_in(result)
    assert [seen.query for seen in api.requests("PUT", "/result")] == [query]
