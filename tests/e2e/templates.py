"""The kinds of work that the tests start."""

from typing import Any

from tests.operator.tasks import container, template_spec

NO_NODE = {"no": "such-node"}
SMALL = {"requests": {"cpu": "10m", "memory": "32Mi"}}
"""Little enough for any node, and said because a ResourceQuota may want it said."""


def work(pod: dict[str, Any] | None = None, main: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A template's spec with more in its pod, in its container and in itself."""
    return template_spec({"containers": [container(**{"resources": SMALL, **(main or {})})], **(pod or {})}, **more)


TEMPLATES: dict[str, dict[str, Any]] = {
    "e2e-python": work(title="Python Code"),
    "e2e-small": work(main={"resources": {**SMALL, "limits": {"memory": "32Mi"}}}),
    "e2e-short": work(activeDeadlineSeconds=5),
    "e2e-twelve-seconds": work(activeDeadlineSeconds=12),
    "e2e-no-node": work({"nodeSelector": NO_NODE}),
    "e2e-no-node-soon": work({"nodeSelector": NO_NODE}, startTimeoutSeconds=8),
    "e2e-no-image": work(main={"image": "localhost/none:1"}, startTimeoutSeconds=8),
    "e2e-number": work(
        main={"command": ["sh", "-c", "echo -n $(LONGTASK_PARAM_NUMBER) > /dev/termination-log"]},
        parametersSchema={
            "type": "object",
            "properties": {"number": {"type": "integer"}},
            "required": ["number"],
        },
    ),
}
