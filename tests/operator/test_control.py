"""What people can do to a task while it lives: suspend, resume, cancel, delete; and what becomes of it then."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from longtask_api import constants
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import WHEN_TOLD, Tasks, container, template_spec

pytestmark = pytest.mark.cluster

LONG = "import time; print('working', flush=True); time.sleep(600)"
QUICK = "pass"
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit('asked to stop'))
print('working', flush=True)
time.sleep(600)
"""


WRITES_A_TEXT = f"""{WHEN_TOLD}
open('/dev/termination-log', 'w').write('"forty-two"')
"""


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    """What the tests start."""
    tasks.template("job", template_spec())
    tasks.template("never", template_spec({"nodeSelector": {"no": "such-node"}}))
    tasks.template("retried", template_spec(retry={"limit": 3}))
    tasks.template("numbered", template_spec(resultSchema={"type": "number"}))
    tasks.template("brief-record", template_spec(ttlSecondsAfterFinished=3))


def condition(status: dict[str, Any], type_: str) -> tuple[str, str]:
    """(status, reason) of a condition."""
    found = next((c for c in status.get("conditions", []) if c["type"] == type_), None)
    return (found["status"], found["reason"]) if found else ("", "")


@pytest.mark.parametrize("code", [LONG, POLITE], ids=["ignores SIGTERM", "ends at SIGTERM"])
def test_a_running_task_is_cancelled_and_keeps_its_log(tasks: Tasks, unique: Callable[[str], str], code: str) -> None:
    name = unique("cancel-running")
    uid = tasks.run(name, "job", code)
    tasks.wait(name, "Running")
    eventually(lambda: tasks.log(uid), lambda log: "working" in log)
    tasks.patch(name, cancelRequested=True)
    status = tasks.wait(name, "Cancelled")
    assert condition(status, "Succeeded") == ("False", "Cancelled")
    assert "working" in status["failure"]["logTail"]
    assert status["attempts"][0]["endTime"]
    assert [pod["status"]["phase"] for pod in tasks.pods(uid)] == ["Failed"]
    tasks.wait_event(uid, "Normal", "Cancelled")


def test_a_later_attempt_is_cancelled_and_the_logs_of_all_are_kept(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("cancel-second")
    uid = tasks.run(name, "retried", f"{WHEN_TOLD}\nraise SystemExit(1)")
    tasks.wait(name, "Running")
    tasks.go(uid)
    tasks.wait_message(name, "running, attempt 2")
    eventually(lambda: tasks.log(uid), lambda log: log.count("working") == 2)
    tasks.patch(name, cancelRequested=True)
    status = tasks.wait(name, "Cancelled")
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Error", "Cancelled"]
    assert "working" in status["failure"]["logTail"]
    assert [pod["status"]["phase"] for pod in tasks.pods(uid)] == ["Failed"] * 2
    assert tasks.log(uid).count("working") == 2


def test_a_task_that_waits_for_a_node_is_cancelled_and_leaves_nothing(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("cancel-pending")
    uid = tasks.run(name, "never", QUICK)
    tasks.wait_message(name, "Unschedulable")
    tasks.patch(name, cancelRequested=True)
    tasks.wait(name, "Cancelled")
    eventually(lambda: tasks.jobs(uid) + tasks.pods(uid), lambda left: not left)


def test_a_suspended_task_is_cancelled(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("cancel-suspended")
    uid = tasks.run(name, "job", LONG, suspend=True)
    tasks.wait(name, "Suspended")
    tasks.patch(name, cancelRequested=True)
    tasks.wait(name, "Cancelled")
    eventually(lambda: tasks.jobs(uid), lambda left: not left)


def test_a_cancel_that_comes_too_late_changes_nothing(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("cancel-late")
    tasks.run(name, "job", QUICK)
    before = tasks.wait(name, "Succeeded")
    tasks.patch(name, cancelRequested=True)
    tasks.run(other := unique("cancel-late"), "job", QUICK)
    tasks.wait(other, "Succeeded")
    assert tasks.status(name) == before


def test_suspended_time_does_not_count_against_the_deadline(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("suspend")
    uid = tasks.run(name, "job", WHEN_TOLD, activeDeadlineSeconds=30)
    tasks.wait(name, "Running")
    tasks.patch(name, suspend=True)
    held = tasks.wait(name, "Suspended")
    assert condition(held, "Suspended") == ("True", "Suspended")
    assert "activeSince" not in held
    assert held["activeSeconds"] < 30
    assert tasks.pods(uid) == []
    other = unique("beside")
    tasks.run(other, "job", "import time; time.sleep(30)")
    tasks.wait(other, "Succeeded")
    tasks.patch(name, suspend=False)
    tasks.go(uid)
    done = tasks.wait(name, "Succeeded")
    assert condition(done, "Suspended")[0] == "False"
    assert [attempt["reason"] for attempt in done["attempts"]] == ["Suspended", "Completed"]
    assert len(tasks.jobs(uid)) == 1


def test_a_task_created_suspended_starts_when_it_is_resumed(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("suspended-from-the-start")
    tasks.run(name, "job", QUICK, suspend=True)
    status = tasks.wait(name, "Suspended")
    assert "startTime" not in status
    tasks.patch(name, suspend=False)
    assert tasks.wait(name, "Succeeded")["attemptCount"] == 1


def test_deleting_a_task_takes_its_job_and_pods_with_it(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("deleted")
    uid = tasks.run(name, "job", LONG)
    tasks.wait(name, "Running")
    tasks.delete(name)
    eventually(lambda: tasks.jobs(uid) + tasks.pods(uid), lambda left: not left)


def test_a_name_that_is_deleted_and_created_again_at_once_is_another_task(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("again")
    first = tasks.run(name, "job", LONG)
    tasks.wait(name, "Running")
    tasks.delete(name)
    eventually(lambda: tasks.kube.get(tasks.kube.path(constants.TASK_PLURAL, name)).code, lambda code: code == 404)
    second = tasks.run(name, "job", "open('/dev/termination-log', 'w').write('second')")
    status = tasks.wait(name, "Succeeded")
    assert status["result"]["text"] == "second"
    assert status["attemptCount"] == 1
    assert first != second
    eventually(lambda: tasks.jobs(first) + tasks.pods(first), lambda left: not left)


def test_a_job_deleted_by_somebody_else_is_not_started_again(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("job-lost")
    uid = tasks.run(name, "job", LONG)
    tasks.wait(name, "Running")
    tasks.delete_job(name, "Foreground")
    status = tasks.wait(name, "Failed")
    assert status["failure"]["reason"] == "JobLost"
    assert tasks.jobs(uid) == []


def _run_without_its_job(tasks: Tasks, name: str, code: str = LONG, template: str = "job", **spec: Any) -> str:
    uid = tasks.run(name, template, code, **spec)
    tasks.wait(name, "Running")
    eventually(lambda: tasks.log(uid), lambda log: "working" in log)
    tasks.leave_behind(name)
    assert [pod["metadata"].get("ownerReferences") for pod in tasks.pods(uid)] == [None]
    return uid


def test_work_whose_job_was_deleted_without_its_pod_is_cancelled_and_keeps_its_log(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("left-behind-cancelled")
    uid = _run_without_its_job(tasks, name)
    tasks.patch(name, cancelRequested=True)
    status = tasks.wait(name, "Cancelled")
    assert [pod["status"]["phase"] for pod in tasks.pods(uid)] == ["Failed"]
    assert "working" in status["failure"]["logTail"]
    assert status["attempts"][0]["reason"] == "Cancelled"
    tasks.delete(name)
    eventually(lambda: tasks.pods(uid), lambda left: not left)


def test_work_whose_job_was_deleted_without_its_pod_holds_its_deadline(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("left-behind-deadline")
    uid = _run_without_its_job(tasks, name, activeDeadlineSeconds=40)
    status = tasks.wait(name, "Failed")
    assert status["failure"]["reason"] == "DeadlineExceeded"
    assert [pod["status"]["phase"] for pod in tasks.pods(uid)] == ["Failed"]


def test_work_whose_job_was_deleted_without_its_pod_ends_when_it_is_suspended(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("left-behind-suspended")
    uid = _run_without_its_job(tasks, name)
    tasks.patch(name, suspend=True)
    status = tasks.wait(name, "Failed")
    assert status["failure"]["reason"] == "JobLost"
    assert "suspended" in status["failure"]["message"]
    eventually(lambda: tasks.pods(uid), lambda left: not left)


def test_work_whose_job_was_deleted_without_its_pod_goes_with_its_task(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("left-behind-deleted")
    uid = _run_without_its_job(tasks, name)
    tasks.delete(name)
    eventually(lambda: tasks.pods(uid), lambda left: not left)


def test_work_whose_job_was_deleted_without_its_pod_may_end_well(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("left-behind-done")
    uid = _run_without_its_job(tasks, name, f"{WHEN_TOLD}\nopen('/dev/termination-log', 'w').write('7')")
    tasks.go(uid)
    assert tasks.wait(name, "Succeeded")["result"]["value"] == 7


def test_a_pod_without_a_node_that_its_job_left_behind_goes_at_a_cancel(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("left-behind-pending")
    uid = tasks.run(name, "never", QUICK)
    tasks.wait_message(name, "Unschedulable")
    tasks.leave_behind(name)
    tasks.patch(name, cancelRequested=True)
    tasks.wait(name, "Cancelled")
    eventually(lambda: tasks.pods(uid), lambda left: not left)


def test_work_ends_with_its_log_when_its_job_is_deleted_in_the_background(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("job-lost-background")
    uid = tasks.run(name, "job", LONG)
    tasks.wait(name, "Running")
    eventually(lambda: tasks.log(uid), lambda log: "working" in log)
    tasks.delete_job(name, "Background")
    failure = tasks.wait(name, "Failed")["failure"]
    assert (failure["reason"], failure["exitCode"]) == ("JobLost", 137)
    eventually(lambda: tasks.pods(uid), lambda left: not left)


def test_a_result_of_work_whose_job_was_deleted_is_held_against_its_schema_all_the_same(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("left-behind-invalid")
    tasks.go(_run_without_its_job(tasks, name, WRITES_A_TEXT, "numbered"))
    status = tasks.wait(name, "Failed")
    assert status["failure"]["reason"] == "InvalidResult"
    assert 'is not of type "number"' in status["failure"]["message"]


def test_what_happened_to_left_behind_pods_while_no_operator_ran_reaches_them_once_one_does(
    new_namespace: Callable[[], Kube], tmp_path: Path
) -> None:
    kube = new_namespace()
    tasks = Tasks(kube)
    before = OperatorProcess(kube.namespace, tmp_path / "before").start()
    try:
        tasks.template("job", template_spec())
        uids = {name: tasks.run(name, "job", LONG) for name in ("cancelled", "deleted")}
        for name, uid in uids.items():
            tasks.wait(name, "Running")
            eventually(partial(tasks.log, uid), lambda log: "working" in log)
    finally:
        assert before.stop() == 0
    for name, uid in uids.items():
        tasks.delete_job(name, "Orphan")
        eventually(partial(tasks.jobs, uid), lambda left: not left)
    tasks.patch("cancelled", cancelRequested=True)
    tasks.delete("deleted")
    eventually(lambda: kube.get(kube.path(constants.TASK_PLURAL, "deleted")).code, lambda code: code == 404)
    after = OperatorProcess(kube.namespace, tmp_path / "after").start()
    try:
        tasks.wait("cancelled", "Cancelled")
        assert [pod["status"]["phase"] for pod in tasks.pods(uids["cancelled"])] == ["Failed"]
        eventually(lambda: tasks.pods(uids["deleted"]), lambda left: not left)
    finally:
        assert after.stop() == 0


def test_the_record_goes_when_its_time_is_over(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("brief")
    uid = tasks.run(name, "brief-record", QUICK)
    tasks.wait(name, "Succeeded")
    eventually(lambda: tasks.kube.get(tasks.kube.path(constants.TASK_PLURAL, name)).code, lambda code: code == 404)
    eventually(lambda: tasks.jobs(uid) + tasks.pods(uid), lambda left: not left)


def test_a_task_without_its_template_waits_for_it(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name, template = unique("early"), unique("late-template")
    tasks.run(name, template, QUICK)
    status = tasks.wait_message(name, "does not exist")
    assert condition(status, "Accepted") == ("Unknown", "TemplateNotFound")
    tasks.template(template, template_spec())
    assert condition(tasks.wait(name, "Succeeded"), "Accepted") == ("True", "Accepted")


def test_parameters_that_do_not_fit_are_refused_by_name(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("bad-parameters")
    uid = tasks.start(name, "job", {"code": 7, "extra": 1})
    status = tasks.wait(name, "Failed")
    assert status["failure"]["reason"] == "InvalidParameters"
    assert 'code: 7 is not of type "string"' in status["failure"]["message"]
    assert "extra" in status["failure"]["message"]
    assert condition(status, "Accepted") == ("False", "InvalidParameters")
    assert tasks.jobs(uid) == []


def test_editing_a_template_does_not_reach_a_running_task(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name, template = unique("snapshot"), unique("edited")
    tasks.template(template, template_spec(activeDeadlineSeconds=1000))
    uid = tasks.run(name, template, WHEN_TOLD)
    before = tasks.wait(name, "Running")["templateSnapshot"]
    tasks.template(template, template_spec(activeDeadlineSeconds=1))
    tasks.go(uid)
    assert tasks.wait(name, "Succeeded")["templateSnapshot"] == before
    assert before["activeDeadlineSeconds"] == 1000


BAD_TEMPLATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "list-tasks": ({}, "InvalidSpec", "one of LongTask's own tools"),
    "reserved": (
        {"parametersSchema": {"type": "object", "properties": {"wait_seconds": {"type": "number"}}}},
        "InvalidSpec",
        "parameter 'wait_seconds': the name is reserved",
    ),
    "remote": (
        {"parametersSchema": {"type": "object", "properties": {"x": {"$ref": "https://example.com/x"}}}},
        "InvalidSpec",
        "only references inside the schema",
    ),
    "colliding": (
        {"parametersSchema": {"type": "object", "properties": {"a-b": {}, "a_b": {}}}},
        "InvalidSpec",
        "both arrive as LONGTASK_PARAM_A_B",
    ),
    "not-a-schema": ({"parametersSchema": {"type": "objekt"}}, "InvalidSpec", "not a JSON Schema"),
    "privileged": (
        {"podTemplate": {"spec": {"containers": [container(securityContext={"privileged": True})]}}},
        "PodSecurityViolation",
        "violates PodSecurity",
    ),
    "no-such-field": (
        {"podTemplate": {"spec": {"containers": [container(env=[{"name": "LONGTASK_ID", "value": "x"}])]}}},
        "InvalidSpec",
        "variable LONGTASK_ID is LongTask's own",
    ),
}


@pytest.mark.parametrize("name", BAD_TEMPLATES)
def test_a_template_that_cannot_work_is_not_ready_and_says_why(tasks: Tasks, name: str) -> None:
    change, reason, message = BAD_TEMPLATES[name]
    tasks.template(name, {**template_spec(), **change}, ready=False)
    status = tasks.kube.get(tasks.kube.path(constants.TEMPLATE_PLURAL, name)).done()["status"]
    ready = status["conditions"][0]
    assert ready["reason"] == reason
    assert message in ready["message"]


def test_work_is_refused_for_quota_with_that_reason_and_starts_when_there_is_room(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name, template = unique("quota"), unique("quota")
    tasks.template(template, template_spec({"priorityClassName": "system-node-critical"}))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": template},
        "spec": {
            "hard": {"pods": "0"},
            "scopeSelector": {
                "matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
                ]
            },
        },
    }
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/resourcequotas"
    tasks.kube.create(path, quota).done()
    eventually(lambda: tasks.kube.get(f"{path}/{template}").done().get("status", {}), bool)
    tasks.run(name, template, QUICK)
    tasks.wait_message(name, "QuotaExceeded")
    tasks.kube.request("DELETE", f"{path}/{template}").done()
    tasks.wait(name, "Succeeded")


def test_parameters_nested_deeper_than_anybody_reads_are_refused_and_harm_nobody_else(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name, other = unique("deep"), unique("beside-deep")
    nested = "[" * 9000 + "]" * 9000
    spec = f'{{"templateRef": {{"name": "job"}}, "parameters": {{"code": {nested}}}}}'
    head = f'"apiVersion": "{constants.API_VERSION}", "kind": "{constants.TASK_KIND}", "metadata": {{"name": "{name}"}}'
    body = f'{{{head}, "spec": {spec}}}'
    created = subprocess.run(
        ["kubectl", "create", "--raw", tasks.kube.path(constants.TASK_PLURAL), "-f", "-"],
        input=body,
        capture_output=True,
        text=True,
        check=False,
    )
    assert created.returncode == 0, created.stderr
    tasks.run(other, "job", QUICK)
    tasks.wait(other, "Succeeded")

    def reason() -> str:
        path = "{.status.failure.message}"
        command = ["kubectl", "get", "longtask", name, "-n", tasks.kube.namespace, "-o", f"jsonpath={path}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    eventually(reason, lambda told: "nested deeper than 100 levels" in told)
    tasks.delete(name)
