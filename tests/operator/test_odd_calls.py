"""What the task API answers to odd bytes, half requests, slow bodies and idle connections: in words, with nothing
failing inside and nobody else held up."""

import base64
import contextlib
import itertools
import json
import select
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from longtask_api.constants import AUDIENCE_TASK_API
from longtask_operator.task_api.document import document
from longtask_operator.task_api.limits import CALLS_AT_ONCE
from tests.kube import Kube, eventually
from tests.operator.conftest import READER
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, pod_token
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster

LONG = "import time; time.sleep(600)"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Doors:
    """A replica of its own, and who knocks."""

    operator: OperatorProcess
    uid: str
    pod: Caller
    neighbour: Caller
    reader: str

    def caller(self, path: str) -> Caller:
        """Whoever may call that path."""
        return Caller(
            self.operator.task_api_port, self.pod.token if path.startswith("/v1/report") else self.reader, "/v1"
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.operator.task_api_port), timeout=60)

    def half(self, method: str, path: str, headers: str, body: bytes = b"", token: str | None = None) -> socket.socket:
        """A connection on which so much of a request was sent."""
        connection = self.connect()
        shown = f"Authorization: Bearer {token or self.pod.token}\r\n"
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: here\r\n{shown}{headers}\r\n".encode() + body)
        return connection


@pytest.fixture(scope="module")
def doors(new_namespace: Callable[[], Kube], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """At its end nothing may have failed inside."""
    kube, log = new_namespace(), tmp_path_factory.mktemp("doors") / "log"
    username = f"system:serviceaccount:{kube.namespace}:{READER}"
    settings = {"TASK_API_READERS": f'["{username}"]', "REPORTS_PER_SECOND_PER_TASK": "1000"}
    operator = OperatorProcess(kube.namespace, log, settings=settings).start()
    try:
        tasks = Tasks(kube)
        tasks.template("doors", template_spec())
        uids = [tasks.run(name, "doors", LONG) for name in ("attacked", "neighbour")]
        for name in ("attacked", "neighbour"):
            tasks.wait(name, "Running")
        tokens = [pod_token(kube, tasks.pods(uid)[0], seconds=3600) for uid in uids]
        accounts = f"/api/v1/namespaces/{kube.namespace}/serviceaccounts"
        kube.create(accounts, {"metadata": {"name": READER}}).done()
        spec = {"audiences": [AUDIENCE_TASK_API], "expirationSeconds": 3600}
        reader = kube.create(f"{accounts}/{READER}/token", {"spec": spec}).done()["status"]["token"]
        attacked, neighbour = (Caller(operator.task_api_port, token) for token in tokens)
        yield Doors(operator, uids[0], attacked, neighbour, reader)
    finally:
        assert operator.stop() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [line for line in lines if line["level"] == "ERROR" and not line["logger"].startswith("kopf")] == []


ODD_TEXTS = {
    "a NUL": "%00",
    "no UTF-8": "%ff%fe",
    "half a surrogate": "%ED%A0%80",
    "a line break": "%0d%0aX-Injected:%20yes",
    "a step up": "..%2f..%2fetc",
    "a bidi mark": "%E2%80%AE",
    "a number beyond all": "9" * 400,
    "a float beyond all": "1e400",
    "not a number": "NaN",
    "another script's digit": "%D9%A3",
    "long": "x" * 3000,
    "nothing": "",
}
ODD_BODIES = {
    "nothing": b"",
    "a NUL": b"\0",
    "no UTF-8": b'{"message": "\xff\xfe", "id": "a"}',
    "UTF-16": '{"message": "a", "id": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"message": "a", "id": "a"}',
    "half a surrogate": b'{"message": "\\ud800", "id": "surrogate"}',
    "a raw surrogate": b'{"message": "\xed\xa0\x80", "id": "a"}',
    "an escaped NUL": b'{"message": "a\\u0000b", "id": "nul", "unit": "\\u0000"}',
    "a raw NUL": b'{"message": "a\0b"}',
    "deep": b'{"schema": ' + b"[" * 5000 + b"]" * 5000 + b', "message": "a", "id": "a"}',
    "deep and open": b"[" * 16_000,
    "NaN": b'{"fraction": NaN, "message": "?", "id": "nan", "timeoutSeconds": 9, "default": NaN}',
    "beyond all floats": b'{"fraction": 1e999, "message": "?", "id": "inf", "timeoutSeconds": 9, "default": 1e999}',
    "beyond all integers": b'{"sequence": ' + b"9" * 5000 + b', "message": "?", "id": "big"}',
    "a large default": b'{"message": "?", "id": "large", "timeoutSeconds": 9, "default": ' + b"9" * 400 + b"}",
    "a bad pattern": b'{"message": "?", "id": "pattern", "schema": {"type": "string", "pattern": "("}}',
    "a slow pattern": b'{"message": "?", "id": "slow", "schema": {"type": "string", "pattern": "(a+)+$"}}',
    "names twice": b'{"message": "a", "message": "b", "id": "twice"}',
    "a list": b"[]",
    "null": b"null",
    "a text": b'"text"',
    "half": b'{"message": "a',
}
ODD_HEADERS = {
    "a type of odd bytes": {"Content-Type": "\xff\xfe/\x80"},
    "an empty type": {"Content-Type": ""},
    "a type without end": {"Content-Type": "text/" + "x" * 4000},
    "another charset": {"Content-Type": "application/json; charset=utf-7"},
    "a digest of odd bytes": {"Content-Digest": "sha-256=:\xff\xfe:"},
    "a digest that is none": {"Content-Digest": "sha-256=:AAAA:"},
    "a range of odd bytes": {"Range": "bytes=\xb2-"},
    "a range beyond all": {"Range": f"bytes={'9' * 60}-"},
    "a range backwards": {"Range": "bytes=9-1"},
    "a coding": {"Content-Encoding": "gzip"},
    "an odd cookie": {"Cookie": "\xff=\xfe"},
}
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
]


def _path(path: str, uid: str, odd: str | None = None) -> str:
    """With odd text in each place, or with what leads somewhere."""
    known = {"uid": uid, "name": "model.bin", "question_id": "go-on"}
    for name, value in known.items():
        path = path.replace(f"{{{name}}}", value if odd is None else odd)
    return path.removeprefix("/v1/")


def _answered_in_words(caller: Caller, method: str, path: str, body: bytes | None = None) -> None:
    """No failure inside, and none of the API server for which the caller is to blame: that would come back for ever."""
    answer = eventually(
        lambda: caller.call(method, path, body), lambda answer: answer.code != 503 and answer.code != 429, 20
    )
    assert answer.code < 500, (method, path, body, answer)
    if answer.code >= 400:
        assert {"reason", "detail"} <= answer.body.keys(), answer
        assert len(answer.body["detail"]) > 5, answer
    assert not (answer.code == 404 and answer.body["detail"].startswith("there is nothing at") and "%" not in path), (
        method,
        path,
    )


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_odd_bytes_in_any_place_of_any_call_are_answered_in_words(
    doors: Doors, method: str, path: str, operation: dict[str, Any]
) -> None:
    caller, asking = doors.caller(path), "?principal=nobody" if path.startswith("/v1/archive") else ""
    queries = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
    for odd in ODD_TEXTS.values():
        if "{" in path:
            _answered_in_words(caller, method, _path(path, doors.uid, odd or "%20") + asking)
        for name in queries:
            _answered_in_words(caller, method, f"{_path(path, doors.uid)}?{quote(name)}={odd}", b"1")
    for header in ODD_HEADERS.values():
        whole = Caller(caller.port, caller.token, caller.base, header)
        _answered_in_words(whole, method, _path(path, doors.uid) + asking, b"1")
    if method in ("POST", "PUT"):
        for body in ODD_BODIES.values():
            _answered_in_words(caller, method, _path(path, doors.uid), body)


def _jwt(claims: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(claims.encode()).rstrip(b'=').decode()}.c2ln"


ODD_TOKENS = {
    "an exp beyond any float": _jwt(json.dumps({"exp": 10**400})),
    "an endless exp": _jwt('{"exp": 1e999}'),
    "an exp that is a list": _jwt('{"exp": [[]]}'),
    "deep claims": _jwt("[" * 6000),
    "odd bytes": "a.\xff\xfe.c",
    "two words": "a b",
    "very long": "x" * 30_000,
}


@pytest.mark.parametrize("path", ["report/attempt", "archive?principal=x"])
@pytest.mark.parametrize("case", ODD_TOKENS)
def test_a_token_that_makes_no_sense_is_401(doors: Doors, path: str, case: str) -> None:
    answer = Caller(doors.operator.task_api_port, ODD_TOKENS[case], "/v1").get(path)
    assert (answer.code, answer.body["reason"]) == (401, "Invalid")


BROKEN: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an odd method": b"\xff\xfe / HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /v1/report/progress HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a negative length": b"POST /v1/report/progress HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a length in another script": b"POST /v1/report/progress HTTP/1.1\r\nHost: a\r\nContent-Length: \xb2\r\n\r\n",
    "length and chunks": b"POST /v1/report/progress HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a NUL in a header": b"GET /v1/report/attempt HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "headers without end": b"GET /v1/report/attempt HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "no host": b"GET /v1/report/attempt HTTP/1.1\r\n\r\n",
    "a path of odd bytes": b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_request_is_refused_or_cut_off(doors: Doors, case: str) -> None:
    with doors.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(BROKEN[case])
            connection.shutdown(socket.SHUT_WR)
        answer = _all(connection)
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"401", b"404"), answer[:200]


@pytest.mark.parametrize("path", ["progress", "questions", "checkpoint", "result", "artifacts/a.bin"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: 1000\r\n", b"half"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", b"zz\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", b"fffffffffffffffffffffff\r\nhello\r\n"),
        ("Content-Length: 100000000000000000000\r\n", b"half"),
        ("Expect: 100-continue\r\nContent-Length: 10\r\n", b""),
    ],
)
def test_a_caller_that_leaves_in_the_middle_of_a_body_is_no_error(
    doors: Doors, path: str, headers: str, body: bytes
) -> None:
    """That it is none is looked for in the log when all tests are over."""
    method = "POST" if path in ("progress", "questions") else "PUT"
    with doors.half(method, f"/v1/report/{path}", headers, body) as connection:
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            connection.recv(1000)
    assert doors.pod.get("attempt").code == 200


@pytest.mark.parametrize(("path", "limit"), [("progress", 16 * 1024), ("questions", 32 * 1024)])
def test_a_body_without_a_length_over_the_limit_is_refused_in_words(doors: Doors, path: str, limit: int) -> None:
    pieces = (b" " * 4096 for _ in range(limit // 4096 + 1))
    assert doors.pod.post(path, pieces).refused == (413, "TooLarge")


def test_nothing_of_a_body_is_waited_for_before_it_is_known_who_calls(doors: Doors) -> None:
    with doors.half("POST", "/v1/report/progress", "Content-Length: 1000\r\n", token="nobody") as connection:
        assert connection.recv(20).startswith(b"HTTP/1.1 401")


def test_unfinished_uploads_of_one_pod_are_bounded_and_its_neighbour_does_not_notice(doors: Doors) -> None:
    before = _memory(doors.operator)
    with contextlib.ExitStack() as stack:
        many = []
        for number in range(300):
            half = doors.half("PUT", f"/v1/report/artifacts/a{number}.bin", f"Content-Length: {MIB}\r\n")
            many.append(stack.enter_context(half))
        refused = eventually(
            lambda: select.select(many, [], [], 1)[0], lambda ready: len(ready) >= len(many) - CALLS_AT_ONCE
        )
        assert all(connection.recv(100).startswith(b"HTTP/1.1 429") for connection in refused)
        with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
            list(threads.map(_send_most, [connection for connection in many if connection not in refused]))
        assert _memory(doors.operator) - before < 100 * MIB
        result = json.dumps(["x" * 100] * 3000).encode()
        assert eventually(lambda: doors.neighbour.put("result", result).code, lambda code: code == 200)
    eventually(lambda: doors.pod.get("attempt").code, lambda code: code == 200)


def test_slow_bodies_of_one_task_do_not_hold_up_another(doors: Doors) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CALLS_AT_ONCE):
            stack.enter_context(doors.half("PUT", "/v1/report/result", "Content-Length: 9000\r\n", b"[1,"))
        eventually(lambda: doors.pod.get("attempt").code, lambda code: code == 429)
        assert eventually(lambda: doors.neighbour.put("result", b"1").code, lambda code: code == 200)
    eventually(lambda: doors.pod.get("attempt").code, lambda code: code == 200)


def test_many_idle_connections_are_ended(doors: Doors) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(doors.connect()) for _ in range(500)]
        for connection in itertools.islice(idle, 0, None, 2):
            connection.sendall(b"GET /v1/report/attempt HTTP/1.1\r\n")
        assert {_all(connection) for connection in idle} == {b""}


def _all(connection: socket.socket) -> bytes:
    """What comes until the connection ends."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def _send_most(connection: socket.socket) -> None:
    connection.settimeout(1)
    with contextlib.suppress(TimeoutError, ConnectionError):
        connection.sendall(bytes(MIB - 1))


def _memory(operator: OperatorProcess) -> int:
    return int(operator.metric("process_resident_memory_bytes"))
