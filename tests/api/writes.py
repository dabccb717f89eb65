"""The four ways in which one change can be written to an object."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from tests.kube import Answer, Kube

REMOVED: Final = object()


@dataclass(frozen=True)
class Change:
    """A field, by its path with dots, and the value it shall have; REMOVED takes it away."""

    field: str
    value: Any

    @property
    def part(self) -> str:
        """spec or status: what the change touches."""
        return self.field.split(".")[0]

    def made_in(self, document: Any) -> Any:
        """A copy of the document with the change."""
        changed = deepcopy(document)
        *parents, last = self.field.split(".")
        place = changed
        for parent in parents:
            place = place.setdefault(parent, {})
        if self.value is REMOVED:
            place.pop(last, None)
        else:
            place[last] = deepcopy(self.value)
        return changed


@dataclass(frozen=True)
class Stored:
    """An object that a manager named author applied, and so owns."""

    kube: Kube
    path: str

    def read(self) -> Any:
        """The object as it is now."""
        return self.kube.get(self.path).done()

    def write(self, verb: str, change: Change) -> Answer:
        """Make the change in one of the four ways."""
        path = f"{self.path}/status" if change.part == "status" else self.path
        return VERBS[verb](self.kube, path, self.read(), change)


def _merge_patch(kube: Kube, path: str, before: Any, change: Change) -> Answer:
    patch = _difference(before, change.made_in(before))
    return kube.request("PATCH", path, patch, content="application/merge-patch+json")


def _json_patch(kube: Kube, path: str, before: Any, change: Change) -> Answer:
    target = "/" + change.field.replace(".", "/")
    operation = (
        {"op": "remove", "path": target}
        if change.value is REMOVED
        else {"op": "add", "path": target, "value": change.value}
    )
    return kube.request("PATCH", path, [operation], content="application/json-patch+json")


def _put(kube: Kube, path: str, before: Any, change: Change) -> Answer:
    return kube.request("PUT", path, change.made_in(before))


def _server_side_apply(kube: Kube, path: str, before: Any, change: Change) -> Answer:
    wanted = change.made_in(before)
    body = {
        "apiVersion": before["apiVersion"],
        "kind": before["kind"],
        "metadata": {"name": before["metadata"]["name"]},
    }
    if change.part in wanted:
        body[change.part] = wanted[change.part]
    return kube.apply(path, body)


VERBS: Final[Mapping[str, Callable[[Kube, str, Any, Change], Answer]]] = {
    "merge patch": _merge_patch,
    "JSON patch": _json_patch,
    "PUT": _put,
    "server-side apply": _server_side_apply,
}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that leads from one to the other."""
    patch: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            patch[key] = _difference(old, value)
        elif key not in before or value != old:
            patch[key] = value
    return patch
