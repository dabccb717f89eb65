"""The interface between a Context and the place where the work runs: a pod, a local run, or a test."""

from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from longtask.stop import Stop

ABSENT: Final[Any] = object()
"""Marks a missing value, where None is a valid one."""

JSON = "application/json"
BYTES = "application/octet-stream"


class State(NamedTuple):
    """A checkpoint as it is stored."""

    content: bytes
    media_type: str

    @classmethod
    def of(cls, value: Any) -> "State":
        """Bytes as they are, anything else as JSON. Raises longtask.encode.Unencodable."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            return cls(bytes(value), BYTES)
        from longtask.encode import encode  # noqa: PLC0415 - loaded on demand

        return cls(encode(value, "checkpoint"), JSON)

    def value(self) -> Any:
        """The checkpoint in the types of JSON, or as bytes. Raises ValueError for damaged JSON."""
        if self.media_type.partition(";")[0].strip() != JSON:
            return self.content
        import json  # noqa: PLC0415

        return json.loads(self.content)


class Question(NamedTuple):
    """A question of `ctx.ask`. `timeout` is in seconds; `schema` and `default` are JSON; `default` may be ABSENT."""

    id: str
    message: str
    schema: dict[str, Any] | None
    timeout: float | None
    default: Any


class Artifact(NamedTuple):
    """Bytes that the work has stored beside its result: name, URI, size in bytes, SHA-256 as hex digits."""

    name: str
    uri: str
    size: int
    sha256: str


class Backend(Protocol):
    """Where the work runs: `Pod`, `LocalBackend` or `testing.Recording`.

    `progress`, `heartbeat` and `checkpoint` raise nothing, and return at once unless `checkpoint` is given a `wait`.
    """

    task_id: str

    def attempt(self) -> int:
        """The number of this attempt, from 1; 0 if it is unknown. Raises Cancelled."""

    def progress(self, report: dict[str, Any]) -> None:
        """Send a report. Each report replaces the previous one."""

    def heartbeat(self) -> None:
        """Report that the work is alive."""

    def checkpoint(self, state: State, wait: float) -> bool:
        """Store the state. Returns whether it is stored within `wait` seconds."""

    def resume(self) -> State | None:
        """The state that was stored last, None if there is none. Raises Cancelled."""

    def ask(self, question: Question) -> Any:
        """The answer as JSON; ABSENT after the timeout. Raises NoAnswer, InvalidAnswer, Cancelled."""

    def artifact(self, name: str, content: "bytes | Path", media_type: str) -> Artifact:
        """Store the bytes, or those of the file, under this name. Raises NotDelivered, OSError."""

    def say(self, line: str) -> None:
        """Write a line to the log of the work."""

    def hand_in(self, result: bytes, seconds: float = inf) -> None:
        """Store the result, which is JSON. A finite `seconds` means that it is in the termination message too: give up
        after that time, or on SIGTERM. Raises NotDelivered."""

    def finish(self, *, keep_checkpoint: bool) -> None:
        """Send what is pending at the end; the checkpoint only with `keep_checkpoint`, for another attempt."""


def backend_for(environment: "Mapping[str, str]", stop: "Stop") -> Backend:
    """The backend of this process: Pod if LONGTASK_REPORT_URL is set, else LocalBackend. Raises BadSetting."""
    if environment.get("LONGTASK_REPORT_URL"):
        from longtask.pod import Pod  # noqa: PLC0415

        return Pod(environment, stop)
    from longtask.local import LocalBackend  # noqa: PLC0415

    return LocalBackend(environment, stop)
