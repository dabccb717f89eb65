"""https to the task API."""

import http.server
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from longtask import connection
from longtask.connection import Connection, Request, Unreachable


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A new self-signed certificate of 127.0.0.1, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=task-api"]
    name_and_files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *what, *name_and_files], check=True, capture_output=True)
    return certificate, key


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_certificates_that_are_renewed_while_the_work_runs_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mounted bundle is: the process read the one before when it began."""
    (old, _), (new, key) = _certificate(tmp_path, "old"), _certificate(tmp_path, "new")
    bundle, token = tmp_path / "bundle.pem", tmp_path / "token"
    bundle.write_text(old.read_text())
    token.write_text("token")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    connection._tls.cache_clear()
    with http.server.HTTPServer(("127.0.0.1", 0), _Answers) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(new, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Connection(f"https://127.0.0.1:{server.server_port}", str(token))
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            client.send(Request("GET", "/"))
        bundle.write_text(new.read_text())
        assert client.send(Request("GET", "/")).status == 204
        client.close()
        server.shutdown()
    connection._tls.cache_clear()


def test_a_request_is_given_up_in_the_middle_of_the_handshake(tmp_path: Path) -> None:
    """With a server that takes the connection, and says nothing."""
    (token := tmp_path / "token").write_text("token")
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Connection(f"https://127.0.0.1:{server.getsockname()[1]}", str(token))
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(client.send, Request("GET", "/", timeout=60))
            peer, _ = server.accept()
            with peer:
                assert peer.recv(1) == b"\x16", "the first byte of a ClientHello"
                client.abort()
                with pytest.raises(Unreachable):
                    asked.result(30)
        client.close()


def test_a_handshake_ends_at_the_requests_timeout(tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text("token")
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Connection(f"https://127.0.0.1:{server.getsockname()[1]}", str(token))
        with pytest.raises(Unreachable, match="timed out"):
            client.send(Request("GET", "/", timeout=0.2))
        client.close()
