"""Incoming bytes: buffered, counted, hashed, and refused above a limit."""

import hashlib
from collections.abc import AsyncIterator, Callable

from longtask_operator.store.errors import DigestMismatch, TooLarge


class HashingStream:
    """A stream, with the size and SHA-256 of the bytes received so far."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        expected: str | None,
        limit: int,
        too_large: Callable[[], TooLarge],
        let_go: Callable[[int], None],
    ) -> None:
        """`expected` is the SHA-256 (hex digits) to check, `limit` the largest size in bytes. `let_go` is called with
        each number of bytes that is no longer needed.
        """
        self.size = 0
        self.expected = expected
        self._chunks = chunks
        self._limit = limit
        self._too_large = too_large
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._let_go = let_go
        self._given_out = 0

    async def ahead(self, size: int) -> int:
        """Buffer at least `size` bytes, unless the stream ends before. Returns the number of buffered bytes.

        Raises TooLarge as soon as the stream has more bytes than the limit, and whatever the stream raises.
        """
        self._let_go(self._given_out)
        self._given_out = 0
        while len(self._buffer) < size:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            self.size += len(chunk)
            if self.size > self._limit:
                raise self._too_large()
            self._digest.update(chunk)
            self._buffer += chunk
        return len(self._buffer)

    async def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end of the stream; they count as needed until the next call. Raises as
        `ahead` does.
        """
        await self.ahead(size)
        taken, self._buffer = bytes(memoryview(self._buffer)[:size]), self._buffer[size:]
        self._given_out = len(taken)
        return taken

    def sha256(self) -> str:
        """The SHA-256 (hex digits) of a stream that has ended. Raises DigestMismatch if another one was expected."""
        found = self._digest.hexdigest()
        if self.expected not in (None, found):
            raise DigestMismatch(f"the SHA-256 of the {self.size} bytes is {found}, not {self.expected} as was told")
        return found
