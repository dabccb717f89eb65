"""Run by `helm test`: starts a task from the template helm-test and waits until it has succeeded and told so."""

import os
import sys
import time

from kubernetes import client, config

API = ("longtask.dev", "v1alpha1", os.environ["TASK_NAMESPACE"], "longtasks")
SECONDS = 120
TASK = {
    "apiVersion": "longtask.dev/v1alpha1",
    "kind": "LongTask",
    "metadata": {"generateName": "helm-test-"},
    "spec": {"templateRef": {"name": "helm-test"}, "parameters": {"number": 21}},
}


def main() -> None:
    config.load_incluster_config()
    tasks = client.CustomObjectsApi()
    name = tasks.create_namespaced_custom_object(*API, TASK)["metadata"]["name"]
    print(f"started {name}", flush=True)
    try:
        status = outcome(tasks, name)
    finally:
        tasks.delete_namespaced_custom_object(*API, name)
    result, progress = status.get("result", {}).get("value"), status.get("progress", {}).get("message")
    if status.get("phase") != "Succeeded" or result != {"answer": 42} or progress != "doubled":
        sys.exit(f"the task should have told the progress 'doubled' and the answer 42; its status is {status}")
    print(f"succeeded with {result} and the progress {progress!r}")


def outcome(tasks: client.CustomObjectsApi, name: str) -> dict:
    """The task's status once the work has ended, or as it is after SECONDS."""
    deadline = time.monotonic() + SECONDS
    while True:
        status = tasks.get_namespaced_custom_object(*API, name).get("status", {})
        if "completionTime" in status or time.monotonic() > deadline:
            return status
        time.sleep(1)


main()
