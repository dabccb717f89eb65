"""LongTask for the code in a pod: makes one Python function durable, observable, resumable work.

    import longtask

    @longtask.task
    def model_training(ctx: longtask.Context, epochs: int = 10) -> float: ...

`python -m longtask run train:model_training` runs it, in a pod or locally; `longtask template` makes it a tool.
"""

from longtask.backend import Artifact
from longtask.context import Context, current
from longtask.errors import Cancelled, InvalidAnswer, NoAnswer, NotDelivered
from longtask.task import Task, task

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Cancelled",
    "Context",
    "InvalidAnswer",
    "NoAnswer",
    "NotDelivered",
    "Task",
    "current",
    "task",
]
