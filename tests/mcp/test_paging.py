"""Large texts in parts."""

import pytest

from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.paging import PAGE_BYTES, Page, page, page_of, window

P = PAGE_BYTES
TEXTS = {
    "empty": "",
    "one character": "x",
    "just one part": "x" * P,
    "one byte more": "x" * (P + 1),
    "just two parts": "x" * (2 * P),
    "two bytes each": "é" * P,
    "three bytes each": "€" * P,
    "four bytes each": "😀" * P,
    "four bytes, one off": "x" + "😀" * P,
    "four bytes, two off": "xx" + "😀" * P,
    "four bytes, three off": "xxx" + "😀" * P,
    "a border inside the last character": "x" * (P - 1) + "😀",
    "lines": "line\r\n" * P,
}
by_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def fetched(content: bytes, number: int) -> Page:
    """Part `number` from no more bytes than its window."""
    first, last = window(number)
    return page(content[first : last + 1], len(content), number)


@by_text
def test_the_parts_joined_are_the_text_byte_for_byte(text: str) -> None:
    parts = [page_of(text, number + 1) for number in range(page_of(text, 1).pages)]
    assert "".join(part.text for part in parts).encode() == text.encode()
    assert [(part.number, part.pages) for part in parts] == [(n + 1, len(parts)) for n in range(len(parts))]
    assert len(parts) == max(1, -(-len(text.encode()) // P))


@by_text
def test_a_part_fetched_alone_is_the_part_of_the_whole(text: str) -> None:
    for number in range(1, page_of(text, 1).pages + 1):
        assert fetched(text.encode(), number) == page_of(text, number)


@by_text
def test_a_border_moves_by_no_more_than_a_character(text: str) -> None:
    for number in range(1, page_of(text, 1).pages):
        assert P - 3 <= len(page_of(text, number).text.encode()) <= P + 3


@pytest.mark.parametrize(
    ("size", "number", "told"),
    [
        (0, 2, "page: 2 is out of range; there is 1 page."),
        (P, 2, "page: 2 is out of range; there is 1 page."),
        (P + 1, 3, "page: 3 is out of range; there are 2 pages."),
        (P, 10**9, "page: 1000000000 is out of range; there is 1 page."),
    ],
)
def test_a_part_that_there_is_not_is_an_error(size: int, number: int, told: str) -> None:
    with pytest.raises(BadArguments) as caught:
        page_of("x" * size, number)
    assert str(caught.value) == told


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x80" * (2 * P), b"x" * P + b"\x80" * 9, b"\x00\xc3", b"\x80abc"])
def test_what_is_no_text_is_told_apart(content: bytes) -> None:
    pages = range(1, -(-len(content) // P) + 1)
    assert all(_is_text(content, number) is False for number in pages if content[(number - 1) * P] > 0x7F)
    assert not all(_is_text(content, number) for number in pages)


def _is_text(content: bytes, number: int) -> bool:
    try:
        fetched(content, number)
    except UnicodeDecodeError:
        return False
    return True
