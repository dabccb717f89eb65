"""Raises Python's recursion limit for deeply nested JSON.

The API server stores objects of up to 10,000 levels. Otherwise one such LongTask, from any user who may create
LongTasks, would raise RecursionError in every list and watch of the namespace.
"""

import sys

LEVELS = 10_000
FRAMES = 3 * LEVELS


def raise_limit() -> None:
    """Let this process decode every object that the API server can store."""
    sys.setrecursionlimit(FRAMES)
