"""The background thread that sends reports, so that the work never waits for it."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from longtask.backend import State
from longtask.connection import LARGE_TIMEOUT, Backoff, Connection, Ended, Refused, Request, Unreachable, content_digest
from longtask.memory import memory_bytes
from longtask.stderr_log import notice, notice_once
from longtask.stop import Stop

PACE, CHECKPOINT_PACE = 0.5, 1.0
"""Seconds between two reports of progress, and between two checkpoints that no caller waits for."""
FINISH_SECONDS = 5.0
"""How long the end of the process waits for the last progress, in seconds; after SIGTERM, for all that is pending."""


@dataclass(frozen=True)
class _Held:
    """A pending item: its kind, its sequence number, its request."""

    name: str
    sequence: int
    request: Callable[[], Request]


class Reporter:
    """Holds at most one progress, one heartbeat and one checkpoint: the newest, until it is accepted.

    Notices are written without the lock: stderr may be a full pipe, and the work never waits for a report. An item is
    retried until it is accepted, a newer one replaces it, or the API refuses it for good.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._held: dict[str, _Held] = {}
        self._report: dict[str, Any] | None = None
        self._sequence = 0
        self._stored = 0
        self._backoff = Backoff()
        self._retry_at = self._paced_at = self._checkpoint_at = 0.0
        self._waiting = 0
        self._finishing = self._ended = False

    def progress(self, report: dict[str, Any]) -> None:
        """Send this report, in place of one that is not sent yet."""
        with self._changed:
            self._report = report
            self._hold("progress", _progress(report))

    def heartbeat(self) -> None:
        """Send a heartbeat, unless a progress report is pending, which serves as one."""
        with self._changed:
            if "progress" not in self._held:
                self._hold("heartbeat", lambda _: Request("POST", "/heartbeat"))

    def checkpoint(self, state: State, wait: float) -> bool:
        """Store this state, in place of one that is not sent yet. Returns whether it, or a newer one, is stored within
        `wait` seconds."""
        with self._changed:
            sequence = self._hold("checkpoint", _checkpoint(state))
            until = time.monotonic() + wait
            self._waiting += wait > 0
            while self._is_held(sequence) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._waiting -= wait > 0
            return self._stored >= sequence

    def finish(self, stop: Stop, checkpoint_seconds: float) -> None:
        """Send the last progress again as the final one, and wait for what is pending: FINISH_SECONDS, or
        `checkpoint_seconds` while a checkpoint is pending and `stop` is not set. Nothing is accepted afterwards."""
        with self._changed:
            if self._report is not None:
                self._hold("progress", _progress({**self._report, "final": True}))
            self._held.pop("heartbeat", None)
            if checkpoint_seconds == 0:
                self._held.pop("checkpoint", None)
            self._finishing = True
            self._backoff, self._retry_at = Backoff(), 0.0
            self._changed.notify_all()
        with stop.interrupting(self._wake):
            stored = self._wait_until_sent(stop, checkpoint_seconds)
        if not stored:
            notice("the last checkpoint could not be stored: the next attempt goes on from the one before")
        self._end()

    def _wait_until_sent(self, stop: Stop, checkpoint_seconds: float) -> bool:
        """Whether the last checkpoint is stored, or there was none."""
        started = time.monotonic()
        stopped: float | None = None
        with self._changed:
            while self._held and not self._ended:
                now = time.monotonic()
                if stop.is_set and stopped is None:
                    stopped = now
                until = started + FINISH_SECONDS
                if "checkpoint" in self._held:
                    until = max(until, started + checkpoint_seconds)
                if stopped is not None:
                    until = min(until, stopped + FINISH_SECONDS)
                if now >= until:
                    return "checkpoint" not in self._held
                self._changed.wait(until - now)
        return True

    def _hold(self, name: str, request: Callable[[int], Request]) -> int:
        """Make this the pending item; call with the lock held. The sequence is the time in milliseconds, so that it
        increases over all processes of an attempt."""
        self._sequence = sequence = max(self._sequence + 1, time.time_ns() // 1_000_000)
        if self._ended:
            return sequence
        self._held[name] = _Held(name, sequence, lambda: request(sequence))
        if self._thread is None:
            self._start()
        self._changed.notify_all()
        return sequence

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="longtask-reporter", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # too many threads, or interpreter shutdown
            notice_once(f"nothing can be reported now: {error}")
        else:
            self._thread = thread

    def _is_held(self, sequence: int) -> bool:
        held = self._held.get("checkpoint")
        return held is not None and self._stored < sequence and not self._ended

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        with closing(self._connect()) as connection:
            while (held := self._next()) is not None:
                try:
                    connection.send(held.request())
                except Unreachable as error:
                    self._failed(held, error)
                except Ended as error:
                    notice(f"nothing is reported any more: {error}")
                    self._end()
                except Exception as error:  # nothing may end the thread, or be retried forever
                    self._drop(held, error)
                else:
                    self._sent(held)

    def _next(self) -> _Held | None:
        """Wait for the next item that is due; None at the end."""
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                at = {name: self._due(name) for name in ("checkpoint", "progress", "heartbeat") if name in self._held}
                for name, moment in at.items():
                    if moment <= now:
                        return self._held[name]
                self._changed.wait(min(at.values()) - now if at else None)
        return None

    def _due(self, name: str) -> float:
        if self._finishing or (name == "checkpoint" and self._waiting):
            return self._retry_at
        return max(self._retry_at, self._checkpoint_at if name == "checkpoint" else self._paced_at)

    def _sent(self, held: _Held) -> None:
        self._backoff.over()
        with self._changed:
            self._retry_at = 0.0
            if held.name == "checkpoint":
                self._stored = held.sequence
                self._checkpoint_at = time.monotonic() + CHECKPOINT_PACE
            else:
                self._paced_at = time.monotonic() + PACE
            self._release(held)

    def _failed(self, held: _Held, error: Unreachable) -> None:
        try:
            delay = self._backoff.after(error)
        except Refused as refused:
            self._drop(held, refused)
        else:
            with self._changed:
                self._retry_at = time.monotonic() + delay

    def _drop(self, held: _Held, error: Exception) -> None:
        notice(f"a {held.name} was not taken: {error}")
        with self._changed:
            self._paced_at = time.monotonic() + PACE
            self._release(held)

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._held.clear()
            self._changed.notify_all()

    def _release(self, held: _Held) -> None:
        if self._held.get(held.name) is held:
            del self._held[held.name]
        self._changed.notify_all()


def _progress(report: dict[str, Any]) -> Callable[[int], Request]:
    def request(sequence: int) -> Request:
        memory = memory_bytes()
        used = {} if memory is None else {"memoryBytes": memory}
        body = json.dumps({**report, **used, "sequence": sequence}).encode()
        return Request("POST", "/progress", body, {"Content-Type": "application/json"})

    return request


def _checkpoint(state: State) -> Callable[[int], Request]:
    def request(sequence: int) -> Request:
        headers = {"Content-Type": state.media_type, "Content-Digest": content_digest(state.content)}
        return Request("PUT", f"/checkpoint?sequence={sequence}", state.content, headers, LARGE_TIMEOUT)

    return request
