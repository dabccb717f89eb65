"""An event loop whose clock jumps to whatever is due next: hours pass in milliseconds, and always alike."""

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


def until_idle(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main` on a clock that begins at 0. When nothing is left to happen, it is cancelled."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, _Loop)
        task = loop.create_task(main())
        loop.jumps.idle = task.cancel
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)


class _Jumps(selectors.SelectSelector):
    """Waits for nothing: the time that it should wait has passed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.idle: Callable[[], object] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if timeout is None and not ready:
            self.idle()
        elif timeout is not None and not ready:
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumps = _Jumps()
        super().__init__(self.jumps)

    def time(self) -> float:
        return self.jumps.now
