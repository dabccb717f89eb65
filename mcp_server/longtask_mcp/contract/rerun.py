"""Whether a task can be run again. Pure."""

from longtask_api.longtask import LongTask
from longtask_mcp.contract.errors import StartRefused
from longtask_mcp.contract.task_status import status_word


def check_rerun(task: LongTask, archived: bool, from_checkpoint: bool) -> None:
    """Raises StartRefused if the task cannot be run again, or not from a checkpoint."""
    uid = task.metadata.uid
    if not task.is_terminal:
        raise StartRefused(
            f"Task {uid} has not ended (it is {status_word(task)}), so there is nothing to run again; nothing was "
            "started. Wait for its end, or end it with cancel_task. start_task starts another one beside it.",
            "task_not_ended",
        )
    if not from_checkpoint or (task.status.checkpoint is not None and not archived):
        return
    why = "is only in the archive, which keeps no checkpoints" if archived else "saved no checkpoint"
    raise StartRefused(
        f"from_checkpoint: task {uid} {why}; nothing was started. Without from_checkpoint it runs again from the "
        "beginning.",
        "no_checkpoint",
    )
