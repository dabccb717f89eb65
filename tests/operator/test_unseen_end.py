"""A pod that somebody deletes while no operator is there."""

from collections.abc import Callable
from pathlib import Path

from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec


def test_a_pod_that_was_deleted_unseen_is_what_its_task_failed_of(
    new_namespace: Callable[[], Kube], tmp_path: Path
) -> None:
    kube = new_namespace()
    tasks = Tasks(kube)
    operator = OperatorProcess(kube.namespace, tmp_path / "log").start()
    try:
        tasks.template("job", template_spec({"terminationGracePeriodSeconds": 1}, retry={"limit": 0}))
        uid = tasks.run("work", "job", "import time; time.sleep(600)")
        tasks.wait("work", "Running")
        operator.kill()
        [pod] = tasks.pods(uid)
        kube.request("DELETE", f"/api/v1/namespaces/{kube.namespace}/pods/{pod['metadata']['name']}").done()
        eventually(lambda: tasks.jobs(uid)[0]["status"].get("failed"), bool)
        eventually(lambda: tasks.pods(uid), lambda pods: not pods)
        operator.start()
        tasks.wait("work", "Failed")
    finally:
        operator.kill()
    assert tasks.status("work")["failure"]["reason"] == "Deleted"
