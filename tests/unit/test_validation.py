"""Validation in a worker process, with a time limit."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from longtask_api.parameters import InvalidParameters, ParameterError
from longtask_runtime.validation import ValidationTimeout, Validator

EPOCHS = {"type": "object", "properties": {"epochs": {"type": "integer", "default": 10}}}
BACKTRACKS = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}


@pytest_asyncio.fixture(scope="module")
async def validator() -> AsyncIterator[Validator]:
    """A worker process of half a second for each validation."""
    async with Validator(timeout=0.5) as started:
        yield started


async def test_the_worker_fills_in_defaults(validator: Validator) -> None:
    assert await validator.complete(EPOCHS, {}) == {"epochs": 10}


async def test_what_does_not_fit_comes_back_whole(validator: Validator) -> None:
    with pytest.raises(InvalidParameters) as caught:
        await validator.complete(EPOCHS, {"epochs": "x"})
    assert caught.value.errors == [ParameterError("epochs", "'x' is not of type 'integer'")]


async def test_how_a_value_does_not_fit_comes_back_with_its_place(validator: Validator) -> None:
    assert await validator.mismatches(EPOCHS, {"epochs": 1}) == []
    assert await validator.mismatches(EPOCHS, {"epochs": "x"}) == [
        ParameterError("epochs", "'x' is not of type 'integer'")
    ]


async def test_what_takes_for_ever_is_told_by_its_name(validator: Validator) -> None:
    with pytest.raises(ValidationTimeout, match=r"validating the answer took more than 0.5 s"):
        await validator.mismatches(BACKTRACKS, {"x": "a" * 60 + "!"}, "answer")


async def test_a_pattern_that_backtracks_for_ever_ends_and_the_next_validation_works(validator: Validator) -> None:
    with pytest.raises(ValidationTimeout, match=r"more than 0.5 s"):
        await validator.complete(BACKTRACKS, {"x": "a" * 60 + "!"})
    assert await validator.complete(EPOCHS, {"epochs": 3}) == {"epochs": 3}
