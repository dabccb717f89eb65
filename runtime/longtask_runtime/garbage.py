"""How often Python looks for cycles of garbage."""

import gc

NEW_OBJECTS = 100_000
"""Of the youngest generation. A page of a list makes tens of thousands at once, none of which is garbage: with Python's
700 most of the time of a start goes into looking at them, again and again."""


def collect_seldom() -> None:
    """For a process that decodes much JSON; nearly all of its garbage is in no cycle, and goes at once anyway."""
    gc.set_threshold(NEW_OBJECTS, 50, 1000)
