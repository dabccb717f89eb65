"""What becomes of progress that a pod reports: held, the newest wins, one write an interval, never back."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Answer, Caller, reporter
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster

LONG = "import time; time.sleep(600)"
INTERVAL = 5
AT_ONCE = 40
"""Reports at the same time: fewer than a task may have calls under way, more than it may make in seconds."""


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    tasks.template("progress", template_spec())


@pytest.fixture
def running(tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]) -> tuple[str, Caller]:
    """(name, its pod as a caller) of a task that runs."""
    name = unique("progress")
    tasks.run(name, "progress", LONG)
    return name, pod_of(name)


def test_the_first_report_is_written_at_once_with_what_people_see(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    report = {
        "current": 6,
        "total": 10,
        "unit": "epoch",
        "message": "validating",
        "metrics": {"loss": 0.25, "val/acc": 0.81},
        "memoryBytes": 123456789,
    }
    assert pod.post("progress", report).code == 202
    progress = eventually(lambda: tasks.status(name).get("progress", {}), bool, seconds=INTERVAL - 1)
    assert {key: progress[key] for key in (*report, "attempt", "fraction", "display")} == {
        **report,
        "attempt": 1,
        "fraction": 0.6,
        "display": "60% (epoch 6/10)",
    }
    assert progress["updatedTime"] <= progress["estimatedCompletionTime"]


def test_a_report_with_curls_content_type_is_taken(running: tuple[str, Caller]) -> None:
    _, pod = running
    answer = pod.post("progress", {"fraction": 0.1}, Content_Type="application/x-www-form-urlencoded")
    assert answer.code == 202


def test_many_reports_make_one_write_an_interval_and_the_newest_wins(
    operator: OperatorProcess, tasks: Tasks, running: tuple[str, Caller]
) -> None:
    name, pod = running
    before, begin = operator.metric("longtask_report_writes_total"), time.monotonic()
    for step in range(1, 200):
        answer = pod.post("progress", {"current": step, "total": 200})
        assert answer.code in (202, 429)
    pod_after_the_rate = eventually(
        lambda: pod.post("progress", {"current": 200, "total": 200}), lambda a: a.code == 202
    )
    assert pod_after_the_rate.body == {"held": True, "outdated": False}
    eventually(lambda: tasks.status(name).get("progress", {}).get("current"), lambda c: c == 200, INTERVAL * 2)
    seconds = time.monotonic() - begin
    assert 2 <= operator.metric("longtask_report_writes_total") - before <= 1 + seconds / INTERVAL + 1


def test_a_final_report_is_stored_before_the_answer(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    for fraction in (0.2, 0.4):
        pod.post("progress", {"fraction": fraction})
    answer = pod.post("progress", {"fraction": 1, "message": "done", "final": True})
    assert (answer.code, answer.body) == (200, {"held": False, "outdated": False})
    assert tasks.status(name)["progress"]["message"] == "done"


def test_an_outdated_report_changes_nothing(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    assert pod.post("progress", {"sequence": 5, "message": "newer", "final": True}).code == 200
    for more in ({}, {"final": True}):
        answer = pod.post("progress", {"sequence": 4, "message": "older", **more})
        assert (answer.code, answer.body) == (200, {"held": False, "outdated": True})
    assert tasks.status(name)["progress"]["message"] == "newer"


def test_a_heartbeat_is_a_report_but_no_progress(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    assert pod.post("heartbeat").code == 202
    status = eventually(lambda: tasks.status(name), lambda status: "lastReportTime" in status, INTERVAL)
    assert "progress" not in status


def test_progress_survives_what_the_leader_writes(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("progress", {"fraction": 0.5, "final": True})
    tasks.patch(name, cancelRequested=True)
    assert tasks.wait(name, "Cancelled")["progress"]["fraction"] == 0.5


BAD: dict[str, tuple[Any, int, str]] = {
    "more than all": ({"fraction": 1.5}, 422, "fraction"),
    "not a number": (b'{"fraction": NaN}', 422, "fraction"),
    "infinite metric": (b'{"metrics": {"loss": Infinity}}', 422, "loss"),
    "unknown field": ({"procent": 5}, 422, "procent: no such field; there are sequence, fraction, current, total,"),
    "long message": ({"message": "x" * 1025}, 422, "message"),
    "bad metric name": ({"metrics": {"a b": 1}}, 422, "metrics"),
    "too many metrics": ({"metrics": {f"m{n}": n for n in range(33)}}, 422, "metrics"),
    "no JSON": (b"60%", 422, "JSON"),
    "not an object": ([1], 422, "body"),
    "large body": (b" " * 20_000, 413, "16384"),
    "huge sequence": ({"sequence": 2**60}, 422, "sequence"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_report_is_refused_by_name(running_for_all: Caller, case: str) -> None:
    body, code, named = BAD[case]
    answer = running_for_all.post("progress", body)
    assert answer.code == code
    assert named in answer.body["detail"]


def test_a_body_of_unknown_length_is_measured_too(running_for_all: Caller) -> None:
    answer = running_for_all.post("progress", iter([b" " * 10_000, b" " * 10_000]))
    assert answer.refused == (413, "TooLarge")


def test_a_task_that_reports_too_often_is_told_so(running: tuple[str, Caller]) -> None:
    _, pod = running
    with ThreadPoolExecutor(AT_ONCE) as callers:

        def burst() -> list[Answer]:
            answers = callers.map(lambda _: pod.post("progress", {"fraction": 0.1}), range(AT_ONCE))
            return [answer for answer in answers if answer.code != 202]

        refused = eventually(burst, bool)
    assert {answer.refused for answer in refused} == {(429, "TooManyReports")}
    assert refused[0].headers["retry-after"] == "1"


def test_an_unknown_path_is_refused_in_the_same_form(running_for_all: Caller) -> None:
    assert running_for_all.get("nonsense").refused == (404, "NotFound")
    assert running_for_all.call("DELETE", "progress").refused == (405, "MethodNotAllowed")


def test_held_reports_are_written_when_the_operator_stops(
    new_namespace: Callable[[], Kube], tmp_path: Path, unique: Callable[[str], str]
) -> None:
    kube = new_namespace()
    tasks, name = Tasks(kube), unique("stopped")
    operator = OperatorProcess(kube.namespace, tmp_path / "log", settings={"REPORT_INTERVAL_SECONDS": "600"}).start()
    try:
        tasks.template("progress", template_spec())
        uid = tasks.run(name, "progress", LONG)
        tasks.wait(name, "Running")
        pod = reporter(operator, kube, tasks.pods(uid)[0])
        pod.post("progress", {"fraction": 0.1, "final": True})
        assert pod.post("progress", {"fraction": 0.7}).body == {"held": True, "outdated": False}
    finally:
        assert operator.stop() == 0, (tmp_path / "log").read_text()[-2000:]
    assert tasks.status(name)["progress"]["fraction"] == 0.7


@pytest.fixture(scope="module")
def running_for_all(operator: OperatorProcess, tasks: Tasks) -> Iterator[Caller]:
    """The pod of one task for the tests that change nothing."""
    uid = tasks.run("progress-for-all", "progress", LONG)
    tasks.wait("progress-for-all", "Running")
    yield reporter(operator, tasks.kube, tasks.pods(uid)[0])
    tasks.delete("progress-for-all")
