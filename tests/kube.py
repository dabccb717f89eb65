"""Requests to a real API server, and its answers as they are."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes.client import ApiClient

from longtask_api import constants
from longtask_runtime.kube import yaml_text
from tests.patience import PATIENCE

T = TypeVar("T")

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True)
class Answer:
    """What the API server answered."""

    code: int
    body: Any

    @property
    def refusals(self) -> dict[str, str]:
        """Of a 422: the field by what was said of it."""
        causes = (self.body.get("details") or {}).get("causes") or []
        return {cause["message"].removeprefix("Forbidden: "): cause.get("field", "") for cause in causes}

    def done(self) -> Any:
        """The body of a request that must have succeeded."""
        assert self.code in (200, 201), self.body
        return self.body


class Kube:
    """One namespace of the cluster that KUBECONFIG names."""

    def __init__(self, client: ApiClient, namespace: str = "") -> None:
        self._client = client
        self.namespace = namespace

    def within(self, namespace: str) -> "Kube":
        """The same cluster, another namespace."""
        return Kube(self._client, namespace)

    def path(self, plural: str, *more: str) -> str:
        """The path of our resources in the namespace."""
        return "/".join([f"/apis/{constants.API_VERSION}/namespaces/{self.namespace}/{plural}", *more])

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Answer:
        """Send and return what came back, whatever its code."""
        method, url, headers, body, _ = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Content-Type": content, "Accept": accept},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self._client.call_api(method, url, header_params=headers, body=body, _request_timeout=PATIENCE)
        text = response.read() or b"null"
        try:
            return Answer(response.status, json.loads(text))
        except ValueError:  # a path that the API server does not know (yet) is told in plain text
            return Answer(response.status, text.decode())

    def get(self, path: str, **query: str) -> Answer:
        """GET."""
        return self.request("GET", path, **query)

    def create(self, path: str, body: Any, **query: str) -> Answer:
        """POST."""
        return self.request("POST", path, body, **query)

    def apply(self, path: str, body: Any, manager: str = "author") -> Answer:
        """Server-side apply, taking fields over from other managers."""
        return self.request(
            "PATCH", path, yaml_text(body), content="application/apply-patch+yaml", fieldManager=manager, force="true"
        )


def eventually(look: Callable[[], T], wanted: Callable[[T], bool], seconds: float = PATIENCE) -> T:
    """Look until what is seen is as wanted; fails with what was seen last."""
    begin = time.monotonic()
    while not wanted(seen := look()):
        passed = time.monotonic() - begin
        assert passed < seconds, f"still not so after {seconds} s: {seen}"
        time.sleep(pause(passed))
    return seen


def pause(passed: float) -> float:
    """Seconds until what was waited for so long is looked at again: who looks often takes the CPU from who works."""
    return min(max(0.05, passed / 10), 0.25)
