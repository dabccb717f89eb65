"""The end of a log, as it arrives in chunks."""

import pytest

from longtask_operator.planning.logs import LONGEST, LogTail, Matching, Tail

CHUNK_SIZES = (1, 2, 3, 7, 1000)
LIMIT = 10


def _tail(log: bytes, lines: int = 100, limit: int = LIMIT, size: int = 1000) -> LogTail:
    tail = Tail(lines, limit)
    for start in range(0, len(log), size):
        tail.add(log[start : start + size])
    return tail.end()


@pytest.mark.parametrize(
    ("log", "text", "truncated"),
    [
        pytest.param(b"", "", False, id="empty"),
        pytest.param(b"a\n", "a\n", False, id="short"),
        pytest.param(b"ab\n" * 3 + b"c", "ab\nab\nab\nc", False, id="just-fits"),
        pytest.param(b"ab\ncd\nefg\n", "ab\ncd\nefg\n", False, id="ends-with-a-line"),
        pytest.param(b"ab\ncd\nefgh\n", "cd\nefgh\n", True, id="one-byte-too-long"),
        pytest.param(b"ab\n123456789\n", "123456789\n", True, id="the-last-line-just-fits"),
        pytest.param(b"ab\n1234567890\n", "234567890\n", True, id="the-last-line-is-too-long"),
        pytest.param(b"12345678901", "2345678901", True, id="a-line-without-end"),
        pytest.param(b"\n" * 11, "\n" * 10, True, id="empty-lines"),
        pytest.param("ééééé€".encode(), "ééé€", True, id="no-half-character"),
        pytest.param("é".encode() * 5 + b"x", "éééé" + "x", True, id="none-of-two-bytes-either"),
        pytest.param(b"\x80" * 11, "\ufffd" * 10, True, id="bytes-that-are-no-text"),
        pytest.param(b"a\xff\n", "a\ufffd\n", False, id="one-byte-that-is-no-text"),
        pytest.param(b"a\rb\r\nc\n", "a\rb\r\nc\n", False, id="carriage-returns-are-kept"),
    ],
)
@pytest.mark.parametrize("size", CHUNK_SIZES)
def test_the_last_whole_lines_of_the_last_bytes_are_kept(log: bytes, text: str, truncated: bool, size: int) -> None:
    assert _tail(log, size=size) == LogTail(text, truncated)


@pytest.mark.parametrize(
    ("lines", "text", "truncated"),
    [(1, "c\n", True), (2, "b\nc\n", True), (3, "a\nb\nc\n", False), (4, "a\nb\nc\n", False)],
)
def test_there_are_at_most_so_many_lines(lines: int, text: str, truncated: bool) -> None:
    assert _tail(b"a\nb\nc\n", lines) == LogTail(text, truncated)


def test_a_last_line_without_its_end_is_a_line() -> None:
    assert _tail(b"a\nb\nc", 2) == LogTail("b\nc", truncated=True)


@pytest.mark.parametrize("log", [b"x" * 100_000, b"x\n" * 50_000, b"\n" * 100_000], ids=["one-line", "lines", "empty"])
def test_memory_does_not_grow_with_the_log(log: bytes) -> None:
    tail = Tail(100, 1000)
    for start in range(0, len(log), 100):
        tail.add(log[start : start + 100])
        assert len(tail._kept) <= 2000
    assert len(tail.end().text) <= 1000


@pytest.mark.parametrize("piece", [8192, 16384])
@pytest.mark.parametrize("limit", [20_000, 256 * 1024])
@pytest.mark.parametrize("lines", [1, 5])
def test_a_line_that_the_node_keeps_in_pieces_never_loses_its_beginning_unnoticed(
    piece: int, limit: int, lines: int
) -> None:
    asked = Tail(lines, limit).lines_to_ask_for
    whole = b"x" * (piece * 2 * asked)
    assert _tail(whole[-asked * piece :] + b"\n", lines, limit).truncated


@pytest.mark.parametrize("size", CHUNK_SIZES)
def test_only_lines_with_the_text_are_kept_whatever_their_case(size: int) -> None:
    log = "one\nTWO straße\nthree\r\ntwo".encode()
    matching, found = Matching("Two"), b""
    for start in range(0, len(log), size):
        found += matching.of(log[start : start + size])
    assert found + matching.end() == "TWO straße\ntwo".encode()
    again = Matching("STRASSE")
    assert again.of(log) == "TWO straße\n".encode()


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    matching = Matching("x")
    held = [len(matching._rest) for _ in range(100) if matching.of(b"a" * LONGEST) == b""]
    assert len(held) == 100
    assert max(held) < 2 * LONGEST
