"""A receiver, a namespace, and operators that notify it."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.proxy import Door, open_door
from tests.kube import Kube
from tests.notification.receiver import Receiver
from tests.operator.process import SOON, OperatorProcess

LOOPBACK = ["127.0.0.0/8", "::1/128"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def sink(port: int, path: str, **more: Any) -> dict[str, Any]:
    """A sink on this machine."""
    return {"url": f"http://127.0.0.1:{port}{path}", "allowHTTP": True, "allowedNetworks": LOOPBACK, **more}


def with_secret(folder: Path, name: str, *secrets: str) -> dict[str, Any]:
    """Write a sink's signing secrets where the kubelet would mount them."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "signing-secrets").write_text("\n".join(secrets))
    return {"secretRef": {"name": f"sink-{name}"}}


def settings(sinks: dict[str, Any], folder: Path) -> dict[str, str]:
    return {"SINKS": json.dumps(sinks), "SINK_SECRETS_FOLDER": str(folder)}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """All requests of the operators to the API server pass here."""
    async with open_door() as door:
        yield door


@pytest.fixture
def namespace(new_namespace: Callable[[], Kube]) -> Kube:
    """A task namespace of its own for every test."""
    return new_namespace()


@pytest.fixture
def replicas(
    door: Door, namespace: Kube, tmp_path: Path, receiver: Receiver
) -> Iterator[Callable[[str], OperatorProcess]]:
    """Operators with a sink `one`, not started yet; what still runs at the end is killed."""
    made: list[OperatorProcess] = []
    sinks = {"one": sink(receiver.port, "/one", **with_secret(tmp_path, "one", SECRET))}

    def make(identity: str) -> OperatorProcess:
        made.append(
            OperatorProcess(
                namespace.namespace,
                tmp_path / f"{identity}.log",
                identity,
                settings=SOON | settings(sinks, tmp_path),
                kubeconfig=door.kubeconfig(tmp_path / f"{identity}.kubeconfig"),
            )
        )
        return made[-1]

    yield make
    for process in made:
        if process.process is not None and process.process.poll() is None:
            process.kill()
