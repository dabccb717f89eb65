"""Pages of large texts, of the same number of bytes, cut between characters. Pure.

A border is at a multiple of PAGE_BYTES in the UTF-8 text, or at the next start of a character after it. So a page can
be cut from its own bytes and the few that follow.
"""

from dataclasses import dataclass

from longtask_mcp.contract.errors import BadArguments, Problem

PAGE_BYTES = 10_000
"""An answer has a page twice, in its text and in its JSON: some clients show their model only the one or the other."""
FOLLOWING = 3
"""Bytes of a UTF-8 character after its first (RFC 3629, section 3)."""


@dataclass(frozen=True)
class Page:
    """Page `number` of `pages`, counted from 1."""

    text: str
    number: int
    pages: int


def window(number: int) -> tuple[int, int]:
    """First and last byte to read for page `number`, both inclusive; the last may be beyond the end."""
    start = (number - 1) * PAGE_BYTES
    return start, start + PAGE_BYTES + FOLLOWING - 1


def page(read: bytes, size: int, number: int) -> Page:
    """Page `number` of a text of `size` bytes, from the bytes of its window. The joined pages are the text.

    Raises BadArguments for a page that does not exist, and UnicodeDecodeError for content that is not UTF-8.
    """
    pages = max(1, -(-size // PAGE_BYTES))
    if number > pages:
        raise BadArguments(
            Problem("page", f"{number} is out of range; there {'are' if pages > 1 else 'is'} {_counted(pages)}.")
        )
    begin = _character(read, 0) if number > 1 else 0
    return Page(read[begin : _character(read, PAGE_BYTES)].decode(), number, pages)


def page_of(text: str, number: int) -> Page:
    """Page `number` of a text in memory. Raises BadArguments for a page that does not exist."""
    content = text.encode()
    first, last = window(number)
    return page(content[first : last + 1], len(content), number)


def _character(read: bytes, at: int) -> int:
    """Offset of the first start of a character at `at` or after it."""
    following = 0
    while following < FOLLOWING and at + following < len(read) and read[at + following] & 0xC0 == 0x80:
        following += 1
    return at + following


def _counted(pages: int) -> str:
    return f"{pages} page{'s' * (pages > 1)}"
