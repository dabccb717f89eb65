"""The sentence that says why a program failed: what real programs wrote when they failed, and what comes of it."""

import subprocess
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtask import failure as of_the_sdk
from longtask_operator.planning.failure_sentence import LEAVES, LINE_LIMIT, failure_sentence, own_message

OUTPUTS = Path(__file__).parent / "failing"
"""`recorded`: by `make record-failures`. `typed`: of what is not installed here."""

SENTENCES = dict(line.split(": ", 1) for line in (OUTPUTS / "sentences.txt").read_text().splitlines())
"""Of each output, the sentence: `folder/name: sentence`."""


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence_is_the_cause_and_not_what_stands_last(name: str) -> None:
    assert failure_sentence((OUTPUTS / f"{name}.txt").read_text()) == SENTENCES[name]


def test_each_output_has_its_sentence() -> None:
    assert {str(path.relative_to(OUTPUTS).with_suffix("")) for path in OUTPUTS.glob("*/*.txt")} == SENTENCES.keys()


@pytest.mark.parametrize("name", SENTENCES)
def test_colours_and_other_ends_of_lines_change_nothing(name: str) -> None:
    lines = (OUTPUTS / f"{name}.txt").read_text().split("\n")
    coloured = "\r\n".join(f"\x1b[31m{line}\x1b[0m" if line.strip() else line for line in lines)
    assert failure_sentence(coloured) == SENTENCES[name]


def _raised(error: BaseException) -> BaseException:
    """The error as `longtask run` catches it."""
    try:
        raise error
    except BaseException as raised:
        return raised


def _chain() -> BaseException:
    try:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as error:
            raise RuntimeError("cannot load order 7") from error
    except RuntimeError as raised:
        return raised


def _with_note() -> BaseException:
    error = ValueError("bad row")
    error.add_note("row 12 of orders.csv")
    return _raised(error)


def _command(script: str, *, cause: bool = False) -> BaseException:
    """A command that fails, and whose output is captured: Python tells of it nowhere."""
    try:
        try:
            subprocess.run(["sh", "-c", script], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            if not cause:
                raise
            raise RuntimeError("cannot deploy") from error
    except (subprocess.SubprocessError, RuntimeError) as raised:
        return raised
    pytest.fail("nothing was raised")


GPU = "echo 1 >&2; echo 'fatal: GPU 0 not found' >&2; exit 7"
MUCH = f"seq 1000 9999 >&2; {GPU}"
QUIET = "echo no GPU here; exit 7"
SAID = {
    script: f"subprocess.CalledProcessError: Command '{['sh', '-c', script]}' returned non-zero exit status 7."
    for script in (GPU, MUCH, QUIET)
}

OF_THE_SDK: dict[str, tuple[BaseException, str]] = {
    "plain": (_raised(ValueError("no rows")), "ValueError: no rows"),
    "without a message": (_raised(KeyError()), "KeyError (test_failure_sentence.py, line {line}: raise error)"),
    "several lines": (_raised(ValueError("bad plan:\nstep 1\nstep 2")), "ValueError: bad plan: step 1; step 2"),
    "note": (_with_note(), "ValueError: bad row; row 12 of orders.csv"),
    "chain": (
        _chain(),
        "RuntimeError: cannot load order 7 (caused by ConnectionRefusedError: [Errno 111] Connection refused)",
    ),
    "group": (
        _raised(ExceptionGroup("two shards", [ValueError("a"), OSError("b")])),
        "ExceptionGroup: two shards (2 sub-exceptions): ValueError: a; OSError: b",
    ),
    "command": (_command(GPU), f"fatal: GPU 0 not found ({SAID[GPU]})"),
    "command that wrote no error": (_command(QUIET), f"{SAID[QUIET]} (it wrote: no GPU here)"),
    "command that wrote much": (_command(MUCH), f"fatal: GPU 0 not found ({SAID[MUCH]})"),
    "command that caused another": (
        _command(GPU, cause=True),
        f"fatal: GPU 0 not found (RuntimeError: cannot deploy (caused by {SAID[GPU]}))",
    ),
    "command that took too long": (
        _raised(subprocess.TimeoutExpired("fetch", 5, stderr=b"waiting for rows\n")),
        "subprocess.TimeoutExpired: Command 'fetch' timed out after 5 seconds (it wrote: waiting for rows)",
    ),
}


@pytest.mark.parametrize("after", ["", "longtask: the last progress was not sent\n"], ids=["", "then a notice"])
@pytest.mark.parametrize("limit", [1500, 250], ids=["whole", "cut"])
@pytest.mark.parametrize("name", OF_THE_SDK)
def test_the_failure_of_a_function_is_read_from_what_the_sdk_leaves(name: str, limit: int, after: str) -> None:
    error, expected = OF_THE_SDK[name]
    log = f"epoch 1\n{of_the_sdk.readable(error)}\n{after}"
    line = error.__traceback__.tb_lineno if error.__traceback__ else 0
    assert own_message(of_the_sdk.tail(error, limit), log) == expected.format(line=line)


@pytest.mark.parametrize(
    ("message", "log", "expected"),
    [
        ("disk full", "Traceback (most recent call last):\n  File \"a\", line 1\nKeyError: 'a'\n", "disk full"),
        ("disk full\non /data", "epoch 1\n", "disk full\non /data"),
        ("disk full\non /data", "read rows from /data\n", "disk full\non /data"),
        ("disk full\non /data", None, "on /data"),
        ("", "epoch 1\ndisk full\n", "disk full"),
        ("epoch 1\ndisk full", "epoch 0\nepoch 1\ndisk full\n", "disk full"),
        (
            "goroutine 1 [running]:\nexit status 2",
            "panic: no rows\n\ngoroutine 1 [running]:\nexit status 2\n",
            "panic: no rows",
        ),
        ("", None, ""),
    ],
    ids=[
        "own",
        "own in lines",
        "own that looks like the log",
        "own alone",
        "log",
        "of the log",
        "of a cut log",
        "none",
    ],
)
def test_the_works_own_words_come_first(message: str, log: str | None, expected: str) -> None:
    assert own_message(message, log) == expected


_PARTS = st.sampled_from(
    [path.read_text() for path in sorted(OUTPUTS.glob("*/*.txt"))]
    + ["\n", "\r", "{", "[", '"', "x" * 5000, "é\ud800", "\x1b["]
)


@given(st.lists(_PARTS | st.text(max_size=40), max_size=6).map("".join))
def test_whatever_was_written_comes_out_as_one_short_line(log: str) -> None:
    sentence = failure_sentence(log)
    assert len(sentence) <= LINE_LIMIT
    assert "\n" not in sentence


@given(st.lists(st.from_regex(r"[a-z]{1,5} [a-z]{1,9}", fullmatch=True), min_size=1, max_size=9))
def test_of_a_program_of_no_known_form_it_is_a_line_at_the_end(lines: list[str]) -> None:
    written: Any = failure_sentence("\n".join(lines))
    assert written in lines


@pytest.mark.parametrize(("errors", "more"), [(LEAVES, ""), (LEAVES + 3, "; and 3 more")])
def test_a_group_names_some_of_its_errors_and_counts_the_others(errors: int, more: str) -> None:
    group = ExceptionGroup("some rows are bad", [ValueError(f"row {number}") for number in range(errors)])
    text = "".join(traceback.format_exception(group))
    rows = "; ".join(f"ValueError: row {number}" for number in range(LEAVES))
    assert failure_sentence(text) == f"ExceptionGroup: some rows are bad ({errors} sub-exceptions): {rows}{more}"
