"""The end of a log, in whole lines. Pure."""

from dataclasses import dataclass
from typing import Final

LEAST_CHUNK: Final = 8 * 1024
"""A longer line may stand in the node's log file in several pieces, each of which `tailLines` counts as a line
(containerd cuts at 16 KiB, CRI-O at 8 KiB)."""


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a log; `truncated`: there was more before it."""

    text: str
    truncated: bool


class Tail:
    """Takes a log as it arrives and keeps its end, in memory of about twice `limit` bytes."""

    def __init__(self, lines: int, limit: int) -> None:
        """Keeps at most the last `lines` lines of the last `limit` bytes."""
        self._lines = lines
        self._limit = limit
        self._kept = bytearray()
        self._dropped = False

    @property
    def lines_to_ask_for(self) -> int:
        """Enough to see whether there are more lines, and that a line which comes without its beginning is cut off."""
        return self._lines + self._limit // LEAST_CHUNK + 2

    def add(self, chunk: bytes) -> None:
        """What comes next."""
        self._kept += chunk
        if len(self._kept) > 2 * self._limit:
            # The byte before the limit tells whether a line begins there.
            del self._kept[: -self._limit - 1]
            self._dropped = True

    def end(self) -> LogTail:
        """The end of what came. Where a line alone is longer than the limit, its end, from a whole character on."""
        start = max(0, len(self._kept) - self._limit)
        if start > 0:
            newline = self._kept.find(b"\n", start - 1, -1)
            start = newline + 1 if newline >= 0 else self._next_character(start)
        start = self._last_lines(start)
        text = self._kept[start:].decode("utf-8", errors="replace")
        return LogTail(text, truncated=self._dropped or start > 0)

    def _next_character(self, start: int) -> int:
        for position in range(start, min(start + 4, len(self._kept))):
            if self._kept[position] & 0b1100_0000 != 0b1000_0000:  # no continuation byte of UTF-8
                return position
        return start

    def _last_lines(self, start: int) -> int:
        newline = len(self._kept) - self._kept.endswith(b"\n")
        for _ in range(self._lines):
            newline = self._kept.rfind(b"\n", start, newline)
            if newline < 0:
                return start
        return newline + 1
