"""What is large is checked in a thread, and all the rest at once."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from longtask_api.checking import Mismatch
from longtask_api.parameters import InvalidParameters
from longtask_runtime.validation import Validator

EPOCHS = {"type": "object", "properties": {"epochs": {"type": "integer", "default": 10}}}


@pytest.fixture
def validator() -> Iterator[Validator]:
    with Validator() as made:
        yield made


async def test_defaults_are_filled_in(validator: Validator) -> None:
    assert await validator.complete(EPOCHS, {}) == {"epochs": 10}


@pytest.mark.parametrize("value", ["x", "x" * 20_000], ids=["small", "large"])
async def test_what_does_not_fit_is_told_with_its_place(validator: Validator, value: str) -> None:
    with pytest.raises(InvalidParameters) as caught:
        await validator.complete(EPOCHS, {"epochs": value})
    assert [error.path for error in caught.value.errors] == ["epochs"]
    assert [error.path for error in await validator.mismatches(EPOCHS, {"epochs": value})] == ["epochs"]


async def test_a_value_that_fits_has_no_mismatches(validator: Validator) -> None:
    assert await validator.mismatches(EPOCHS, {"epochs": 1}) == []


async def test_a_large_value_waits_for_the_one_before_it_and_the_loop_for_none(validator: Validator) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def long() -> str:
        begun.set()
        go_on.wait(10)
        return "first"

    first = asyncio.create_task(validator.run(long))
    await asyncio.to_thread(begun.wait, 10)
    large: Any = {"epochs": [0] * 2000}
    second = asyncio.create_task(validator.mismatches(EPOCHS, large))
    assert await validator.mismatches(EPOCHS, {"epochs": 1}) == []
    assert not first.done()
    assert not second.done()
    go_on.set()
    assert await first == "first"
    assert await second == [Mismatch("epochs", f'[{"0, " * 33}... (6000 characters) is not of type "integer"')]
