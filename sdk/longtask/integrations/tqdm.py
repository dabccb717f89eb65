"""tqdm that also reports: `from longtask.integrations.tqdm import tqdm, trange` in place of tqdm's own."""

import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

import tqdm as original

from longtask.context import running


class _Nowhere:
    """A file for a bar that is not to be seen: tqdm does not count what it is told to disable."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


class tqdm(original.tqdm):  # type: ignore[type-arg]  # noqa: N801 - tqdm's own name
    """tqdm's class. In a task the outermost bar tells ctx.progress what it counts, its unit, its description as the
    message and the numbers of set_postfix as metrics, whenever tqdm draws it; also where it is disabled, unseen then.
    Outside of a task it is tqdm as it is."""

    _outermost: ClassVar["weakref.ref[tqdm] | None"] = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._numbers: dict[str, Any] = {}
        self._context = running()
        super().__init__(*arguments, **options)
        if self._context is None:
            return
        if self.disable:
            super().__init__(*arguments, **{**options, "disable": False, "file": _Nowhere()})
        if tqdm._outermost is None or tqdm._outermost() is None:
            tqdm._outermost = weakref.ref(self)
            self._report()

    def update(self, n: float | None = 1) -> bool | None:
        drawn = super().update(n)
        if drawn:
            self._report()
        return drawn

    def set_postfix(
        self, ordered_dict: Mapping[str, object] | None = None, refresh: bool | None = True, **kwargs: object
    ) -> None:
        super().set_postfix(ordered_dict, refresh, **kwargs)
        postfix = {**(ordered_dict or {}), **kwargs}
        self._numbers = {name: value for name, value in postfix.items() if not isinstance(value, str)}
        self._report()

    def close(self) -> None:
        super().close()
        self._report()
        if self._is_outermost:
            tqdm._outermost = None

    @property
    def _is_outermost(self) -> bool:
        return tqdm._outermost is not None and tqdm._outermost() is self

    def _report(self) -> None:
        if self._is_outermost and self._context is not None:
            message = (self.desc or "").removesuffix(": ") or None
            unit = (self.unit or "").strip() or None
            self._context.progress(self.n, self.total, message, unit=unit, metrics=self._numbers)


def trange(*arguments: Any, **options: Any) -> tqdm:
    """A bar over range(...)."""
    return tqdm(range(*arguments), **options)
