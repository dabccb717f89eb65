"""The cells of the matrix: shapes of pods times ways to end, as the recorder runs them."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

IMAGE = "localhost/longtask:dev"
RESULT = """printf '{"ok": true}' > /dev/termination-log"""
HANG = "while :; do sleep 0.1; done"
LEAVES = f"trap 'echo saving; exit 0' TERM; {HANG}"
LEAVES_WITH_RESULT = f"leave() {{ echo saving; {RESULT}; exit 0; }}; trap leave TERM; {HANG}"
EATS = """exec python3 -c "x = bytearray(400 << 20); x[::4096] = b'1' * len(x[::4096])" """

Act = Literal["delete", "evict", "stop", "cancel", "suspend", "suspend by others"]
"""What somebody does once the work runs: `stop` is what LongTask does when the time of all attempts is over."""
Until = Literal["ended", "replaced", "waits", "held"]


@dataclass(frozen=True)
class End:
    """A way to end. `main` changes the work container, `beside` other containers by name, `pod` the pod's spec."""

    main: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    act: Act | None = None
    until: Until = "ended"
    """The Job has ended; a second pod exists; a pod waits for 14 s; the Job is suspended and no pod is left."""
    seconds: float = 0
    """How long `waits` waits."""
    shapes: tuple[str, ...] = ("alone", "injected", "sidecar", "second", "init", "all")
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Of the task."""


def bash(script: str, **more: Any) -> dict[str, Any]:
    """Changes a container to run the script."""
    return {"command": ["bash", "-c", script], **more}


INJECTED = "mesh-proxy"
SHAPES: dict[str, dict[str, list[str]]] = {
    "alone": {},
    "injected": {"containers": [INJECTED]},
    "sidecar": {"sidecars": ["proxy"]},
    "second": {"second": ["exporter"]},
    "init": {"init": ["fetch"]},
    "all": {"containers": [INJECTED], "sidecars": ["proxy"], "second": ["exporter"], "init": ["fetch"]},
}
WITH_SIDECAR, WITH_SECOND, WITH_INIT, FEW = ("sidecar", "all"), ("second", "all"), ("init", "all"), ("alone", "all")
MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}

ENDS: dict[str, End] = {
    "exit 0 with a result": End(bash(f"echo working; sleep 1; {RESULT}")),
    "exit 0 without a result": End(bash("echo working; sleep 1")),
    "exit 3": End(bash("echo working; sleep 0.3; echo disk full on /data >&2; exit 3")),
    "exit 512": End(bash("echo working; exec python3 -c 'import os; os._exit(512)'")),
    "killed by SIGSEGV": End(bash("echo working; exec 2>/dev/null; sh -c 'kill -SEGV $$$$'; exit $?")),
    "out of memory": End(bash(f"echo loading; {EATS}")),
    "out of memory in a child": End(bash(f"echo loading; {EATS.replace('exec ', '')}; echo child: $?; exit 9")),
    "out of memory in the sidecar": End(
        bash(f"echo working; sleep 8; {RESULT}"), {"proxy": bash(f"sleep 2; {EATS}")}, shapes=WITH_SIDECAR
    ),
    "out of memory in the second container": End(
        bash(f"echo working; {RESULT}"), {"exporter": bash(f"sleep 2; {EATS}")}, shapes=WITH_SECOND
    ),
    "liveness probe": End(
        bash(
            f"echo working; {HANG}",
            livenessProbe={"exec": {"command": ["sh", "-c", "echo no heartbeat; exit 1"]}, "failureThreshold": 1}
            | {"periodSeconds": 1, "timeoutSeconds": 10},
        )
    ),
    "startup probe": End(
        bash(
            f"echo working; {HANG}",
            startupProbe={"exec": {"command": ["sh", "-c", "echo not there yet; exit 1"]}, "failureThreshold": 1}
            | {"periodSeconds": 1, "timeoutSeconds": 10},
        ),
        shapes=FEW,
    ),
    "postStart hook": End(
        bash(
            f"echo working; {HANG}",
            lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "echo no licence; exit 1"]}}},
        )
    ),
    "evicted by kubelet": End(
        bash(f"echo working; dd if=/dev/zero of=/data/x bs=1M count=8 2>/dev/null; {HANG}", **MOUNT),
        pod={"volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}]},
    ),
    "evicted": End(bash(f"echo working; {HANG}"), act="evict", until="replaced"),
    "evicted, leaves with 0": End(bash(f"echo working; {LEAVES}"), act="evict"),
    "evicted, leaves with 0 and a result": End(bash(f"echo working; {LEAVES_WITH_RESULT}"), act="evict"),
    "deleted": End(bash(f"echo working; {HANG}"), act="delete"),
    "deleted, leaves with 0": End(bash(f"echo working; {LEAVES}"), act="delete", shapes=FEW),
    "deadline of the attempt": End(bash(f"echo working; {HANG}"), pod={"activeDeadlineSeconds": 6}),
    "deadline of the task": End(bash(f"echo working; {HANG}"), act="stop", spec={"activeDeadlineSeconds": 3}),
    "deadline of the task, leaves with 0": End(
        bash(f"echo working; {LEAVES}"), act="stop", spec={"activeDeadlineSeconds": 3}, shapes=FEW
    ),
    "deadline of the task, leaves with 0 and a result": End(
        bash(f"echo working; {LEAVES_WITH_RESULT}"), act="stop", spec={"activeDeadlineSeconds": 3}, shapes=FEW
    ),
    "cancelled": End(bash(f"echo working; {HANG}"), act="cancel"),
    "cancelled, leaves with 0": End(bash(f"echo working; {LEAVES}"), act="cancel", shapes=FEW),
    "cancelled, leaves with 0 and a result": End(bash(f"echo working; {LEAVES_WITH_RESULT}"), act="cancel", shapes=FEW),
    "suspended": End(bash(f"echo working; {HANG}"), act="suspend", until="held"),
    "suspended by others": End(bash(f"echo working; {HANG}"), act="suspend by others", until="held"),
    "second container runs on": End(
        bash(f"echo working; {RESULT}"), {"exporter": bash(HANG)}, until="waits", seconds=8, shapes=WITH_SECOND
    ),
    "second container runs on to the deadline": End(
        bash(f"echo working; {RESULT}"), {"exporter": bash(HANG)}, pod={"activeDeadlineSeconds": 8}, shapes=WITH_SECOND
    ),
    "second container runs on to the deadline of the task": End(
        bash(f"echo working; {RESULT}"),
        {"exporter": bash(HANG)},
        act="stop",
        spec={"activeDeadlineSeconds": 3},
        shapes=WITH_SECOND,
    ),
    "second container fails": End(
        bash(f"echo working; {RESULT}"), {"exporter": bash("sleep 2; echo push failed; exit 1")}, shapes=WITH_SECOND
    ),
    "second container fails first": End(
        bash(f"echo working; sleep 4; {RESULT}"),
        {"exporter": bash("echo push failed; exit 1")},
        shapes=WITH_SECOND,
    ),
    "injected container fails": End(
        bash(f"echo working; {RESULT}"),
        {INJECTED: bash("sleep 2; echo proxy broke; exit 7")},
        shapes=("injected", "all"),
    ),
    "sidecar does not leave": End(
        bash("sleep 1; echo disk full on /data >&2; exit 3"),
        {"proxy": bash(f"trap '' TERM; {HANG}")},
        shapes=WITH_SIDECAR,
    ),
    "init container fails": End(beside={"fetch": bash("echo 'no such bucket: models' >&2; exit 3")}, shapes=WITH_INIT),
    "init container out of memory": End(beside={"fetch": bash(f"echo loading; {EATS}")}, shapes=WITH_INIT),
    "init container works": End(
        beside={"fetch": bash(f"echo downloading; {HANG}")}, until="waits", seconds=6, shapes=WITH_INIT
    ),
    "init container runs to the deadline": End(
        beside={"fetch": bash(f"echo downloading; {HANG}")}, pod={"activeDeadlineSeconds": 6}, shapes=WITH_INIT
    ),
    "no such command": End({"command": ["/no/such/command"]}),
    "no program": End({"command": ["/etc/passwd"]}, shapes=FEW),
    "no such image": End({"image": "localhost/none:1"}, until="waits", seconds=4),
    "image never pulled": End({"image": "localhost/none:1", "imagePullPolicy": "Never"}, until="waits", shapes=FEW),
    "image with a bad name": End({"image": "no image!"}, until="waits", shapes=FEW),
    "no such image of the init container": End(
        beside={"fetch": {"image": "localhost/none:1"}}, until="waits", seconds=4, shapes=WITH_INIT
    ),
    "no such image of the second container": End(
        bash(f"echo working; {HANG}"),
        beside={"exporter": {"image": "localhost/none:1"}},
        until="waits",
        seconds=6,
        shapes=("second",),
    ),
    "no ConfigMap for its variables": End({"envFrom": [{"configMapRef": {"name": "none"}}]}, until="waits", shapes=FEW),
    "runs as root": End({"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}, until="waits", shapes=FEW),
    "no Secret for its volume": End(
        MOUNT, pod={"volumes": [{"name": "data", "secret": {"secretName": "none"}}]}, until="waits", seconds=20
    ),
    "no ConfigMap for its volume": End(
        MOUNT,
        pod={"volumes": [{"name": "data", "configMap": {"name": "none"}}]},
        until="waits",
        seconds=20,
        shapes=("alone",),
    ),
    "no PersistentVolumeClaim": End(
        MOUNT,
        pod={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "none"}}]},
        until="waits",
        shapes=FEW,
    ),
    "more CPU than any node": End(
        {"resources": {"requests": {"cpu": "1000", "memory": "16Mi"}}}, until="waits", shapes=FEW
    ),
    "no node with the label": End(pod={"nodeSelector": {"gpu": "a100"}}, until="waits", shapes=FEW),
    "scheduling gate": End(pod={"schedulingGates": [{"name": "example.com/quota"}]}, until="waits", shapes=FEW),
    "sidecar crashes": End(
        beside={"proxy": bash("echo port in use >&2; exit 1")}, until="waits", seconds=14, shapes=WITH_SIDECAR
    ),
    "no such command of the sidecar": End(
        beside={"proxy": {"command": ["/no/such/command"]}}, until="waits", seconds=8, shapes=WITH_SIDECAR
    ),
    "startup probe of the sidecar": End(
        beside={
            "proxy": bash(
                HANG,
                startupProbe={"exec": {"command": ["sh", "-c", "echo no certificate yet; exit 1"]}}
                | {"periodSeconds": 1, "failureThreshold": 100, "timeoutSeconds": 10},
            )
        },
        until="waits",
        seconds=14,
        shapes=WITH_SIDECAR,
    ),
    "Pod Security refuses it": End({"securityContext": {"privileged": True}}, until="waits", shapes=FEW),
    "quota refuses it": End({"resources": {"requests": {"cpu": "5m", "memory": "200Gi"}}}, until="waits", shapes=FEW),
}


@dataclass(frozen=True)
class Cell:
    """One pod to record."""

    end_name: str
    shape: str

    @property
    def name(self) -> str:
        """As the table calls it."""
        return f"{self.end_name} | {self.shape}"

    @property
    def recorded(self) -> Path:
        """The file with what happened to it."""
        name = self.end_name.replace(" ", "-").replace(",", "")
        return Path(__file__).parent / "recorded" / f"{name}.{self.shape}.json.gz"

    @property
    def end(self) -> End:
        """How it ends."""
        return ENDS[self.end_name]

    def pod_spec(self) -> dict[str, Any]:
        """Of the author's podTemplate, without what is injected."""
        shape = SHAPES[self.shape]
        spec: dict[str, Any] = {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [self._container("main", bash("echo working"))],
        }
        for name in shape.get("second", []):
            spec["containers"].append(self._container(name, bash("sleep 2; echo pushed")))
        for name in shape.get("sidecars", []):
            sidecar = self._container(name, bash(f"trap 'exit 0' TERM; {HANG}")) | {"restartPolicy": "Always"}
            spec.setdefault("initContainers", []).append(sidecar)
        for name in shape.get("init", []):
            spec.setdefault("initContainers", []).append(self._container(name, bash("echo fetched")))
        return spec | deepcopy(dict(self.end.pod))

    def injected(self) -> list[dict[str, Any]]:
        """Containers that something else puts before those of the template."""
        proxy = bash("trap 'exit 0' TERM; for i in 1 2 3 4; do sleep 1; done; echo proxy leaves")
        return [self._container(name, proxy) for name in SHAPES[self.shape].get("containers", [])]

    def _container(self, name: str, does: Mapping[str, Any]) -> dict[str, Any]:
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsUser": 65532}
        resources = {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"memory": "48Mi"}}
        changes = self.end.main if name == "main" else self.end.beside.get(name, {})
        return {"name": name, "image": IMAGE, "securityContext": security, "resources": resources} | deepcopy(
            {**does, **changes}
        )


def cells() -> Iterator[Cell]:
    """All of them."""
    for end_name, end in ENDS.items():
        for shape in end.shapes:
            yield Cell(end_name, shape)
