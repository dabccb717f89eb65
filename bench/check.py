"""Whether a task costs more than the stored figures say. Only ratios are compared that do not depend on the machine."""

from collections.abc import Mapping
from typing import Any

TASKS = 200
TOLERATED = 1.25
RATIOS = {
    "writes_per_task": "writes of the operator a task",
    "reads_per_task": "reads of the operator a task",
    "operator_cpu_to_floor": "CPU of the operator a task, to that of all servers for a task of the floor",
}


def worse(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has become worse by more than a quarter, as messages; `before` and `now` are of reconcile.measure_short."""
    return [
        f"{what}: {now[name]}, was {before[name]}"
        for name, what in RATIOS.items()
        if now[name] > before[name] * TOLERATED
    ]
