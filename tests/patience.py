"""How long tests wait for what must come."""

from typing import Final

PATIENCE: Final = 300.0
"""Seconds. What works comes in a few, and on a machine that has much else to do, a pod may start after minutes. A test
has 600 for all of it.
"""
