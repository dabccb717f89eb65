"""Tasks that end in ways that lose something where nobody takes care. Runs in a pod, where only longtask is."""

import concurrent.futures
import multiprocessing
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import longtask

NOW = datetime.now(UTC)


@longtask.task
def leave_a_pool(fails: bool = False) -> dict[str, int]:
    """Returns, or raises, while a thread of a pool works on."""
    concurrent.futures.ThreadPoolExecutor(1, "left-pool").submit(time.sleep, 600)
    if fails:
        raise ValueError("column price is missing")
    return {"done": 1}


@longtask.task
def exit_with(code: int) -> None:
    """Ends with what os.system gave."""
    sys.exit(code)


@longtask.task
def print_and_die() -> None:
    """Prints, and dies without a word of Python's."""
    print("file 4 has 900 million rows")
    os._exit(3)


def part(number: int) -> int:
    longtask.current().progress(number, 3, unit="part")
    return number


@longtask.task
def fan_out() -> dict[str, Any]:
    """Uses a pool as Python 3.14 starts its processes, and the home of its libraries' caches."""
    Path("~/.cache/huggingface").expanduser().mkdir(parents=True)
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return {"parts": list(pool.map(part, range(3)))}


@longtask.task
def default_of_this_moment(at: datetime = NOW) -> dict[str, datetime]:
    """Has a default that is computed at each import."""
    return {"at": at}


@longtask.task
def give(size: int) -> dict[str, str]:
    """Gives a result of so many bytes."""
    return {"text": "x" * (size - len('{"text":""}'))}
