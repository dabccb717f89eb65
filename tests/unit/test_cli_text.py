"""What a terminal is shown: nothing that it would obey, in the columns that it has, with kubectl's times."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from longtask_cli.documents import listed, written
from longtask_cli.table import table
from longtask_cli.text import age, duration, escaped, fitted, is_unsafe, line, lines, padded, size, width

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt\u2066\u200b\ufeff\r\b\x00\x7f"
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("日本語 é ü 👩\u200d🚀", "日本語 é ü 👩\u200d🚀"),
        ("मन\u200dस", "मन\u200dस"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x9bb\x07", "a\\x9bb\\x07"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_message_is_one_line_and_a_log_keeps_its_lines_without_its_colours() -> None:
    assert line("one\n two\tthree\r\n") == "one two three"
    assert lines("\x1b[1;31mred\x1b[0m\r\n 10%\r 20%\tend\x1b[2J\n") == "red\n 10%\n 20%\tend\\x1b[2J\n"


@given(st.text())
def test_no_text_moves_the_cursor(text: str) -> None:
    for shown in (escaped(text), line(text), lines(text).replace("\n", "").replace("\t", "")):
        assert not OBEYED.search(shown)


@pytest.mark.parametrize("output", ["json", "yaml"])
async def test_documents_hold_no_character_that_a_terminal_obeys_and_mean_the_same(output: str) -> None:
    document = {"message": HOSTILE, "é": ["日本", "two\nlines\n", "1e3", "yes", None, True, 2**62]}

    async def documents() -> Any:
        yield document
        yield document

    whole = written(document, output)
    many = "".join([piece async for piece in listed(documents(), output)])
    read = json.loads if output == "json" else yaml.safe_load
    assert (read(whole), read(many)["items"]) == (document, [document, document])
    assert not OBEYED.search((whole + many).replace("\n", ""))
    assert "日本" in whole


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_no_character_is_written_that_is_not_shown(output: str) -> None:
    every = "".join(chr(code) for code in range(0x110000) if is_unsafe(chr(code)) and not 0xD800 <= code < 0xE000)
    text = written({"message": every}, output)
    assert not [each for each in text if is_unsafe(each, "\n")]
    assert (json.loads if output == "json" else yaml.safe_load)(text) == {"message": every}


@pytest.mark.parametrize("output", ["json", "yaml"])
async def test_an_empty_list_is_a_list(output: str) -> None:
    async def none() -> Any:
        for each in list[Any]():
            yield each

    text = "".join([piece async for piece in listed(none(), output)])
    assert yaml.safe_load(text) == {"apiVersion": "v1", "kind": "List", "items": []}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600 + 59 * 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (51 * 3600, "2d3h"),
        (8 * 86400 + 3600, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (3000 * 86400, "8y"),
    ],
)
def test_times_are_those_of_kubectl(seconds: int, shown: str) -> None:
    assert duration(timedelta(seconds=seconds)) == shown
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == shown


def test_an_unknown_time_is_called_so() -> None:
    assert age(None, datetime.now(UTC)) == "<unknown>"


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0"), (900, "900"), (1536, "1.5 KiB"), (12 * 2**20, "12 MiB"), (5 * 2**40, "5120 GiB")]
)
def test_sizes(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("ab", 0, ""),
    ],
)
def test_wide_characters_take_two_columns(text: str, columns: int, shown: str) -> None:
    assert fitted(text, columns) == shown
    assert width(fitted(text, columns)) <= columns


def test_columns_are_aligned_whatever_they_hold() -> None:
    rows = [["日本", "Running", "x" * 200], ["plain-name", "Failed", "\x1b[2J two\nlines"]]
    whole = [each.plain for each in table(["NAME", "PHASE", "MESSAGE"], rows)]
    assert whole == [
        f"{padded('NAME', 10)}   PHASE     MESSAGE",
        f"{padded('日本', 10)}   Running   {'x' * 200}",
        "plain-name   Failed    \\x1b[2J two lines",
    ]
    assert (
        len({width(each[: each.index(part)]) for each, part in zip(whole, ("PHASE", "Running", "Failed"), strict=True)})
        == 1
    )


def test_one_column_is_made_narrower_so_that_the_others_are_whole() -> None:
    head, row = table(["NAME", "PROGRESS", "AGE"], [["one", "x" * 100, "5m"]], 40, flexible=1)
    assert row.plain == f"one    {'x' * 26}…   5m"
    assert width(head.plain) <= 40


@pytest.mark.parametrize("columns", [5, 20, 40, 79])
def test_no_line_of_a_table_is_wider_than_the_terminal(columns: int) -> None:
    rows = [["日本" * 10, "Running", "x" * 200], ["plain-name", "Failed", "y"]]
    assert all(width(each.plain) <= columns for each in table(["NAME", "PHASE", "MESSAGE"], rows, columns))
