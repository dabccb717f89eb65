"""Hands the checkpoint of an ended task to the task that runs it again."""

from longtask_api.longtask import LongTask
from longtask_api.reports import Checkpoint
from longtask_operator.planning.failure_reasons import StartProblem
from longtask_operator.planning.rerun import unobtainable
from longtask_operator.store.errors import DigestMismatch, NotStored, StoreUnavailable, TooLarge
from longtask_operator.store.owner import Owner
from longtask_operator.store.store import Store
from longtask_operator.task_namespace import TaskNamespace

BINARY = "application/octet-stream"
COPIES = 2
"""How many stored checkpoints are copied at a time: each takes a worker of the reconciler, and some 15 MiB."""


class NotHandedOver(Exception):
    """The checkpoint was not copied; `is_lost`: it never can be."""

    def __init__(self, problem: StartProblem, is_lost: bool) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.is_lost = is_lost


class CheckpointHandover:
    """Copies checkpoints, so that a task does not depend on what another one leaves in the store."""

    def __init__(self, cluster: TaskNamespace, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._copying = 0

    def has_room_for(self, earlier: LongTask) -> bool:
        """Whether the checkpoint of this task can be taken now: one that is stored outside of it may have to wait."""
        checkpoint = earlier.status.checkpoint
        return checkpoint is None or checkpoint.reference is None or self._copying < COPIES

    async def earlier(self, task: LongTask) -> LongTask | None:
        """The task that this one runs again, read live; None if it is gone."""
        rerun = task.spec.rerun_of
        return await self._cluster.get_task(rerun.name, rerun.uid) if rerun is not None else None

    async def take(self, task: LongTask, earlier: LongTask) -> LongTask:
        """Write the checkpoint of `earlier` as attempt 0 of the task; the task as written. Repeating it replaces the
        copy by the same bytes.

        Raises NotHandedOver, and KubeError 409 when the task has changed.
        """
        checkpoint = earlier.status.checkpoint
        if checkpoint is None:
            raise NotHandedOver(unobtainable("the earlier task has no checkpoint"), is_lost=True)
        return await self._cluster.write_checkpoint(task, await self._copied(task, earlier, checkpoint))

    async def _copied(self, task: LongTask, earlier: LongTask, checkpoint: Checkpoint) -> Checkpoint:
        taken, reference = checkpoint.model_copy(update={"attempt": 0}), checkpoint.reference
        if reference is None:
            return taken
        content = self._store.get(_owner(earlier), reference)
        key, media_type = f"checkpoint-of-{earlier.metadata.uid}", checkpoint.media_type or BINARY
        self._copying += 1
        try:
            copy = await self._store.put(_owner(task), key, media_type, content, reference.sha256)
        except StoreUnavailable as error:
            why = f"the checkpoint of LongTask {earlier.metadata.name} cannot be read now: {error}"
            problem = StartProblem("StoreUnavailable", why, "It starts when the store answers again.")
            raise NotHandedOver(problem, is_lost=False) from error
        except (NotStored, TooLarge, DigestMismatch) as error:
            why = f"the checkpoint of LongTask {earlier.metadata.name} cannot be copied: {error}"
            raise NotHandedOver(unobtainable(why), is_lost=True) from error
        finally:
            self._copying -= 1
        return taken.model_copy(update={"reference": copy})


def _owner(task: LongTask) -> Owner:
    return Owner(task.metadata.name, task.metadata.uid)
