"""Calls of the task API as a pod makes them, from this machine: with a token that is bound to the pod."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from longtask_api.constants import AUDIENCE_REPORT
from tests.kube import Kube
from tests.operator.process import OperatorProcess


@dataclass(frozen=True)
class Answer:
    """What the task API answered."""

    code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The answer as JSON."""
        return json.loads(self.content)

    @property
    def refused(self) -> tuple[int, str]:
        """(status, reason) of a refusal."""
        return self.code, self.body["reason"]


def pod_token(kube: Kube, pod: Mapping[str, Any], audience: str = AUDIENCE_REPORT, seconds: int = 600) -> str:
    """A token as the kubelet would project it into the pod."""
    account = pod["spec"].get("serviceAccountName", "default")
    reference = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    spec = {"audiences": [audience], "expirationSeconds": seconds, "boundObjectRef": reference}
    path = f"/api/v1/namespaces/{kube.namespace}/serviceaccounts/{account}/token"
    return str(kube.create(path, {"spec": spec}).done()["status"]["token"])


@dataclass(frozen=True)
class Caller:
    """Somebody with a token."""

    port: int
    token: str | None
    base: str = "/v1/report"
    headers: Mapping[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """`body` is sent as it is where it is bytes or an iterable of bytes (then chunked), else as JSON."""
        raw = body if isinstance(body, bytes | type(None)) or hasattr(body, "__next__") else json.dumps(body).encode()
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=70)
        try:
            connection.request(method, f"{self.base}/{path}", raw, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("PUT", path, body, **headers)


def reporter(operator: OperatorProcess, kube: Kube, pod: Mapping[str, Any]) -> Caller:
    """The pod as a caller of that replica."""
    return Caller(operator.task_api_port, pod_token(kube, pod))
