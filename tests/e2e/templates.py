"""The kinds of work that the tests start."""

from typing import Any

from tests.operator.tasks import container, template_spec

NUMBER = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}

TEMPLATES: dict[str, dict[str, Any]] = {
    "e2e-python": template_spec(title="Python Code"),
    "e2e-small": template_spec({"containers": [container(resources={"limits": {"memory": "32Mi"}})]}),
    "e2e-short": template_spec(activeDeadlineSeconds=5),
    "e2e-twelve-seconds": template_spec(activeDeadlineSeconds=12),
    "e2e-no-node": template_spec({"nodeSelector": {"no": "such-node"}}),
    "e2e-no-node-soon": template_spec({"nodeSelector": {"no": "such-node"}}, startTimeoutSeconds=8),
    "e2e-no-image": template_spec({"containers": [container(image="localhost/none:1")]}, startTimeoutSeconds=8),
    "e2e-number": template_spec(
        {"containers": [container(command=["sh", "-c", "echo -n $(LONGTASK_PARAM_NUMBER) > /dev/termination-log"])]},
        parametersSchema=NUMBER,
    ),
}
