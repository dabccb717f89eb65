"""Work that reports through the SDK. The source of this module goes into templates: it stands alone, in one file."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import longtask


@dataclass(frozen=True)
class Took:
    """How long the steps took, in seconds."""

    seconds: float


@longtask.task
def steps(ctx: longtask.Context, count: int, pause: float, tell: bool, wait: bool = False) -> Took:
    """Makes steps of equal length, and tells each of them or none; may wait then until it is told to end."""
    began = time.monotonic()
    for step in range(1, count + 1):
        time.sleep(pause)
        if tell:
            ctx.progress(step, count, unit="step")
            ctx.checkpoint(step)
    took = time.monotonic() - began
    while wait and not Path("/dev/shm/go").exists():
        time.sleep(pause)
    return Took(took)


@longtask.task
def milestones(ctx: longtask.Context, at: list[int]) -> None:
    """Reports each of these percentages, and goes on from it when it is told to."""
    go = Path("/dev/shm/go")
    for percentage in at:
        ctx.progress(percentage, 100)
        while not go.exists():
            time.sleep(0.05)
        go.unlink()


@longtask.task
def large(ctx: longtask.Context, size: int) -> Any:
    """Gives lines of text that are always the same and never alike, at least `size` bytes as JSON."""
    return [f"{line} é€😀 {hashlib.sha256(str(line).encode()).hexdigest()}" for line in range(size // 79 + 1)]


@longtask.task
def asks(ctx: longtask.Context, question: str) -> dict[str, bool]:
    """Asks a question, and gives the answer."""
    return {"answer": ctx.ask(question, schema=bool, key="sure")}


@longtask.task
def faces(ctx: longtask.Context, count: int) -> dict[str, str]:
    """Gives as many emoji, and a summary."""
    return {"faces": "😀" * count, "summary": f"{count} faces"}
