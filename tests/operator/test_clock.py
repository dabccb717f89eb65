"""An operator on a node whose clock is hours ahead. A process of its own, since the clock is the process's."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from tests.kube import Kube, eventually
from tests.operator.process import REPOSITORY, OperatorProcess
from tests.operator.tasks import Tasks, template_spec

AHEAD = REPOSITORY / "tests" / "operator" / "ahead"


def test_tasks_run_as_ever_where_the_clock_of_the_operator_is_three_hours_ahead(
    new_namespace: Callable[[], Kube], tmp_path: Path
) -> None:
    kube = new_namespace()
    process = OperatorProcess(kube.namespace, tmp_path / "log", environment={"PYTHONPATH": str(AHEAD)}).start()
    try:
        assert abs(process.metric("longtask_clock_skew_seconds") - 3 * 3600) < 5
        tasks = Tasks(kube)
        tasks.run("early", "later", "print('done')")  # its template comes after it
        tasks.template("later", template_spec())
        status = tasks.wait("early", "Succeeded", "Failed")
        assert status["phase"] == "Succeeded", status["message"]
        created = datetime.fromisoformat(tasks.get("early")["metadata"]["creationTimestamp"])
        ended = datetime.fromisoformat(status["completionTime"])
        assert timedelta() <= ended - created < timedelta(minutes=5)
        eventually(process.log.read_text, lambda text: "set it right" in text)
    finally:
        assert process.stop() == 0
