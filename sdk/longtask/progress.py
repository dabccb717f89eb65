"""Merges the progress calls of the work into one report."""

import math
import re
from collections.abc import Mapping
from typing import Any

from longtask.stderr_log import notice_once

MAX_MESSAGE, MAX_UNIT, MAX_METRICS = 1024, 32, 32
"""Limits of the task API: characters of the message and of the unit, number of metrics."""
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,62}")

Number = int | float


class Progress:
    """The progress so far. Takes any values and never raises: a number that is not finite is dropped with a notice."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}
        self._metrics: dict[str, Number] = {}

    def tell(
        self, *, fraction: Any, current: Any, total: Any, message: Any, unit: Any, metrics: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Merge the arguments that are not None; returns the whole report, as the task API takes it."""
        counted = {"current": number(current, "current"), "total": number(total, "total")}
        share = number(fraction, "fraction")
        if unit is not None and (unit := _cut(unit, MAX_UNIT)) != self._state.get("unit"):
            self._forget("fraction", "current", "total")
        if share is not None:
            self._forget("current", "total")
            share = min(max(share, 0), 1)
        elif any(each is not None for each in counted.values()):
            self._forget("fraction")
        text = None if message is None else _cut(message, MAX_MESSAGE)
        told = {**counted, "fraction": share, "message": text, "unit": unit}
        self._state |= {key: value for key, value in told.items() if value is not None}
        self._measure(metrics)
        return {**self._state, **({"metrics": dict(self._metrics)} if self._metrics else {})}

    def _forget(self, *names: str) -> None:
        for name in names:
            self._state.pop(name, None)

    def _measure(self, metrics: Any) -> None:
        try:
            given = dict(metrics or {})
        except (TypeError, ValueError):
            notice_once(f"metrics of a progress are left out: {type(metrics).__name__} is no dict of numbers")
            return
        for name, value in given.items():
            measured = number(value, f"metric {name}")
            if measured is None:
                continue
            if not isinstance(name, str) or not _METRIC.fullmatch(name):
                notice_once(
                    f"metric {name!r} is left out: a name has at most 63 of A-Z a-z 0-9 _ . / -, a letter first"
                )
            elif name not in self._metrics and len(self._metrics) >= MAX_METRICS:
                notice_once(f"metric {name} is left out: a task has at most {MAX_METRICS}")
            else:
                self._metrics[name] = measured


def number(value: Any, name: str) -> Number | None:
    """A finite number, also from numpy and similar types; None for None, and with a notice for anything else."""
    if value is None:
        return None
    try:
        found: Number = int(value) if isinstance(value, int) else float(value)
        if math.isfinite(found):
            return found
    except Exception:  # noqa: S110 - types of the work may raise anything
        pass
    notice_once(f"{name} of a progress is left out where it is no finite number")
    return None


def _cut(text: Any, limit: int) -> str:
    whole = str(text).encode("utf-8", "replace").decode()
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"
