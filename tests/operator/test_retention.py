"""A finished Job goes after a while; the record stays, with all that was read out of the Job."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster


def test_the_job_goes_and_the_record_stays(new_namespace: Callable[[], Kube], tmp_path: Path) -> None:
    kube = new_namespace()
    settings = {"JOB_RETENTION_SECONDS": "1"}
    operator = OperatorProcess(kube.namespace, tmp_path / "log", settings=settings).start()
    tasks = Tasks(kube)
    try:
        tasks.template("job", template_spec())
        uid = tasks.run("kept", "job", "print('last words'); raise SystemExit(3)")
        ended = tasks.wait("kept", "Failed")
        eventually(lambda: tasks.jobs(uid) + tasks.pods(uid), lambda left: not left)
        assert tasks.status("kept") == ended
        assert ended["failure"]["logTail"] == "last words"
    finally:
        assert operator.stop() == 0
