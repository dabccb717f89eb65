"""The kinds of work that the tests start."""

import inspect
import os
from pathlib import Path
from typing import Any

import yaml

import longtask
from longtask_api import constants
from tests.e2e import works
from tests.operator.tasks import container, template_spec

EXAMPLES_FOLDER = Path(__file__).resolve().parents[2] / "examples"

NO_NODE = {"no": "such-node"}
SMALL = {"requests": {"cpu": "10m", "memory": "32Mi"}}
"""Little enough for any node, and said because a ResourceQuota may want it said."""


def work(pod: dict[str, Any] | None = None, main: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A template's spec with more in its pod, in its container and in itself."""
    return template_spec({"containers": [container(**{"resources": SMALL, **(main or {})})], **(pod or {})}, **more)


def document(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A LongTaskTemplate."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TEMPLATE_KIND,
        "metadata": {"name": name},
        "spec": spec,
    }


def through_sdk(task: longtask.Task[..., Any], **more: Any) -> dict[str, Any]:
    """A template's spec for a task of the module works."""
    name, result_schema = task.signature.name, task.signature.result_schema()
    code = f"""{inspect.getsource(works)}
import sys
from longtask.__main__ import main
sys.argv = ["longtask", "run", "__main__:{name}"]
main()
"""
    return work(
        main={"command": ["python3", "-c", code]},
        parametersSchema=task.signature.parameters_schema(),
        **({} if result_schema is None else {"resultSchema": result_schema}),
        **more,
    )


def example(name: str, folder: str, variable: str, **pod: Any) -> dict[str, Any]:
    """The example's template under another name, with more in its pod, and with the image that the variable names."""
    template: dict[str, Any] = yaml.safe_load((EXAMPLES_FOLDER / folder / "template.yaml").read_text())
    pod_spec = template["spec"]["podTemplate"]["spec"]
    [main] = pod_spec["containers"]
    main["image"] = os.environ.get(variable, main["image"])
    main["resources"]["requests"] = SMALL["requests"]
    pod_spec |= pod
    template["metadata"]["name"] = name
    return template


SPECS = {
    "e2e-python": work(title="Python Code"),
    "e2e-small": work(main={"resources": {**SMALL, "limits": {"memory": "32Mi"}}}),
    "e2e-short": work(activeDeadlineSeconds=30),
    "e2e-held": work(activeDeadlineSeconds=30),
    "e2e-no-node": work({"nodeSelector": NO_NODE}),
    "e2e-no-node-soon": work({"nodeSelector": NO_NODE}, startTimeoutSeconds=20),
    "e2e-no-image": work(main={"image": "localhost/none:1"}, startTimeoutSeconds=45),
    "e2e-number": work(
        main={"command": ["sh", "-c", "echo -n $(LONGTASK_PARAM_NUMBER) > /dev/termination-log"]},
        parametersSchema={
            "type": "object",
            "properties": {"number": {"type": "integer"}},
            "required": ["number"],
        },
    ),
    "e2e-steps": through_sdk(works.steps),
    "e2e-milestones": through_sdk(works.milestones, delivery={"milestones": [30, 60], "longTermRecord": True}),
    "e2e-large": through_sdk(works.large),
    "e2e-asks": through_sdk(works.asks),
    "e2e-faces": through_sdk(works.faces),
}
EXAMPLES = [
    # The processes of the pod see each other, so that a test can kill the work.
    example("e2e-model-training", "model_training", "MODEL_TRAINING_IMAGE", shareProcessNamespace=True),
    example("e2e-data-processing", "data_processing", "DATA_PROCESSING_IMAGE"),
    example("e2e-bash-task", "bash", "BASH_TASK_IMAGE"),
]
TEMPLATES: dict[str, dict[str, Any]] = {
    **{name: document(name, spec) for name, spec in SPECS.items()},
    **{each["metadata"]["name"]: each for each in EXAMPLES},
}
"""Each as it is applied, by its name."""
