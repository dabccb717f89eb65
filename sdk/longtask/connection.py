"""HTTP requests to the task API."""

import base64

# A request loads these two. In the thread that sends reports the lock of the import would be held while the work forks,
# and the forked process would wait for it for ever.
import encodings.ascii
import encodings.idna  # noqa: F401
import functools
import hashlib
import http.client
import json
import os
import random
import selectors
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from longtask.forks import no_fork
from longtask.stderr_log import notice
from longtask.stop import Stop

MAX_DELAY, MAX_RETRY_AFTER = 10.0, 60.0
"""Seconds: the longest delay between retries, and the longest Retry-After that is respected."""
TRIES_WITHOUT_TOKEN = 5
"""401 answers after which a request is given up: until then kubelet may be renewing the token."""
LOUD_AFTER = 3
"""Failed tries before a notice: a restart of the API is not worth one."""
SMALL_TIMEOUT, LARGE_TIMEOUT = 10.0, 60.0
"""Socket timeouts in seconds; the large one is for bodies of any size, which the API answers once they are stored."""


class Unreachable(Exception):
    """Transient: no answer, or one that asks to retry, after `wait` seconds. `no_token`: the answer was a 401."""

    def __init__(self, problem: str, wait: float = 0.0, *, no_token: bool = False) -> None:
        super().__init__(problem)
        self.wait = wait
        self.no_token = no_token


class Refused(Exception):
    """Permanent: the API will never accept this request."""


class Ended(Exception):
    """The API accepts nothing more from this process: the task has ended, or this attempt is not its newest."""


@dataclass(frozen=True)
class Request:
    """A request. `path` is below the report URL; a file is streamed; `timeout` is the socket's, in seconds."""

    method: str
    path: str
    content: bytes | Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = SMALL_TIMEOUT


@dataclass(frozen=True)
class Answer:
    """A response. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body as JSON; an empty object if it is not JSON."""
        with suppress(ValueError):
            return json.loads(self.content)
        return {}


class Connection:
    """A keep-alive connection, used by one thread at a time. The token is read from `token_file` for every request."""

    def __init__(self, url: str, token_file: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port)
        self._secure = parts.scheme == "https"
        self._base = parts.path.rstrip("/")
        self._token_file = token_file
        self._http: http.client.HTTPConnection | None = None
        self._aborted = False

    def send(self, request: Request) -> Answer:
        """Send a request and return its answer if it was accepted (2xx). Raises Unreachable, Refused, Ended."""
        reused = self._http is not None
        try:
            answer = self._exchange(request)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                _tls.cache_clear()  # the trusted certificates may have been renewed since they were read
            if not reused or self._aborted:
                raise Unreachable(_named(error)) from None
            return self.send(request)  # the API closed an idle connection; every request is safe to repeat
        return _taken(answer)

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def abort(self) -> None:
        """Make the request in another thread, or under a signal handler, and all later ones fail."""
        self._aborted = True
        sock = self._http and self._http.sock
        if sock:
            with suppress(OSError):
                socket.socket.shutdown(
                    sock, socket.SHUT_RDWR
                )  # of TLS too: its own takes away what another thread uses

    def _exchange(self, request: Request) -> Answer:
        headers = {**request.headers, "Authorization": f"Bearer {self._token()}"}
        if self._http is None:
            self._http = self._opened(request.timeout)
        if self._http.sock is not None:
            self._http.sock.settimeout(request.timeout)
        if not isinstance(request.content, Path):
            return self._round_trip(self._http, request, request.content, headers)
        try:
            file = request.content.open("rb")
        except OSError as error:
            raise Refused(f"{request.content} cannot be read: {_named(error)}") from None
        with file:
            size = os.fstat(file.fileno()).st_size
            beginning = _Beginning(file, size)
            return self._round_trip(self._http, request, beginning, {**headers, "Content-Length": str(size)})

    def _round_trip(
        self,
        http_connection: http.client.HTTPConnection,
        request: Request,
        body: "bytes | _Beginning | None",
        headers: Mapping[str, str],
    ) -> Answer:
        broken: OSError | None = None
        try:
            http_connection.request(request.method, self._base + request.path, body=body, headers=headers)
        except (BrokenPipeError, ConnectionResetError) as error:
            broken = error  # the API may have answered before it read the whole body; the answer says why
        if self._aborted:
            raise ConnectionAbortedError("given up")
        try:
            response = http_connection.getresponse()
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, response.read())
        except (OSError, http.client.HTTPException):
            if broken is not None:
                raise broken from None
            raise
        finally:
            if broken is not None:
                self.close()

    def _opened(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self._address
        if self._secure:
            context = _tls(os.getpid())
            return _SecureConnection(host, port, timeout=timeout, context=context, blocksize=1 << 18)
        return http.client.HTTPConnection(host, port, timeout=timeout, blocksize=1 << 18)

    def _token(self) -> str:
        token = Path(self._token_file).read_text(encoding="ascii", errors="replace").strip()
        # Checked here, because http.client puts the value of an invalid header into its exception.
        if not token or not token.isascii() or not token.isprintable():
            raise OSError(f"{self._token_file} holds no token")
        return token


class _SecureConnection(http.client.HTTPSConnection):
    """Keeps forks out of the steps of the TLS handshake, between which it waits for the server: in each of them OpenSSL
    takes locks of the process."""

    def connect(self) -> None:
        """Connect, within the timeout. Raises OSError."""
        http.client.HTTPConnection.connect(self)
        self.sock.setblocking(False)
        with no_fork():
            self.sock = sock = _tls(os.getpid()).wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
        until = time.monotonic() + (self.timeout or SMALL_TIMEOUT)
        with selectors.DefaultSelector() as waiting:
            waiting.register(sock, selectors.EVENT_READ)
            while True:
                try:
                    with no_fork():
                        sock.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    waiting.modify(sock, selectors.EVENT_READ)
                except ssl.SSLWantWriteError:
                    waiting.modify(sock, selectors.EVENT_WRITE)
                if not waiting.select(until - time.monotonic()):
                    raise TimeoutError("the TLS handshake timed out")
        sock.settimeout(self.timeout)


def prepare(url: str) -> None:
    """Do once what connections to the URL need, before there is a thread: the C library's resolver and OpenSSL take
    locks of the process for that, which a process forked meanwhile would wait for for ever."""
    with suppress(OSError):
        socket.getaddrinfo("localhost", None)
    with suppress(OSError):  # as SSLError is: told when it is needed
        if urlsplit(url).scheme == "https":
            _tls(os.getpid())


@functools.cache
def _tls(_process: int) -> ssl.SSLContext:
    """One for all connections of a process. A forked one makes its own: that of its parent may be locked."""
    return ssl.create_default_context()


class _Beginning:
    """A file up to the size that was announced: it may grow while it is sent."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(found)
        return found


class Backoff:
    """Exponential backoff with jitter, so that many pods do not retry at the same moment."""

    def __init__(self) -> None:
        self._failures = 0
        self._without_token = 0

    def after(self, error: Unreachable) -> float:
        """Seconds until the next try. Raises Refused when another one makes no sense."""
        self._failures += 1
        self._without_token += error.no_token
        if self._without_token >= TRIES_WITHOUT_TOKEN:
            self.over()
            raise Refused(str(error))
        if self._failures == LOUD_AFTER:
            notice(f"the task API does not take what is sent ({error}); the work goes on, and it is tried again")
        longest = min(MAX_DELAY, 0.5 * 2 ** min(self._failures, 10))
        return max(error.wait, random.uniform(longest / 2, longest))  # noqa: S311

    def over(self) -> None:
        """Reset after a success."""
        if self._failures >= LOUD_AFTER:
            notice("the task API takes what is sent again")
        self._failures = self._without_token = 0


def insist(connection: Connection, request: Request, seconds: float, stop: Stop | None = None) -> Answer:
    """Send until the request is accepted, with exponential backoff.

    Raises Refused, Ended, and Unreachable after `seconds` or when `stop` is set.
    """
    backoff = Backoff()
    until = time.monotonic() + seconds
    waiting = stop or Stop()
    with waiting.interrupting(connection.abort):
        while True:
            try:
                if waiting.is_set:
                    raise Unreachable("the work shall stop")
                answer = connection.send(request)
            except Unreachable as error:
                delay = backoff.after(error)
                if waiting.is_set or time.monotonic() + delay > until:
                    raise
                waiting.wait(delay)
            else:
                backoff.over()
                return answer


def content_digest(content: bytes) -> str:
    """The Content-Digest header (RFC 9530) of a body."""
    return digest_header(hashlib.sha256(content).digest())


def digest_header(sha256: bytes) -> str:
    """The Content-Digest header (RFC 9530) of a SHA-256 digest in bytes."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


def _taken(answer: Answer) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    told = answer.json()
    reason, detail = (told.get("reason"), told.get("detail")) if isinstance(told, dict) else (None, None)
    text = ": ".join(str(part) for part in (answer.status, reason, detail) if part)
    if answer.status in (401, 408, 429) or answer.status >= 500:
        raise Unreachable(text, _retry_after(answer), no_token=answer.status == 401)
    if answer.status == 403 or reason == "TaskEnded":
        raise Ended(text)
    raise Refused(text)


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() else 0.0


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
