"""How long tests wait for what must come."""

from typing import Final

PATIENCE: Final = 300
"""Seconds. What works comes in a few, and on a machine that has much else to do, a pod may start after minutes. A test
has 600 for all of it.
"""
TO_TELL: Final = 30
"""Seconds more, for a program that waits so long to say what did not come."""
