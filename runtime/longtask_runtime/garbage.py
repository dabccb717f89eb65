"""Tunes Python's cyclic garbage collector."""

import gc

NEW_OBJECTS = 100_000
"""Threshold of the youngest generation. A page of a list allocates tens of thousands of objects, none of them garbage;
with Python's default of 700 most of the startup time goes into scanning them repeatedly."""


def collect_seldom() -> None:
    """Collect less often, for a process that decodes much JSON: reference counting frees nearly all of its garbage."""
    gc.set_threshold(NEW_OBJECTS, 50, 1000)
