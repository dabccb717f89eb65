"""The backend of a pod: everything goes to the task API."""

import functools
import hashlib
import json
import math
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from longtask.backend import ABSENT, BYTES, JSON, Artifact, Question, State
from longtask.connection import (
    LARGE_TIMEOUT,
    SMALL_TIMEOUT,
    Answer,
    Connection,
    Ended,
    Refused,
    Request,
    Unreachable,
    content_digest,
    digest_header,
    insist,
    prepare,
)
from longtask.errors import Cancelled, InvalidAnswer, NoAnswer, NotDelivered
from longtask.reporter import FINISH_SECONDS, Reporter
from longtask.settings import seconds
from longtask.stderr_log import notice, write
from longtask.stop import Stop

MAX_SUMMARY = 1024
"""Characters of a result's summary that the task API accepts."""
POLL_SECONDS = 30
"""How long the API holds a request for an answer that does not exist yet, in seconds; it allows 50."""


class Pod:
    """The backend of a pod. Calls that wait for the API use a connection of their own, in the calling thread.

    Reads the variables that the operator sets. LONGTASK_RESUME_SECONDS (300) is how long the attempt and the last
    checkpoint are requested, LONGTASK_FLUSH_SECONDS (600) how long the delivery of results, artifacts and the last
    checkpoint of a failure is retried. Raises BadSetting.
    """

    def __init__(self, environment: Mapping[str, str], stop: Stop) -> None:
        self._connect = functools.partial(
            Connection, environment["LONGTASK_REPORT_URL"], environment.get("LONGTASK_TOKEN_FILE", "")
        )
        prepare(environment["LONGTASK_REPORT_URL"])
        self._stop = stop
        self._reporter = Reporter(self._connect)
        self._resume_seconds = seconds(environment, "LONGTASK_RESUME_SECONDS", 300)
        self._flush_seconds = seconds(environment, "LONGTASK_FLUSH_SECONDS", 600)
        self.task_id = environment.get("LONGTASK_ID", "")

    def attempt(self) -> int:
        """The number from the task API; 0 with a notice if it cannot be read. Raises Cancelled on SIGTERM."""
        answer = self._asked(Request("GET", "/attempt"), "the number of this attempt")
        return int(answer.json().get("attempt", 0)) if answer else 0

    def progress(self, report: dict[str, Any]) -> None:
        """Queue the report for the background thread, in place of one that is not sent yet."""
        self._reporter.progress(report)

    def heartbeat(self) -> None:
        """Queue a heartbeat for the background thread, unless a report is pending."""
        self._reporter.heartbeat()

    def checkpoint(self, state: State, wait: float) -> bool:
        """Queue the state for the background thread. Returns whether it is stored within `wait` seconds."""
        return self._reporter.checkpoint(state, wait)

    def resume(self) -> State | None:
        """The last checkpoint of any attempt; None without one, and with a notice if it cannot be read. Raises
        Cancelled on SIGTERM."""
        answer = self._asked(Request("GET", "/checkpoint", timeout=LARGE_TIMEOUT), "the last checkpoint")
        if answer is None or answer.status == 204:
            return None
        return State(answer.content, answer.headers.get("content-type", BYTES))

    def ask(self, question: Question) -> Any:
        """Post the question, and poll until it is answered or has timed out (ABSENT). Raises NoAnswer if it is refused,
        InvalidAnswer, and Cancelled on SIGTERM."""
        body: dict[str, Any] = {"id": question.id, "message": question.message}
        if question.schema is not None:
            body["schema"] = question.schema
        if question.timeout is not None:
            body["timeoutSeconds"] = max(1, math.ceil(question.timeout))
        if question.default is not ABSENT:
            body["default"] = question.default
        asked = Request("POST", "/questions", json.dumps(body).encode(), {"Content-Type": JSON})
        polled = Request(
            "GET", f"/questions/{quote(question.id)}?waitSeconds={POLL_SECONDS}", timeout=POLL_SECONDS + 10
        )
        with closing(self._connect()) as connection:
            told = self._told(connection, asked)
            while told.get("state") == "Open":
                started = time.monotonic()
                told = self._told(connection, polled)
                if told.get("state") == "Open":  # at most one request a second if the API does not hold it
                    self._stop.wait(started + 1 - time.monotonic())
        if told.get("problem"):
            raise InvalidAnswer(f"the answer to {question.id} does not fit its schema: {told['problem']}")
        return told.get("value") if told.get("state") == "Answered" else ABSENT

    def artifact(self, name: str, content: bytes | Path, media_type: str) -> Artifact:
        """Upload the bytes, a file as a stream. Raises NotDelivered, OSError."""
        sha256 = _sha256(content)
        headers = {"Content-Type": media_type, "Content-Digest": digest_header(sha256)}
        request = Request("PUT", f"/artifacts/{quote(name)}", content, headers, LARGE_TIMEOUT)
        told = self._delivered(request, f"the artifact {name}").json()
        return Artifact(name, told.get("uri", ""), int(told.get("size", 0)), sha256.hex())

    def say(self, line: str) -> None:
        """Write a line to stderr."""
        write(f"{line}\n")

    def hand_in(self, result: bytes, seconds: float = math.inf) -> None:
        """Upload the result. If it does not fit the template's resultSchema, write a notice. Raises NotDelivered."""
        headers = {"Content-Type": JSON, "Content-Digest": content_digest(result)}
        summary = _summary(result)
        path = "/result" + (f"?summary={quote(summary, safe='')}" if summary else "")
        stop = None
        timeout = LARGE_TIMEOUT
        if seconds < math.inf:  # it is in the termination message too
            timeout = SMALL_TIMEOUT  # opening a connection cannot be interrupted
            if self._stop.is_set:
                seconds = FINISH_SECONDS
            else:
                stop = self._stop
        request = Request("PUT", path, result, headers, timeout)
        told = self._delivered(request, "the result", seconds, stop).json()
        if told.get("mismatch"):
            notice(f"the result does not fit the template's resultSchema: {told['mismatch']}")

    def finish(self, *, keep_checkpoint: bool) -> None:
        """Send the last report as final, and with `keep_checkpoint` a pending checkpoint."""
        self._reporter.finish(self._stop, self._flush_seconds if keep_checkpoint else 0)

    def _told(self, connection: Connection, request: Request) -> dict[str, Any]:
        try:
            told = insist(connection, request, math.inf, self._stop).json()
        except (Refused, Ended) as error:
            raise NoAnswer(f"the question cannot be asked: {error}") from None
        except Unreachable:
            raise Cancelled("SIGTERM came while a question was open") from None
        return told if isinstance(told, dict) else {}

    def _asked(self, request: Request, what: str) -> Answer | None:
        try:
            with closing(self._connect()) as connection:
                return insist(connection, request, self._resume_seconds, self._stop)
        except (Unreachable, Refused, Ended) as error:
            if self._stop.is_set:
                raise Cancelled(f"SIGTERM came while {what} was asked for") from None
            notice(f"{what} cannot be learned, the work goes on without: {error}")
            return None

    def _delivered(self, request: Request, what: str, seconds: float = math.inf, stop: Stop | None = None) -> Answer:
        within = min(seconds, self._flush_seconds)
        try:
            with closing(self._connect()) as connection:
                return insist(connection, request, within, stop)
        except Unreachable as error:
            if stop is not None and stop.is_set:
                raise NotDelivered(f"{what} could not be handed in before SIGTERM came ({error})") from None
            raise NotDelivered(
                f"{what} could not be handed in within {within:g} s ({error}): look whether the operator "
                "runs and the pod may reach its task API; LONGTASK_FLUSH_SECONDS says how long it is tried"
            ) from None
        except (Refused, Ended) as error:
            raise NotDelivered(f"{what} was refused: {error}") from None


def _summary(result: bytes) -> str:
    """The text `summary` of a JSON object, cut to the API's limit. The API does not parse results that it only
    stores."""
    value = json.loads(result)
    summary = value.get("summary") if isinstance(value, dict) else None
    return summary[:MAX_SUMMARY] if isinstance(summary, str) else ""


def _sha256(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return hashlib.sha256(content).digest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
