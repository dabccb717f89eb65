"""Keeps the end of a log, or of the lines in it that are wanted, in whole lines. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

LEAST_CHUNK: Final = 8 * 1024
"""Bytes. The node's log file may store a longer line in several pieces, each of which `tailLines` counts as a line
(containerd splits at 16 KiB, CRI-O at 8 KiB)."""


SEARCHED_LINES: Final = 100_000
"""Lines from the end of a log that are searched for a text."""
LONGEST: Final = 64 * 1024
"""Bytes of a line that are searched and kept as one; a longer one is taken in parts of at least this size."""
LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines of a log are wanted: those written since a time, those that contain a text (in any case)."""

    since: datetime | None = None
    contains: str | None = None


class Matching:
    """Takes a log in chunks and gives the lines that contain a text, whatever their case. A plain search: no pattern
    can make it slow.
    """

    def __init__(self, text: str) -> None:
        self._text = text.casefold()
        self._rest = bytearray()

    def of(self, chunk: bytes) -> bytes:
        """The wanted lines that this chunk completes."""
        self._rest += chunk
        end = self._rest.rfind(b"\n") + 1
        if not end and len(self._rest) >= LONGEST:
            end = len(self._rest)
        lines = bytes(self._rest[:end])
        del self._rest[:end]
        return self._wanted(lines)

    def end(self) -> bytes:
        """The last line, if it has no end and is wanted."""
        return self._wanted(bytes(self._rest))

    def _wanted(self, lines: bytes) -> bytes:
        return b"".join(
            line for line in LINE.findall(lines) if self._text in line.decode("utf-8", errors="replace").casefold()
        )


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a log; `truncated` if there was more before it."""

    text: str
    truncated: bool


class Tail:
    """Takes a log in chunks and keeps its end; uses up to about twice `limit` bytes of memory."""

    def __init__(self, lines: int, limit: int) -> None:
        """Keep at most the last `lines` lines of the last `limit` bytes."""
        self._lines = lines
        self._limit = limit
        self._kept = bytearray()
        self._dropped = False

    @property
    def lines_to_ask_for(self) -> int:
        """Lines to request: enough to see whether there are more, and to drop a line without its beginning."""
        return self._lines + self._limit // LEAST_CHUNK + 2

    def add(self, chunk: bytes) -> None:
        """Append the next chunk."""
        self._kept += chunk
        if len(self._kept) > 2 * self._limit:
            # Keep one byte before the limit, to see whether a line begins there.
            del self._kept[: -self._limit - 1]
            self._dropped = True

    def end(self) -> LogTail:
        """Return the end of the log. A single line longer than the limit is cut at a character boundary."""
        start = max(0, len(self._kept) - self._limit)
        if start > 0:
            newline = self._kept.find(b"\n", start - 1, -1)
            start = newline + 1 if newline >= 0 else self._next_character(start)
        start = self._last_lines(start)
        text = self._kept[start:].decode("utf-8", errors="replace")
        return LogTail(text, truncated=self._dropped or start > 0)

    def _next_character(self, start: int) -> int:
        for position in range(start, min(start + 4, len(self._kept))):
            if self._kept[position] & 0b1100_0000 != 0b1000_0000:  # not a UTF-8 continuation byte
                return position
        return start

    def _last_lines(self, start: int) -> int:
        newline = len(self._kept) - self._kept.endswith(b"\n")
        for _ in range(self._lines):
            newline = self._kept.rfind(b"\n", start, newline)
            if newline < 0:
                return start
        return newline + 1
