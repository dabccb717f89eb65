"""The work at a desk: progress on stderr, the result on stdout, questions on the terminal."""

import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

from longtask.errors import NoAnswer
from longtask.host import ABSENT, BYTES, JSON, Artifact, Question, State
from longtask.notices import write

TERMINAL_PACE, LINE_PACE = 0.1, 2.0
"""Seconds between two pictures of the progress: of a line that is written anew, of lines below each other."""


class Desk:
    """A Host. LONGTASK_DESK_DIR names a folder that keeps checkpoints and artifacts from run to run."""

    task_id = "local"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = Path(folder) if (folder := environment.get("LONGTASK_DESK_DIR")) else None
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._lock = threading.RLock()
        self._shown_at = float("-inf")
        self._waiting: str | None = None
        self._open_line = False

    def attempt(self) -> int:
        return 1

    def progress(self, report: dict[str, Any]) -> None:
        with self._lock:
            self._waiting = progress_line(report)
            if time.monotonic() >= self._shown_at + (TERMINAL_PACE if self._terminal else LINE_PACE):
                self._show()

    def heartbeat(self) -> None:
        """Nobody watches for it here."""

    def checkpoint(self, state: State, wait: float) -> bool:
        if self._folder is None:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = _checkpoint_file(self._folder, state.media_type)
        new = kept.with_suffix(f".{os.getpid()}")
        new.write_bytes(state.content)
        new.replace(kept)
        for media_type in {JSON, BYTES} - {state.media_type}:
            _checkpoint_file(self._folder, media_type).unlink(missing_ok=True)
        return True

    def resume(self) -> State | None:
        for media_type in (JSON, BYTES):
            if self._folder and (kept := _checkpoint_file(self._folder, media_type)).exists():
                return State(kept.read_bytes(), media_type)
        return None

    def ask(self, question: Question) -> Any:
        if not sys.stdin.isatty():
            if question.default is not ABSENT:
                return ABSENT
            raise NoAnswer(f"{question.message!r} has no default and there is no terminal to ask on: run it in one")
        schema = "" if question.schema is None else f"\n  as JSON that fits {json.dumps(question.schema)}"
        default = "" if question.default is ABSENT else f"\n  [Enter: {json.dumps(question.default)}]"
        self.say(f"{question.message}{schema}{default}")
        line = sys.stdin.readline()
        if not line.strip() and question.default is not ABSENT:
            return ABSENT
        if not line:
            raise NoAnswer(f"{question.message!r}: the terminal was closed")
        return _typed(line.strip(), question.schema)

    def artifact(self, name: str, content: bytes | Path, media_type: str) -> Artifact:
        return kept_artifact(name, content, self._folder)

    def say(self, line: str) -> None:
        with self._lock:
            self._close_line()
            write(f"{line}\n")

    def hand_in(self, result: bytes, seconds: float = inf) -> None:
        sys.stdout.flush()
        sys.stdout.buffer.write(result + b"\n")  # UTF-8 whatever the terminal's encoding is
        sys.stdout.buffer.flush()

    def finish(self, *, keep_checkpoint: bool) -> None:
        with self._lock:
            if self._waiting is not None:
                self._show()
            self._close_line()

    def _show(self) -> None:
        write(f"\r{self._waiting}\x1b[K" if self._terminal else f"{self._waiting}\n")
        self._open_line = self._terminal
        self._waiting, self._shown_at = None, time.monotonic()

    def _close_line(self) -> None:
        if self._open_line:
            write("\n")
            self._open_line = False


def progress_line(report: Mapping[str, Any]) -> str:
    """`epoch 3/10 (30%) - learning - loss 0.25`."""
    current, total, fraction = report.get("current"), report.get("total"), report.get("fraction")
    if fraction is None and current is not None and total:
        fraction = min(max(current / total, 0), 1)
    count = "" if current is None else f"{current:g}" if total is None else f"{current:g}/{total:g}"
    share = "" if fraction is None else f"({fraction:.0%})" if count else f"{fraction:.0%}"
    metrics = ", ".join(f"{name} {value:g}" for name, value in report.get("metrics", {}).items())
    counted = " ".join(part for part in (report.get("unit"), count, share) if part)
    return " - ".join(part.replace("\n", " ") for part in (counted, report.get("message", ""), metrics) if part)


def kept_artifact(name: str, content: bytes | Path, folder: Path | None) -> Artifact:
    """The artifact as a file of this machine: where it lies, or for bytes in the folder (a new one if None)."""
    if isinstance(content, Path):
        path = content.resolve(strict=True)
    else:
        path = (folder or Path(tempfile.mkdtemp(prefix="longtask-"))).resolve() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(name, path.as_uri(), path.stat().st_size, sha256)


def _checkpoint_file(folder: Path, media_type: str) -> Path:
    return folder / ("checkpoint.json" if media_type == JSON else "checkpoint.bin")


def _typed(text: str, schema: Mapping[str, Any] | None) -> Any:
    """What somebody typed: JSON if it is, and text where it is not or text is asked for."""
    if schema is not None and schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
