"""@longtask.task: what becomes a task, and how it is called at home."""

import asyncio
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import longtask
from longtask.testing import recording
from tests.sdk import work


def test_a_task_runs_locally_and_gives_the_plain_value() -> None:
    assert work.train.local(epochs=3) == work.Report(0.25, 3)


def test_a_task_is_called_as_the_function_is() -> None:
    assert work.train(3) == work.Report(0.25, 3)
    assert work.say("x") == "x"


def test_an_async_task_gives_its_value_locally_and_is_awaited_when_called() -> None:
    assert work.wait_a_moment.local() == 7
    assert asyncio.run(work.wait_a_moment()) == 7


def test_what_a_task_raises_passes_through() -> None:
    with pytest.raises(ValueError, match="row 17 has no price"):
        work.fail.local()


def test_a_context_by_annotation_is_no_parameter() -> None:
    @longtask.task
    def named(context: longtask.Context, a: int) -> int:
        context.progress(a)
        return a

    assert named.local(a=3) == 3
    assert named(4) == 4


def test_a_task_within_a_task_tells_the_same_context() -> None:
    @longtask.task
    def outer(ctx: longtask.Context) -> None:
        work.train(1)
        ctx.progress(5)

    with recording() as told:
        outer()
    assert [report["current"] for report in told.reports] == [1, 5]


def test_who_gives_a_task_its_context_is_told_to_leave_it_out() -> None:
    with recording():
        for call in (
            lambda: work.square(longtask.current(), 3),  # type: ignore[call-arg, arg-type]
            lambda: work.square(ctx=longtask.current(), number=3),  # type: ignore[call-arg]
            lambda: work.wait_a_moment(longtask.current()),  # type: ignore[call-arg]
        ):
            with pytest.raises(TypeError, match="is a task, and gets its context by itself: leave it out"):
                call()


def test_options_say_what_the_tool_is_called() -> None:
    @longtask.task(name="model-training", title="Model Training", description="Trains a model.")
    def train(epochs: int = 1) -> int:
        return epochs

    assert (train.signature.name, train.signature.title) == ("model-training", "Model Training")
    assert train.signature.description == "Trains a model."
    assert train.local(epochs=2) == 2


def test_without_options_the_function_says_it() -> None:
    assert (work.train.signature.name, work.train.signature.description) == ("train", "Trains.")
    assert work.train.__doc__ == "Trains."


def generator(ctx: longtask.Context) -> Any:
    yield 1


async def async_generator(ctx: longtask.Context) -> Any:
    yield 1


@pytest.mark.parametrize("function", [generator, async_generator])
def test_a_generator_is_refused_with_a_pointer_to_progress(function: Any) -> None:
    with pytest.raises(TypeError, match=rf"{function.__name__} is a generator.*ctx\.progress"):
        longtask.task(function)


@pytest.mark.parametrize("thing", [work.Report, 3])
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="above a def"):
        longtask.task(thing)


def test_outside_of_a_task_there_is_no_context() -> None:
    with pytest.raises(LookupError, match="no task runs here"):
        longtask.current()


def test_threads_of_a_test_do_not_share_a_context() -> None:
    found: list[Any] = []

    def look() -> None:
        try:
            found.append(longtask.current())
        except LookupError as error:
            found.append(error)

    with recording():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert isinstance(found[0], LookupError)


def test_a_task_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(work.train)) is work.train


def test_a_context_is_pickled_as_the_context_that_runs_where_it_arrives() -> None:
    with recording() as told:
        pickle.loads(pickle.dumps(longtask.current().progress))(3)
        assert pickle.loads(pickle.dumps(longtask.current())) is longtask.current()
        pickled = pickle.dumps(longtask.current())
    assert told.reports == [{"current": 3}]
    with pytest.raises(LookupError, match="no task runs here"):
        pickle.loads(pickled)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_processes_of_a_test_have_a_context_that_reports_nothing(method: Any) -> None:
    with recording() as told, ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(work.part, 1).result() == 1
    assert told.reports == []
