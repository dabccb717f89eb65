"""How the leader's queue takes the steps of tasks."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from longtask_operator.cache import Cache
from longtask_operator.controller import Controller
from tests.unit import given
from tests.unit.virtual_time import until_idle


def test_what_a_task_that_is_gone_has_left_behind_is_looked_at_again() -> None:
    """And that no task is known yet for pods that are left behind need not mean that it is gone."""
    looked: list[float] = []

    class Reconciler:
        async def reconcile(self, uid: str) -> float | None:
            looked.append(asyncio.get_running_loop().time())
            return 10.0 if len(looked) == 1 else None

        def term_is_over(self) -> None:
            pass

    async def main() -> None:
        others = cast(Any, SimpleNamespace(consider=lambda name: None))
        controller = Controller(Cache(), cast(Any, Reconciler()), others, others, others, 1)
        await controller.run([("task", given.TASK_UID)])

    until_idle(main)
    assert looked == [0, 10]
