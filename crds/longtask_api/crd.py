"""The two CustomResourceDefinitions, generated from the models."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import getdoc
from typing import Any

from longtask_api import constants, rules
from longtask_api.base import ApiModel
from longtask_api.longtask import LongTask
from longtask_api.schema import structural
from longtask_api.template import LongTaskTemplate


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; columns of priority 1 are shown only with -o wide."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""

    def to_api(self) -> dict[str, Any]:
        """The entry of additionalPrinterColumns."""
        entry: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            entry["description"] = self.description
        return entry | ({"priority": self.priority} if self.priority else {})


_READY = "?(@.type=='Ready')"


def task_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of LongTask."""
    return _crd(
        LongTask,
        constants.TASK_PLURAL,
        ["lt"],
        rules.TASK_RULES,
        [
            Column("Template", ".spec.templateRef.name"),
            Column("Phase", ".status.phase"),
            Column("Progress", ".status.progress.display"),
            Column("Age", ".metadata.creationTimestamp", "date"),
            Column("Attempts", ".status.attemptCount", "integer", priority=1),
            Column("Job", ".status.jobRef.name", priority=1),
            Column("Requester", ".spec.requester.principal", priority=1),
            Column("Message", ".status.message", priority=1),
        ],
        [".spec.templateRef.name", ".status.phase"],
    )


def template_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of LongTaskTemplate."""
    return _crd(
        LongTaskTemplate,
        constants.TEMPLATE_PLURAL,
        ["ltt"],
        rules.TEMPLATE_RULES,
        [
            Column("Title", ".spec.title"),
            Column("Ready", f".status.conditions[{_READY}].status"),
            Column("Reason", f".status.conditions[{_READY}].reason"),
            Column("Age", ".metadata.creationTimestamp", "date"),
            Column("Message", f".status.conditions[{_READY}].message", priority=1),
        ],
        [],
    )


def _crd(
    model: type[ApiModel],
    plural: str,
    short_names: list[str],
    validations: Sequence[rules.Rule],
    columns: list[Column],
    selectable: list[str],
) -> dict[str, Any]:
    kind = model.__name__
    spec, status = model.model_fields["spec"], model.model_fields["status"]
    schema = {
        "description": getdoc(model),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Version of the API: {constants.API_VERSION}."},
            "kind": {"type": "string", "description": f"Type of the object: {kind}."},
            # CRD schemas may restrict only name and generateName here; the name rule's fieldPath needs the name
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural(spec.annotation) | {"description": spec.description},
            "status": structural(status.annotation) | {"description": status.description},
        },
        "x-kubernetes-validations": [rule.to_api() for rule in validations],
    }
    version: dict[str, Any] = {
        "name": constants.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.to_api() for column in columns],
        "schema": {"openAPIV3Schema": schema},
    }
    if selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{constants.GROUP}"},
        "spec": {
            "group": constants.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": short_names,
                "categories": ["mcp"],
            },
            "versions": [version],
        },
    }
