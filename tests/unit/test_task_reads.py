"""What the task API reads of a task's pods."""

from typing import cast

from longtask_operator.cache import Cache
from longtask_operator.planning.logs import LogFilter, LogTail
from longtask_operator.planning.snapshots import PodSnapshot
from longtask_operator.task_api.task_reads import _log
from longtask_operator.task_namespace import TaskNamespace
from tests.unit import given


class Logs:
    async def read_log(self, pod: PodSnapshot, lines: int, limit: int, wanted: LogFilter) -> LogTail:
        return LogTail(f"the log of {pod.name}", truncated=False)


async def test_the_log_of_work_that_goes_on_without_its_job_is_read() -> None:
    cache = Cache()
    cache.put_task(given.task(given.at_work()))
    cache.put_job(given.job())
    cache.put_pod(given.running_pod(orphaned=True))
    cache.drop_job(given.job())
    log = await _log(cast(TaskNamespace, Logs()), cache, given.TASK_UID, 100, LogFilter())
    assert (log.text, log.attempt, log.live) == ("the log of pod-a", 1, True)
