"""A task API of the test's own, on a real port: it keeps what it is given, and misbehaves when it is told to."""

import base64
import hashlib
import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "token-of-the-pod"


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer. Status 0 cuts the connection; `early` answers before the body is read, and closes."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    early: bool = False


CUT = Reply(0)
ENDED = Reply(409, {"reason": "TaskEnded", "detail": "the task has ended"})


class TaskApi:
    """Answers as the contract says, but `instead` (by method and path, one by one) and `always` come first."""

    def __init__(self, token_file: Path) -> None:
        self.token_file = token_file
        self.token_file.write_text(TOKEN)
        self.token = TOKEN
        self.seen: list[Seen] = []
        self.instead: dict[str, list[Reply]] = defaultdict(list)
        self.always: Reply | None = None
        self.held = threading.Event()
        """While it is clear no request is answered."""
        self.held.set()
        self.attempt = 1
        self.checkpoint: tuple[bytes, str] | None = None
        self.questions: dict[str, dict[str, Any]] = {}
        self.mismatch: str | None = None
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self._sockets: set[socket.socket] = set()
        self._port = 0
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What the operator gives a pod."""
        return {
            "LONGTASK_ID": "11111111-2222-3333-4444-555555555555",
            "LONGTASK_REPORT_URL": f"http://127.0.0.1:{self._port}/v1/report",
            "LONGTASK_TOKEN_FILE": str(self.token_file),
        }

    def start(self) -> None:
        """Listen, on the same port as before."""
        api = self

        class Handler(_Handler):
            owner = api

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Be dead: connections are refused, and open ones cut."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for each in tuple(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def answer(self, question_id: str, value: Any, problem: str | None = None) -> None:
        """Somebody answers a question."""
        with self._changed:
            told = {"state": "Answered", "value": value, **({"problem": problem} if problem else {})}
            self.questions[question_id] = {"id": question_id, **told}
            self._changed.notify_all()

    def requests(self, method: str, path: str) -> list[Seen]:
        """Those that came to a path below the report URL."""
        with self._changed:
            return [each for each in self.seen if (each.method, each.path) == (method, path)]

    def wait(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """What the condition gives once it is true; it is looked at after each request."""
        with self._changed:
            found = self._changed.wait_for(condition, seconds)
        assert found, (
            f"not within {seconds} s; seen: {[(each.method, each.path, each.body[:200]) for each in self.seen]}"
        )
        return found

    def wait_for(self, method: str, path: str, count: int = 1) -> list[Seen]:
        """The requests to a path once there are so many."""
        self.wait(lambda: len(self.requests(method, path)) >= count)
        return self.requests(method, path)

    def record(self, seen: Seen) -> None:
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()

    def scripted(self, seen_method: str, path: str) -> Reply | None:
        """What is answered instead of the contract's answer."""
        replies = self.instead[f"{seen_method} {path}"]
        return replies.pop(0) if replies else self.always

    def reply(self, seen: Seen) -> Reply:
        """The contract's answer."""
        if seen.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"reason": "BadToken", "detail": "the token is not known"})
        expected = seen.headers.get("content-digest")
        if expected and expected != f"sha-256=:{base64.b64encode(hashlib.sha256(seen.body).digest()).decode()}:":
            return Reply(422, {"reason": "DigestMismatch", "detail": "the bytes are not those that were sent"})
        kept = {"size": len(seen.body), "sha256": hashlib.sha256(seen.body).hexdigest()}
        match seen.method, *seen.path.split("/")[1:]:
            case "POST", "progress":
                held = not seen.json.get("final")
                return Reply(202 if held else 200, {"held": held, "outdated": False})
            case "POST", "heartbeat":
                return Reply(202)
            case _, "checkpoint":
                return self._checkpoint(seen, kept)
            case "GET", "attempt":
                return Reply(200, {"taskId": "task", "attempt": self.attempt, "cancelRequested": False})
            case "PUT", "result":
                return Reply(200, {**kept, **({"mismatch": self.mismatch} if self.mismatch else {})})
            case "PUT", "artifacts", name:
                return Reply(200, {"name": name, "uri": f"s3://bucket/{name}", **kept})
            case _, "questions", *_:
                return self._question(seen)
        return Reply(404, {"reason": "NotFound", "detail": "no such path"})

    def _checkpoint(self, seen: Seen, kept: dict[str, Any]) -> Reply:
        if seen.method == "PUT":
            self.checkpoint = (seen.body, seen.headers["content-type"])
            return Reply(200, {"sequence": int(seen.query["sequence"]), **kept})
        if self.checkpoint is None:
            return Reply(204)
        return Reply(200, self.checkpoint[0], (("Content-Type", self.checkpoint[1]),))

    def _question(self, seen: Seen) -> Reply:
        with self._changed:
            if seen.method == "POST":
                asked = seen.json
                return Reply(200, self.questions.setdefault(asked["id"], {"id": asked["id"], "state": "Open"}))
            question_id = seen.path.rpartition("/")[2]
            seconds = float(seen.query["waitSeconds"])
            self._changed.wait_for(lambda: self.questions[question_id]["state"] != "Open", seconds)
            return Reply(200, self.questions[question_id])


class _Handler(BaseHTTPRequestHandler):
    owner: TaskApi
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self) -> None:
        super().setup()
        self.owner._sockets.add(self.connection)

    def finish(self) -> None:
        self.owner._sockets.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Not on the test's stderr."""

    def _any(self) -> None:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/v1/report")
        scripted = self.owner.scripted(self.command, path)
        body = b""
        if not (scripted and scripted.early):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, path, query, headers, body, self.client_address[1])
        self.owner.record(seen)
        self.owner.held.wait(30)
        reply = scripted or self.owner.reply(seen)
        if reply.status == 0:
            self.close_connection = True
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body or {}).encode()
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if reply.early:
            self.send_header("Connection", "close")
            self.close_connection = True
        if reply.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if reply.status != 204:
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = _any  # noqa: N815


@contextmanager
def task_api(folder: Path) -> Iterator[TaskApi]:
    """A task API that ends with the block."""
    api = TaskApi(folder / "token")
    try:
        yield api
    finally:
        api.held.set()
        api.stop()
