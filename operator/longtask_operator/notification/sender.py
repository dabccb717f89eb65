"""Makes one attempt to send an event to a sink.

An answer is its status line: the body is never read, and the connection is closed. Nothing of an answer but its status
gets into a message, and nothing of a URL but its host and port.
"""

import asyncio
import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from longtask import __version__
from longtask_operator.notification import signature
from longtask_operator.notification.cloud_event import MEDIA_TYPE
from longtask_operator.notification.outcome import Outcome, failed, of_status
from longtask_operator.sinks import Sink
from longtask_runtime import clock
from longtask_runtime.logs import in_words

ATTEMPT_SECONDS: Final = 10.0
"""For the whole attempt: host name, connection, TLS, request and the answer's head."""
SIGNING_SECRETS, CA = "signing-secrets", "ca.crt"
"""Keys of a sink's Secret: its signing secrets, and certificate authorities to trust instead of the system's."""
MAX_FILE_BYTES: Final = 256 * 1024


class Sender:
    """Sends to one sink. Secrets are read for each attempt, so that a rotation needs no restart."""

    def __init__(self, sink: Sink, secret_folder: Path, concurrency: int) -> None:
        """`secret_folder` is where the sink's Secret is mounted; at most `concurrency` attempts run at once."""
        self._sink = sink
        self._folder = secret_folder
        self._resolver = _Resolver(concurrency)

    async def send(self, event_id: str, body: bytes, seconds: float) -> Outcome:
        """Make an attempt that takes at most ATTEMPT_SECONDS, and at most `seconds`. Raises nothing that a sink, its
        Secret or its network can cause.
        """
        now = clock.now()
        try:
            secrets = self._secrets()
        except (OSError, ValueError, signature.InvalidSecret) as error:
            return failed("NoSigningSecret", f"Secret {self._secret_name}: {_without_paths(error)}")
        try:
            tls = self._tls()
        except (OSError, ValueError) as error:
            return failed("InvalidCertificate", f"Secret {self._secret_name}, {CA}: {_without_paths(error)}")
        headers = {
            **signature.headers(event_id, int(now.timestamp()), body, secrets),
            "Content-Type": MEDIA_TYPE,
            "User-Agent": f"longtask/{__version__}",
        }
        refused: list[str] = []
        opened: list[str] = []
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            ssl=tls,
            use_dns_cache=False,
            force_close=True,
            socket_factory=lambda address: self._socket(address, refused, opened),
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    connector_owner=True,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    skip_auto_headers=("Accept-Encoding",),
                    auto_decompress=False,
                    trust_env=False,
                    timeout=aiohttp.ClientTimeout(total=min(ATTEMPT_SECONDS, seconds)),
                ) as session,
                session.post(str(self._sink.url), data=body, headers=headers, allow_redirects=False) as answer,
            ):
                return of_status(answer.status, answer.headers.get("Retry-After"), now)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if refused and not opened:
                return failed("AddressNotAllowed", self._not_allowed(refused))
            return self._unanswered(error)

    def _socket(self, info: AddrInfoType, refused: list[str], opened: list[str]) -> socket.socket:
        """The socket for an address that is about to be connected to. Here no name can change its address any more."""
        family, kind, protocol, _, address = info
        host = str(address[0])
        if not self._sink.allows(host):
            refused.append(host)
            raise PermissionError(f"{host} is not allowed")
        opened.append(host)
        return socket.socket(family, kind, protocol)

    def _secrets(self) -> list[bytes]:
        if self._sink.secret_ref is None:
            return []
        return signature.secrets_in(_text(self._folder / SIGNING_SECRETS))

    def _tls(self) -> ssl.SSLContext:
        given = self._folder / CA
        return _trusting(_text(given) if self._sink.secret_ref is not None and given.exists() else None)

    @property
    def _secret_name(self) -> str:
        return self._sink.secret_ref.name if self._sink.secret_ref is not None else "none"

    @property
    def _where(self) -> str:
        return f"{self._sink.url.host}:{self._sink.url.port}"

    def _not_allowed(self, addresses: list[str]) -> str:
        return (
            f"{self._where} is at {', '.join(addresses[:4])}, which is not public and in none of the sink's "
            "allowedNetworks"
        )

    def _unanswered(self, error: Exception) -> Outcome:
        match error:
            case TimeoutError():
                return failed("NoAnswer", f"{self._where} did not answer in time")
            case aiohttp.ClientConnectorCertificateError():
                why = getattr(error.certificate_error, "verify_message", "") or "it does not fit the host"
                return failed("InvalidCertificate", f"the certificate of {self._where} is not trusted: {why}")
            case aiohttp.ClientSSLError():
                return failed("InvalidCertificate", f"no TLS with {self._where}: {_words(error.os_error)}")
            case aiohttp.ClientConnectorDNSError():
                return failed("Unreachable", f"the host name {self._sink.url.host} has no address")
            case aiohttp.ClientConnectorError():
                return failed("Unreachable", f"no connection to {self._where}: {_words(error.os_error)}")
            case aiohttp.ClientResponseError():
                return failed("ServerError", f"the answer of {self._where} is not HTTP")
        return failed("Unreachable", f"the connection to {self._where} broke: {type(error).__name__}")


class _Resolver(AbstractResolver):
    """Looks up names in threads of its own: a name server that does not answer must hold up no other sink."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sink-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The host's addresses. Raises OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host, port, family)

    async def close(self) -> None:
        """Nothing: each attempt closes its connector, and the threads serve the next one."""


def _addresses(host: str, port: int, family: int) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=numeric)
        for kind, _, protocol, _, address in found
    ]


@lru_cache(32)
def _trusting(authorities: str | None) -> ssl.SSLContext:
    """A context that trusts these certificate authorities (PEM), or the system's. Raises ssl.SSLError, an OSError."""
    return ssl.create_default_context(cadata=authorities)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES).decode()


def _without_paths(error: Exception) -> str:
    """The error without the path, which is the same for all; a missing file names its key."""
    if isinstance(error, OSError) and error.filename:
        return f"{Path(os.fspath(error.filename)).name}: {error.strerror}"
    return str(error) if isinstance(error, signature.InvalidSecret) else f"{CA} or {SIGNING_SECRETS} cannot be read"


def _words(error: BaseException) -> str:
    return in_words(error)[:200]
