"""Tracebacks as people read them."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import longtask
from longtask.ending import _place
from longtask.failure import readable, tail
from longtask.target import TargetError, load
from tests.sdk import work


def raised(function: Callable[[], Any]) -> BaseException:
    """What a function raises."""
    try:
        function()
    except BaseException as error:
        return error
    pytest.fail("nothing was raised")


def with_text(text: str) -> BaseException:
    def fail() -> None:
        raise ValueError(text)

    return raised(fail)


def test_frames_of_the_sdk_are_left_out() -> None:
    @longtask.task
    def failing(ctx: longtask.Context) -> None:
        ctx.checkpoint(object())

    text = readable(raised(failing.local))
    assert "in failing" in text
    assert "sdk/longtask" not in text
    assert text.splitlines()[-1].startswith("longtask.encode.Unencodable: checkpoint is a object")


def beside(code: str) -> dict[str, Any]:
    """What the code of a package defines that lies beside the SDK and has its name's beginning."""
    defined: dict[str, Any] = {}
    exec(compile(code, f"{Path(longtask.__file__).parent}_jobs/work.py", "exec"), defined)
    return defined


def test_a_package_whose_name_begins_like_the_sdks_is_the_authors() -> None:
    function = beside("def fail(ctx, row: int):\n    return 1 / row\n")["fail"]
    text = readable(raised(lambda: longtask.task(function).local(row=0)))
    assert "longtask_jobs/work.py" in text


def test_where_a_thread_of_such_a_package_stands_is_told() -> None:
    frame = beside("import sys\nframe = sys._getframe()\n")["frame"]
    assert "longtask_jobs/work.py:2" in _place(frame)


def test_where_the_import_of_such_a_package_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_beside.py").write_text("from tests.sdk.test_failure import beside\nbeside('1 / 0')\n")
    with pytest.raises(TargetError, match=r"longtask_jobs/work\.py:1\): its own code fails while it is imported"):
        load("failing_beside:work")


def test_the_last_line_is_the_exception() -> None:
    assert tail(raised(lambda: work.price(17))).splitlines()[-1] == "ValueError: row 17 has no price"


def test_causes_are_kept_and_cleaned_too() -> None:
    def fail() -> None:
        try:
            longtask.task(work.price).local(row=1)
        except ValueError as error:
            raise RuntimeError("no table") from error

    text = readable(raised(fail))
    assert "ValueError: row 1 has no price" in text
    assert "direct cause" in text
    assert "sdk/longtask" not in text


def test_a_chain_of_causes_that_is_longer_than_python_calls_deep_keeps_its_end() -> None:
    error: BaseException = ValueError("row 17 has no price")
    for number in range(2000):
        error, cause = RuntimeError(f"try {number}"), error
        error.__cause__ = cause
    assert tail(error).endswith("RuntimeError: try 1999")
    assert readable(error).startswith("ValueError: row 17 has no price\n")


def test_a_group_shows_what_is_in_it() -> None:
    async def fail() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(work.price, 3))

    assert "ValueError: row 3 has no price" in tail(raised(lambda: asyncio.run(fail())))


def test_a_long_traceback_keeps_its_end_from_the_beginning_of_a_line() -> None:
    def deep(levels: int) -> None:
        if levels == 0:
            raise ValueError("row 17 has no price")
        shallow(levels - 1)

    def shallow(levels: int) -> None:
        deep(levels)

    error = raised(lambda: deep(40))
    text = tail(error)
    assert len(text.encode()) <= 1500
    lines = text.splitlines()
    assert lines[0] == "..."
    assert lines[-1] == "ValueError: row 17 has no price"
    assert len(lines) > 10
    assert set(lines[1:]) <= set(readable(error).splitlines())


@pytest.mark.parametrize("text", ["x" * 5000, "ü🙂" * 2000, "\n".join(f"line {n}" for n in range(900))])
def test_a_long_text_keeps_the_name_of_the_exception_and_its_end(text: str) -> None:
    found = tail(with_text(text))
    assert len(found.encode()) <= 1500
    assert "ValueError: " in found
    assert found.endswith(text[-20:])
    assert "bytes left out" in found


def test_no_nul_reaches_the_status_of_a_pod() -> None:
    assert tail(with_text("a\0b")).endswith("ValueError: a\\0b")


def test_what_a_captured_command_wrote_is_told_below_the_traceback_and_kept_in_its_end() -> None:
    script = "echo loading; echo 'fatal: GPU 0 not found' >&2; exit 7"
    error = raised(lambda: subprocess.run(["sh", "-c", script], check=True, capture_output=True))
    told = "\nits stdout ended with:\n  loading\nits stderr ended with:\n  fatal: GPU 0 not found"
    assert readable(error).endswith(f"returned non-zero exit status 7.{told}")
    assert tail(error).endswith(told)
    assert tail(error, 300).endswith("  fatal: GPU 0 not found")


def test_of_what_a_command_wrote_the_end_is_told() -> None:
    error = raised(lambda: subprocess.run(["sh", "-c", "seq 9999 >&2; exit 7"], check=True, stderr=subprocess.PIPE))
    told = readable(error).partition("its stderr ended with:\n")[2].splitlines()
    assert (told[0], told[-1]) == ("  9950", "  9999")
