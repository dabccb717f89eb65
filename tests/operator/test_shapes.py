"""Pods of several containers, on a real node: a few cells of the matrix. Those that need no help start together."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kube import eventually
from tests.operator.mesh import LABEL, injecting
from tests.operator.process import HOST_ADDRESS
from tests.operator.tasks import Tasks, container, template_spec

pytestmark = pytest.mark.cluster

DONE = "open('/dev/termination-log', 'w').write('{\"ok\": true}')"
FAILS = "import sys; sys.exit('disk full')"
LONG = "import time; print('working', flush=True); time.sleep(600)"
LEAVES = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
open('/dev/shm/ready', 'w').close()
print('working', flush=True)
time.sleep(600)
"""


def beside(name: str, code: str, **more: Any) -> dict[str, Any]:
    """Another container, which runs Python."""
    return container(name=name, command=["python3", "-c", code], **more)


TEMPLATES: dict[str, dict[str, Any]] = {
    "shape-second-fails": {"containers": [container(), beside("exporter", "import sys; sys.exit('push failed')")]},
    "shape-second-runs": {"containers": [container(), beside("exporter", LONG)], "activeDeadlineSeconds": 40},
    "shape-sidecar": {"initContainers": [beside("proxy", LONG, restartPolicy="Always")]},
    "shape-sidecar-crashes": {
        "initContainers": [beside("proxy", "", restartPolicy="Always") | {"command": ["/no/such/command"]}]
    },
    "shape-init-fails": {"initContainers": [beside("fetch", "import sys; sys.exit('no such bucket: models')")]},
    "shape-init-slow": {
        "initContainers": [beside("fetch", "import time; print('downloading', flush=True); time.sleep(25)")]
    },
    "shape-no-secret": {
        "containers": [container(volumeMounts=[{"name": "data", "mountPath": "/data"}])],
        "volumes": [{"name": "data", "secret": {"secretName": "none"}}],
    },
    "shape-probed": {
        "containers": [
            container(
                livenessProbe={
                    "exec": {"command": ["sh", "-c", "echo no heartbeat; exit 1"]},
                    "failureThreshold": 1,
                    "timeoutSeconds": 60,
                }
            )
        ],
    },
    "shape-probed-leaves": {
        "containers": [
            container(
                livenessProbe={
                    "exec": {"command": ["sh", "-c", "echo no heartbeat; exit 1"]},
                    "failureThreshold": 1,
                    "timeoutSeconds": 60,
                },
                startupProbe={
                    "exec": {"command": ["test", "-e", "/dev/shm/ready"]},
                    "failureThreshold": 300,
                    "periodSeconds": 1,
                    "timeoutSeconds": 60,
                },
            )
        ],
        "terminationGracePeriodSeconds": 30,
    },
    "shape-four": {"containers": [container(), *(beside(f"c{n}", "pass") for n in range(3))]},
    "shape-alone": {},
}
CODES = {
    "shape-second-fails": DONE,
    "shape-second-runs": DONE,
    "shape-sidecar": FAILS,
    "shape-sidecar-crashes": DONE,
    "shape-init-fails": DONE,
    "shape-init-slow": DONE,
    "shape-no-secret": DONE,
    "shape-probed": LONG,
    "shape-probed-leaves": LEAVES,
    "shape-four": "open('/dev/termination-log', 'w').write('x' * 3500)",
}


NEVER_START = ("shape-sidecar-crashes", "shape-no-secret")


@pytest.fixture(scope="module", autouse=True)
def started(tasks: Tasks) -> None:
    """All that need no help, under way at the same time."""
    for name, pod in TEMPLATES.items():
        given_up = {"startTimeoutSeconds": 45} if name in NEVER_START else {}
        tasks.template(name, template_spec({"terminationGracePeriodSeconds": 1} | pod, **given_up))
    for name, code in CODES.items():
        tasks.run(name, name, code)


@pytest.mark.parametrize(
    ("name", "phase", "message", "result"),
    [
        ("shape-second-fails", "Succeeded", "completed (container exporter failed: exit code 1: push failed)", True),
        (
            "shape-second-runs",
            "Succeeded",
            "completed (container exporter still ran and was ended with the pod)",
            True,
        ),
        ("shape-sidecar", "Failed", "Error: exit code 1: disk full", False),
        (
            "shape-init-fails",
            "Failed",
            "Error: init container fetch failed: exit code 1: no such bucket: models",
            False,
        ),
        ("shape-init-slow", "Succeeded", "completed", True),
        (
            "shape-probed",
            "Failed",
            "LivenessProbeFailed: kubelet ended the work: Liveness probe failed: no heartbeat",
            False,
        ),
        (
            "shape-probed-leaves",
            "Failed",
            "LivenessProbeFailed: kubelet ended the work: Liveness probe failed: no heartbeat; exit code 0 while its "
            "pod was being ended, and no result",
            False,
        ),
    ],
)
def test_what_is_told_of_a_pod_of_several_containers(
    tasks: Tasks, name: str, phase: str, message: str, result: bool
) -> None:
    status = tasks.wait(name, "Succeeded", "Failed", "Cancelled")
    assert (status["phase"], status["message"]) == (phase, message)
    assert status.get("result", {}).get("value") == ({"ok": True} if result else None)


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("shape-no-secret", "FailedMount", 'secret "none" not found'),
        ("shape-sidecar-crashes", "CrashLoopBackOff", "sidecar proxy ends again and again: exit code 128"),
        ("shape-four", "ResultTooLarge", "3071 fit"),
    ],
)
def test_a_failure_of_a_pod_of_several_containers_has_its_words(
    tasks: Tasks, name: str, reason: str, words: str
) -> None:
    failure = tasks.wait(name, "Failed")["failure"]
    assert failure["reason"] == reason
    assert words in failure["message"]


@pytest.fixture(scope="module")
def mesh(tasks: Tasks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The namespace has an injector."""
    if HOST_ADDRESS is None:
        pytest.skip("the API server cannot reach this machine")
    with injecting(tasks.kube, tmp_path_factory.mktemp("mesh")):
        yield


@pytest.mark.parametrize(
    ("code", "phase", "expected"),
    [
        (DONE, "Succeeded", {"result": {"value": {"ok": True}}, "message": "completed"}),
        (FAILS, "Failed", {"message": "Error: exit code 1: disk full"}),
    ],
)
def test_the_work_is_the_templates_although_a_mesh_puts_its_container_first(
    tasks: Tasks, unique: Callable[[str], str], mesh: None, code: str, phase: str, expected: dict[str, Any]
) -> None:
    name = unique("meshed")
    spec = template_spec({"terminationGracePeriodSeconds": 1})
    spec["podTemplate"]["metadata"] = {"labels": LABEL}
    tasks.template("shape-meshed", spec)
    uid = tasks.run(name, "shape-meshed", code)
    status = tasks.wait(name, phase)
    (pod,) = tasks.pods(uid)
    assert [each["name"] for each in pod["spec"]["containers"]] == ["mesh-proxy", "main"]
    assert {key: status[key] for key in expected} == expected


def _pod_at_work(tasks: Tasks, uid: str) -> str:
    eventually(lambda: tasks.log(uid), lambda log: "working" in log)
    name: str = tasks.pods(uid)[0]["metadata"]["name"]
    return f"/api/v1/namespaces/{tasks.kube.namespace}/pods/{name}"


def test_a_pod_that_somebody_deletes_is_told_so(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("deleted")
    uid = tasks.run(name, "shape-alone", LONG)
    tasks.kube.request("DELETE", _pod_at_work(tasks, uid)).done()
    status = tasks.wait(name, "Failed")
    assert status["message"] == "Deleted: somebody deleted the pod"
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Deleted"]


def test_work_that_leaves_with_0_when_it_is_evicted_is_not_done_without_a_result(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("left")
    uid = tasks.run(name, "shape-alone", LEAVES)
    tasks.evict(_pod_at_work(tasks, uid).rpartition("/")[2])
    status = tasks.wait(name, "Failed")
    assert "exit code 0 while its pod was being evicted, and no result" in status["message"]
    assert status["failure"]["reason"] == "Evicted"


def test_a_job_that_somebody_else_suspends_is_queued_until_they_let_it_go(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("queued")
    uid = tasks.run(name, "shape-alone", LONG)
    _pod_at_work(tasks, uid)
    (job,) = tasks.jobs(uid)
    path = f"/apis/batch/v1/namespaces/{tasks.kube.namespace}/jobs/{job['metadata']['name']}"

    def suspend(value: bool) -> None:
        change = {"spec": {"suspend": value}}
        tasks.kube.request("PATCH", path, change, content="application/merge-patch+json").done()

    suspend(True)
    queued = tasks.wait(name, "Queued")
    assert [attempt["reason"] for attempt in queued["attempts"]] == ["Suspended"]
    assert "activeSince" not in queued
    assert tasks.jobs(uid)[0]["spec"]["suspend"] is True
    suspend(False)
    again = tasks.wait(name, "Running")
    assert again["attemptCount"] == 2
    tasks.patch(name, cancelRequested=True)
    ended = tasks.wait(name, "Cancelled")
    assert [attempt["reason"] for attempt in ended["attempts"]] == ["Suspended", "Cancelled"]
