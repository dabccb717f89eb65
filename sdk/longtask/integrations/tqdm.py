"""tqdm that also reports: `from longtask.integrations.tqdm import tqdm, trange` replaces the import of tqdm's own."""

import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

import tqdm as original

from longtask.context import running


class _Nowhere:
    """A file for a bar that must not be visible: a bar that tqdm disables does not count."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


class tqdm(original.tqdm):  # type: ignore[type-arg]  # noqa: N801 - tqdm's own name
    """tqdm's class, which reports to ctx.progress in a task. Outside of a task it is plain tqdm.

    The outermost bar reports its count and total, its unit, its description as the message, and the numbers of
    set_postfix as metrics, whenever tqdm draws it. A bar with `disable=True` reports as well, without being drawn.
    """

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
        """As in tqdm: add `n` to the count. Reports when the bar is drawn, and returns whether it was."""
        drawn = super().update(n)
        if drawn:
            self._report()
        return drawn

    def set_postfix(
        self, ordered_dict: Mapping[str, object] | None = None, refresh: bool | None = True, **kwargs: object
    ) -> None:
        """As in tqdm; values that are not text are reported as metrics."""
        super().set_postfix(ordered_dict, refresh, **kwargs)
        postfix = {**(ordered_dict or {}), **kwargs}
        self._numbers = {name: value for name, value in postfix.items() if not isinstance(value, str)}
        self._report()

    def close(self) -> None:
        """As in tqdm, with a last report."""
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
    """A bar over `range(...)`, as in tqdm."""
    return tqdm(range(*arguments), **options)
