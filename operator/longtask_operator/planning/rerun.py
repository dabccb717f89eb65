"""Whether a task that runs an earlier one again may take over its checkpoint."""

from longtask_api.longtask import LongTask
from longtask_operator.planning.failure_reasons import StartProblem

NO_CHECKPOINT = "NoCheckpoint"
HINT = "Create the task again without spec.rerunOf.fromCheckpoint, and it begins at the beginning."


def wants_checkpoint(task: LongTask) -> bool:
    """Whether the task is to begin with another one's checkpoint, which it does not have yet."""
    rerun = task.spec.rerun_of
    return rerun is not None and rerun.from_checkpoint and task.status.checkpoint is None


def resumable(task: LongTask, earlier: LongTask | None) -> LongTask | StartProblem:
    """The earlier task, if the task may take over its checkpoint, or why it may not."""
    rerun = task.spec.rerun_of
    what = f"LongTask {rerun.name} ({rerun.uid})" if rerun is not None else "the earlier task"
    if earlier is None:
        return unobtainable(f"{what} is gone, and its checkpoint with it")
    if _terms(earlier) != _terms(task):
        return unobtainable(f"{what} is not of the same requester and template")
    if not earlier.is_terminal:
        return unobtainable(f"{what} has not ended")
    if earlier.status.checkpoint is None:
        return unobtainable(f"{what} has saved no checkpoint")
    return earlier


def unobtainable(why: str) -> StartProblem:
    """The problem of a checkpoint that can never be taken over."""
    return StartProblem(NO_CHECKPOINT, why, HINT)


def _terms(task: LongTask) -> tuple[str, str | None, str | None]:
    requester = task.spec.requester
    if requester is None:
        return task.spec.template_ref.name, None, None
    return task.spec.template_ref.name, requester.principal, requester.actor_id
