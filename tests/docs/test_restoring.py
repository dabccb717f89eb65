"""The commands that back LongTasks up and restore them: what had ended is there again, and nothing runs."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longtask_api import constants
from tests.delivery.ended import ACTOR, condition
from tests.docs.pages import blocks
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster

BACKUP, RESTORE = [block for block in blocks("sh", "cluster", "docs/operate.md") if "longtasks.json" in block.text]
ENDED = {
    "phase": "Succeeded",
    "startTime": "2026-03-01T10:00:00Z",
    "completionTime": "2026-03-01T10:20:00Z",
    "attemptCount": 1,
    "result": {"value": {"score": 0.9}, "summary": "a score"},
    "message": "a score",
    "conditions": [
        {
            "type": "Succeeded",
            "status": "True",
            "reason": "Completed",
            "message": "a score",
            "lastTransitionTime": "2026-03-01T10:20:00Z",
        }
    ],
}


@pytest.fixture
def tasks(new_namespace: Callable[[], Kube], tmp_path: Path) -> Iterator[Tasks]:
    """With an operator, and a template whose work would run at once."""
    kube = new_namespace()
    operator = OperatorProcess(kube.namespace, tmp_path / "log").start()
    tasks = Tasks(kube)
    tasks.template("job", template_spec({"nodeSelector": {"docs-test": "nowhere"}}))
    yield tasks
    assert operator.stop() == 0


def test_what_had_ended_is_restored_and_nothing_runs(tasks: Tasks, tmp_path: Path) -> None:
    def run(commands: str) -> None:
        text = commands.replace("longtask-tasks", tasks.kube.namespace)
        ran = subprocess.run(
            ["bash", "-euc", text], check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path
        )
        assert ran.returncode == 0, ran.stderr

    memory = {"memoryId": "agents-a1b2c3d4e5", "actorId": ACTOR, "sessionId": "one"}
    years = {"ttlSecondsAfterFinished": 300_000_000}
    tasks.start("done", "job", {"code": "pass"}, requester={"principal": ACTOR}, memory=memory, **years)
    tasks.wait("done", "Pending")
    uid = tasks.get("done")["metadata"]["uid"]
    end(tasks.kube, "done")
    eventually(lambda: tasks.status("done"), lambda status: condition(status)["reason"] == "MemoryNotConfigured")
    run(BACKUP.text)
    [before] = json.loads((tmp_path / "longtasks.json").read_text())["items"]
    tasks.delete("done")
    eventually(lambda: tasks.kube.get(tasks.kube.path(constants.TASK_PLURAL, "done")).code, lambda code: code == 404)

    run(RESTORE.text)

    restored = tasks.get("done")
    assert restored["metadata"]["uid"] != uid
    assert restored["spec"] == before["spec"]
    # The operator looks at another task after this one, so that it has done what it would have done.
    tasks.start("next", "job", {"code": "pass"})
    tasks.wait("next", "Pending")
    assert tasks.jobs(restored["metadata"]["uid"]) == []
    assert tasks.get("done")["status"] == before["status"]


def end(kube: Kube, name: str) -> None:
    path = f"{kube.path(constants.TASK_PLURAL, name)}/status"
    kube.request("PATCH", path, {"status": ENDED}, content="application/merge-patch+json").done()
