"""Where the work runs: in a pod, at a desk, in a test. What a Context needs of each."""

from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from longtask.stop import Stop

ABSENT: Final[Any] = object()
"""Where a value could be and is none."""

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
        from longtask.encode import encode  # noqa: PLC0415 - only who needs it pays for it

        return cls(encode(value, "checkpoint"), JSON)

    def value(self) -> Any:
        """What it was made of, in the types of JSON."""
        if self.media_type.partition(";")[0].strip() != JSON:
            return self.content
        import json  # noqa: PLC0415

        return json.loads(self.content)


class Question(NamedTuple):
    """What `ctx.ask` asks. `timeout` is in seconds; `schema` and `default` are JSON."""

    id: str
    message: str
    schema: dict[str, Any] | None
    timeout: float | None
    default: Any


class Artifact(NamedTuple):
    """Something the work left for others: its name, where it is, its size in bytes, its SHA-256 as hex digits."""

    name: str
    uri: str
    size: int
    sha256: str


class Backend(Protocol):
    """Progress, heartbeat and checkpoint return at once and raise nothing."""

    task_id: str

    def attempt(self) -> int:
        """The number of this attempt, from 1; 0 where it cannot be learned."""

    def progress(self, report: dict[str, Any]) -> None:
        """Take a report. It is whole: it replaces the one before."""

    def heartbeat(self) -> None:
        """Say that the work lives."""

    def checkpoint(self, state: State, wait: float) -> bool:
        """Keep the state. Whether it is stored after at most so many seconds."""

    def resume(self) -> State | None:
        """The state that was kept last."""

    def ask(self, question: Question) -> Any:
        """The answer as JSON; ABSENT when the time is over. Raises NoAnswer, InvalidAnswer, Cancelled."""

    def artifact(self, name: str, content: "bytes | Path", media_type: str) -> Artifact:
        """Keep the bytes under this name. Raises NotDelivered, OSError."""

    def say(self, line: str) -> None:
        """Write a line of the work's log."""

    def hand_in(self, result: bytes, seconds: float = inf) -> None:
        """Take the result, JSON. With seconds it stands elsewhere too, and is offered so long at most; SIGTERM ends
        that. Raises NotDelivered."""

    def finish(self, *, keep_checkpoint: bool) -> None:
        """The work has ended: send what is held; the checkpoint too where another attempt may need it."""


def backend_for(environment: "Mapping[str, str]", stop: "Stop") -> Backend:
    """The host of this process: a pod with a task API, else a desk."""
    if environment.get("LONGTASK_REPORT_URL"):
        from longtask.pod import Pod  # noqa: PLC0415

        return Pod(environment, stop)
    from longtask.local import LocalBackend  # noqa: PLC0415

    return LocalBackend(environment, stop)
