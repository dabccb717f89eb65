"""One attempt to send, without an operator: whom it trusts, where it goes, and how it ends."""

import asyncio
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longtask_operator.notification import sender as module
from longtask_operator.notification.outcome import SENT, Outcome, Verdict
from longtask_operator.notification.sender import Sender
from longtask_operator.sinks import Sink
from tests.notification import receiver as receivers
from tests.notification.conftest import LOOPBACK, SECRET, sink, with_secret
from tests.notification.receiver import Receiver
from tests.ports import free_port

BODY = b'{"data":{"task_id":"t"}}'
ON_LOOPBACK = {"allowedNetworks": LOOPBACK}
SECRET_REF = {"secretRef": {"name": "hook"}}


async def attempt(fields: dict[str, Any], folder: Path, seconds: float = 60) -> Outcome:
    return await Sender(Sink.model_validate(fields), folder, 2).send("id-1", BODY, seconds)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of `localhost`, and its key."""
    made, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=sink"]
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(made)]
    subprocess.run(["openssl", *what, *files], check=True, capture_output=True)
    return made, key


@pytest.fixture
def https(certificate: tuple[Path, Path]) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Receiver().listening(context) as receiver:
        yield receiver


async def test_a_certificate_has_to_be_trusted_and_fit(
    https: Receiver, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    with_secret(tmp_path, "hook", SECRET)
    folder = tmp_path / "hook"
    right, wrong = (f"https://{host}:{https.port}/" for host in ("localhost", "127.0.0.1"))

    stranger = await attempt({"url": right, **ON_LOOPBACK, **SECRET_REF}, folder)
    (folder / "ca.crt").write_bytes(certificate[0].read_bytes())
    trusted = await attempt({"url": right, **ON_LOOPBACK, **SECRET_REF}, folder)
    misfit = await attempt({"url": wrong, **ON_LOOPBACK, **SECRET_REF}, folder)
    (folder / "ca.crt").write_text("no certificate")
    unreadable = await attempt({"url": right, **ON_LOOPBACK, **SECRET_REF}, folder)

    assert [each.reason for each in (stranger, trusted, misfit, unreadable)] == [
        "InvalidCertificate",
        "",
        "InvalidCertificate",
        "InvalidCertificate",
    ]
    assert "not trusted: self-signed certificate" in stranger.message
    assert [request.is_signed_by(SECRET) for request in https.requests] == [True]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_a_host_that_is_not_public_is_not_connected_to(receiver: Receiver, tmp_path: Path, host: str) -> None:
    found = await attempt({"url": f"http://{host}:{receiver.port}/", "allowHTTP": True}, tmp_path)
    assert (found.reason, receiver.requests) == ("AddressNotAllowed", [])


async def test_a_name_that_changes_its_address_leads_nowhere(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what counts is the address that is connected to."""
    looked_up: list[str] = []

    def rebound(host: str, *_: object, **__: object) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))] * 2

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    found = await attempt({"url": f"http://hooks.example.com:{receiver.port}/", "allowHTTP": True}, tmp_path)
    assert looked_up == ["hooks.example.com"]
    assert (found.reason, receiver.requests) == ("AddressNotAllowed", [])
    assert "127.0.0.1" in found.message


async def test_a_redirect_to_a_metadata_service_is_not_followed(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answer("/", receivers.status(307, f"Location: http://127.0.0.1:{receiver.port}/secret?word=hidden"))
    found = await attempt(sink(receiver.port, "/"), tmp_path)
    assert (found.reason, len(receiver.requests)) == ("Redirected", 1)
    assert "hidden" not in found.message


async def test_what_does_not_answer_is_given_up_in_time(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answer("/", receivers.NEVER)
    begin = asyncio.get_running_loop().time()
    found = await attempt(sink(receiver.port, "/"), tmp_path, seconds=0.5)
    assert (found.verdict, found.reason) == (Verdict.RETRY, "NoAnswer")
    assert asyncio.get_running_loop().time() - begin < module.ATTEMPT_SECONDS


async def test_a_name_server_that_hangs_ends_with_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hang(*_: object, **__: object) -> list[Any]:
        answered.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    found = await attempt({"url": "https://hooks.example.com"}, tmp_path, seconds=0.5)
    answered.set()
    assert found.reason == "NoAnswer"


async def test_nothing_of_an_address_or_a_secret_is_logged_or_told(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with_secret(tmp_path, "hook", SECRET, "whsec_too-short")
    url = f"http://127.0.0.1:{receiver.port}/path-word?key=query-word"
    fields = sink(receiver.port, "/") | {"url": url} | SECRET_REF
    bad = await attempt(fields, tmp_path / "hook")
    with_secret(tmp_path, "hook", SECRET)
    good = await attempt(fields, tmp_path / "hook")
    receiver.answer("/path-word?key=query-word", receivers.NO_HTTP, receivers.CUT, receivers.ENDLESS_HEAD)
    failed = [await attempt(fields, tmp_path / "hook") for _ in range(3)]
    down = await attempt(fields | {"url": url.replace(str(receiver.port), str(free_port()))}, tmp_path / "hook")

    assert (bad.reason, good) == ("NoSigningSecret", SENT)
    assert [each.reason for each in [*failed, down]] == ["ServerError", "Unreachable", "ServerError", "Unreachable"]
    told = "".join([caplog.text, bad.message, down.message, *(each.message for each in failed)])
    assert [word for word in (SECRET[6:], "too-short", "path-word", "query-word") if word in told] == []


async def test_the_environment_has_no_proxy_for_it(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert await attempt(sink(receiver.port, "/"), tmp_path) == SENT


async def test_the_bytes_that_are_signed_are_those_that_arrive(receiver: Receiver, tmp_path: Path) -> None:
    with_secret(tmp_path, "hook", SECRET)
    assert await attempt(sink(receiver.port, "/x") | SECRET_REF, tmp_path / "hook") == SENT
    [request] = receiver.requests
    assert request.body == BODY
    assert request.is_signed_by(SECRET)
    assert request.headers["user-agent"].startswith("longtask/")
    assert "cookie" not in request.headers
