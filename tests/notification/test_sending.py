"""One operator and one receiver: what is sent, how often, and what the task says of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kube import Kube, eventually
from tests.notification import receiver as receivers
from tests.notification.conftest import SECRET, settings, sink, with_secret
from tests.notification.notified import end, made
from tests.notification.receiver import Receiver
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec
from tests.ports import free_port

pytestmark = pytest.mark.cluster

OTHER_SECRET = "whsec_" + "A" * 32


@dataclass(frozen=True)
class Running:
    """An operator, the receiver that it notifies, and the namespace of its tasks."""

    kube: Kube
    receiver: Receiver
    operator: OperatorProcess
    secrets: Path


PATHS = (
    "plain",
    "once",
    "retry",
    "gone",
    "slow",
    "endless",
    "asked",
    "rotated",
    "picky",
    "later",
    "deleted",
    "ttl",
    "counted",
)


@pytest.fixture(scope="module")
def running(new_namespace: Callable[[], Kube], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    namespace, folder = new_namespace(), tmp_path_factory.mktemp("sinks")
    with Receiver().listening() as receiver:
        sinks = {name: sink(receiver.port, f"/{name}") for name in PATHS}
        sinks["once"] |= with_secret(folder, "once", SECRET)
        sinks["rotated"] |= with_secret(folder, "rotated", SECRET)
        sinks["picky"]["events"] = ["failed"]
        sinks["metadata"] = {"url": "http://169.254.169.254/latest", "allowHTTP": True}
        sinks["inside"] = {"url": f"http://localhost:{receiver.port}/inside", "allowHTTP": True}
        sinks["down"] = sink(free_port(), "/down")
        sinks["unsigned"] = sink(receiver.port, "/unsigned", secretRef={"name": "absent"})
        operator = OperatorProcess(namespace.namespace, folder / "log", settings=settings(sinks, folder)).start()
        yield Running(namespace, receiver, operator, folder)
        assert operator.stop() == 0, operator.log.read_text()[-3000:]


def test_an_end_is_sent_once_signed_and_says_what_is_known(running: Running) -> None:
    task = end(running.kube, "once", "once")
    status = task.wait("True", "Notified")

    [request] = running.receiver.of(task.uid)
    event = request.event
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-id"] == event["id"] == f"{task.uid}-succeeded"
    assert request.is_signed_by(SECRET)
    assert {key: event[key] for key in ("specversion", "type", "source", "subject", "time")} == {
        "specversion": "1.0",
        "type": "dev.longtask.task.succeeded",
        "source": f"/apis/longtask.dev/v1alpha1/namespaces/{running.kube.namespace}/longtasks",
        "subject": "once",
        "time": status["completionTime"],
    }
    data = event["data"]
    assert (data["task_id"], data["template"], data["phase"]) == (task.uid, "job", "Succeeded")
    assert data["summary"] == "score of once"
    assert data["requester"]["session_id"] == "chat-1"
    assert data["next"] == {"tool": "get_task_results", "arguments": {"task_id": task.uid}}
    assert b"parameter-body" not in request.body
    assert b"result-body" not in request.body
    assert [(each["sink"], each["event"]) for each in status["notifications"]] == [("once", "succeeded")]


ANSWERS = {
    "500": receivers.status(500),
    "404": receivers.status(404),
    "503 and later": receivers.status(503, "Retry-After: 1"),
    "429 and later": receivers.status(429, "Retry-After: 1"),
    "cut off": receivers.CUT,
    "half a head": receivers.HALF_A_HEAD,
    "no HTTP": receivers.NO_HTTP,
    "an endless head": receivers.ENDLESS_HEAD,
    "a redirect": receivers.status(302, "Location: /elsewhere"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_not_accepted_is_sent_again_with_the_same_id_and_body(running: Running, answer: str) -> None:
    running.receiver.answer("/retry", ANSWERS[answer])
    task = end(running.kube, f"retry-{list(ANSWERS).index(answer)}", "retry")
    status = task.wait("True", "Notified")

    first, second = running.receiver.of(task.uid)
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert first.path == second.path == "/retry"
    assert "failures" not in status["notifications"][0]
    assert second.at - first.at >= 1


def test_an_answer_counts_by_its_head(running: Running) -> None:
    running.receiver.answer("/endless", receivers.ENDLESS, receivers.HALF)
    tasks = [end(running.kube, f"endless-{number}", "endless") for number in range(2)]
    for task in tasks:
        task.wait("True", "Notified")
    assert [len(running.receiver.of(task.uid)) for task in tasks] == [1, 1]
    assert running.receiver.sent_bytes < 50 * 2**20


def test_a_sink_that_is_gone_is_left_alone(running: Running) -> None:
    running.receiver.answer("/gone", receivers.status(410))
    task = end(running.kube, "gone", "gone")
    status = task.wait("False", "GivenUp")
    assert "410" in task.condition()["message"]
    assert "nextRetryTime" not in status["notifications"][0]
    end(running.kube, "after", "gone").wait("True")
    assert len(running.receiver.of(task.uid)) == 1


@pytest.mark.parametrize(
    ("name", "status", "reason", "part"),
    [
        ("down", "Unknown", "Unreachable", "no connection to 127.0.0.1:"),
        ("metadata", "False", "AddressNotAllowed", "169.254.169.254"),
        ("inside", "False", "AddressNotAllowed", "not public"),
        ("nobody", "False", "SinkNotConfigured", "not in notifications.sinks"),
        ("unsigned", "False", "NoSigningSecret", "Secret absent: signing-secrets: No such file"),
    ],
)
def test_what_is_wrong_with_a_sink_is_said_and_another_one_is_notified(
    running: Running, name: str, status: str, reason: str, part: str
) -> None:
    task = end(running.kube, f"wrong-{name}", name, "plain")
    found = task.wait(status, reason)
    assert part in task.condition()["message"]
    eventually(lambda: [each.path for each in running.receiver.of(task.uid)], lambda paths: paths == ["/plain"])
    assert found["phase"] == "Succeeded"
    assert next(each for each in task.status["notifications"] if each["sink"] == name)["nextRetryTime"]


def test_a_question_is_sent_while_it_is_open(running: Running) -> None:
    task = made(running.kube, "asked", "asked")
    question = {"id": "really.delete", "message": "Really?", "createdTime": "2026-01-31T12:00:00Z"}
    task.write(inputRequests=[question])
    task.wait("Unknown", "EventSent")
    task.ends()
    status = task.wait("True", "Notified")

    asked, ended = running.receiver.of(task.uid)
    assert asked.headers["webhook-id"] == f"{task.uid}-asked-really~delete"
    assert asked.event["type"] == "dev.longtask.task.asked"
    assert (asked.event["time"], asked.event["data"]["message"]) == ("2026-01-31T12:00:00Z", "Really?")
    assert ended.event["type"] == "dev.longtask.task.succeeded"
    assert [each["event"] for each in status["notifications"]] == ["succeeded"]


def test_a_sink_gets_only_the_events_that_it_takes(running: Running) -> None:
    good = end(running.kube, "picky-good", "picky", ttl_seconds=0)
    failure = {"reason": "OOMKilled", "message": "limit 512Mi"}
    bad = end(running.kube, "picky-bad", "picky", phase="Failed", result=None, failure=failure)
    bad.wait("True", "Notified")
    eventually(lambda: good.exists, lambda exists: not exists)  # nothing holds it up
    [request] = running.receiver.of(bad.uid)
    assert (request.event["type"], request.event["data"]["reason"]) == ("dev.longtask.task.failed", "OOMKilled")
    assert running.receiver.of(good.uid) == []


def test_secrets_are_rotated_without_a_restart(running: Running) -> None:
    def signed(name: str) -> tuple[bool, bool]:
        task = end(running.kube, name, "rotated")
        task.wait("True")
        [request] = running.receiver.of(task.uid)
        return request.is_signed_by(SECRET), request.is_signed_by(OTHER_SECRET)

    assert signed("rotated-1") == (True, False)
    with_secret(running.secrets, "rotated", SECRET, OTHER_SECRET)
    assert signed("rotated-2") == (True, True)
    with_secret(running.secrets, "rotated", OTHER_SECRET)
    assert signed("rotated-3") == (False, True)
    log = running.operator.log.read_text()
    assert not any(secret.removeprefix("whsec_") in log for secret in (SECRET, OTHER_SECRET))


def test_a_sink_that_does_not_answer_holds_up_no_other(running: Running) -> None:
    running.receiver.always["/slow"] = receivers.NEVER
    stuck = [end(running.kube, f"stuck-{number}", "slow") for number in range(6)]
    eventually(lambda: [task for task in stuck if running.receiver.of(task.uid)], lambda found: len(found) == 4)
    end(running.kube, "meanwhile", "plain").wait("True", seconds=8)
    status = stuck[0].wait("Unknown", "NoAnswer")
    assert status["notifications"][0]["failures"] == 1
    running.receiver.always["/slow"] = receivers.OK
    for task in stuck:
        task.wait("True")


def test_a_task_is_kept_until_its_sink_knows(running: Running) -> None:
    running.receiver.answer("/ttl", *[receivers.status(500)] * 2)
    task = end(running.kube, "ttl", "ttl", ttl_seconds=0)
    eventually(lambda: task.exists, lambda exists: not exists)
    assert len(running.receiver.of(task.uid)) == 3


def test_a_task_that_is_deleted_meanwhile_is_not_sent_any_more(running: Running) -> None:
    running.receiver.answer("/deleted", receivers.status(500, "Retry-After: 5"))
    task = end(running.kube, "deleted", "deleted")
    task.wait("Unknown", "ServerError")
    running.kube.request("DELETE", running.kube.path("longtasks", task.name)).done()
    eventually(
        lambda: running.operator.metric('longtask_notifications_pending{sink="deleted"}'), lambda number: number == 0
    )
    assert len(running.receiver.of(task.uid)) == 1


def test_what_is_older_than_a_day_is_tried_once(running: Running) -> None:
    running.receiver.answer("/later", receivers.status(500))
    task = end(running.kube, "old", "later", seconds_ago=100_000, ttl_seconds=200_000)
    task.wait("False", "GivenUp")
    assert len(running.receiver.of(task.uid)) == 1


def test_the_sinks_are_those_of_the_template_when_the_task_began_or_was_refused(running: Running) -> None:
    tasks = Tasks(running.kube)
    tasks.template("named", template_spec(notify=["plain", "nobody"]))
    template = running.kube.get(running.kube.path("longtasktemplates", "named")).done()
    configured = next(each for each in template["status"]["conditions"] if each["type"] == "SinksConfigured")
    assert (configured["status"], configured["reason"]) == ("False", "SinkNotConfigured")
    assert "nobody not in notifications.sinks" in configured["message"]

    uid = tasks.start("refused", "named", {"code": 7})
    tasks.wait("refused", "Failed")
    tasks.template("named", template_spec(notify=["picky"]))
    [request] = eventually(lambda: running.receiver.of(uid), bool)
    assert (request.path, request.event["data"]["reason"]) == ("/plain", "InvalidParameters")

    again = tasks.start("refused-again", "named", {"code": 7})
    [request] = eventually(lambda: running.receiver.of(again), bool)
    assert request.path == "/picky"


def test_a_task_with_a_job_keeps_the_sinks_with_which_it_began(running: Running) -> None:
    tasks = Tasks(running.kube)
    tasks.template("working", template_spec(notify=["plain"]))
    uid = tasks.run("working", "working", "import time; time.sleep(600)")
    eventually(lambda: tasks.status("working"), lambda status: "jobRef" in status)
    tasks.template("working", template_spec(notify=["picky"]))
    tasks.patch("working", cancelRequested=True)
    [request] = eventually(lambda: running.receiver.of(uid), bool)
    assert (request.path, request.event["type"]) == ("/plain", "dev.longtask.task.cancelled")


def test_metrics_count_what_was_sent_and_what_failed(running: Running) -> None:
    running.receiver.answer("/counted", receivers.status(400))
    end(running.kube, "counted", "counted").wait("True")
    assert running.operator.metric('longtask_notifications_total{event="succeeded",sink="counted"}') == 1
    assert running.operator.metric('longtask_notification_failures_total{reason="Rejected",sink="counted"}') == 1
    assert running.operator.metric('longtask_notification_delay_seconds_count{sink="counted"}') == 1
