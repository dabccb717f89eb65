"""Room for deeply nested JSON.

The API server stores objects of up to 10,000 levels. One such LongTask, made by anybody who may create one, would
otherwise raise RecursionError in every list and watch of the namespace.
"""

import sys

LEVELS = 10_000
FRAMES = 3 * LEVELS


def raise_limit() -> None:
    """Let this process read what the API server can hold."""
    sys.setrecursionlimit(FRAMES)
