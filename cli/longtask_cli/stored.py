"""Data of a task that lies outside its object: what a kubeconfig can reach of it."""

import base64
import hashlib
import re

from longtask_api.longtask import LongTask
from longtask_api.reports import Artifact, Reference
from longtask_cli.cluster import Cluster
from longtask_cli.problem import Problem
from longtask_cli.text import size
from longtask_runtime.kube import KubeError

CONFIG_MAP = "configmap:"
CONTENT = "content"


async def content(cluster: Cluster, task: LongTask, what: str, kept: Artifact | Reference) -> bytes:
    """The bytes of a result or an artifact (`what`), with their digest verified. Raises Problem, with another way."""
    uri = kept.uri or ""
    if uri.startswith(CONFIG_MAP):
        data = await _config_map(cluster, task, what, uri.removeprefix(CONFIG_MAP))
        if kept.sha256 is not None and hashlib.sha256(data).hexdigest() != kept.sha256:
            raise Problem(f"{what} was changed since the work handed it in: ConfigMap {uri.removeprefix(CONFIG_MAP)}")
        return data
    if not uri:
        raise Problem(f"{what} has no place: the work only named it")
    much = f" ({size(kept.size)})" if kept.size is not None else ""
    if uri.startswith("s3://"):
        raise Problem(
            f"{what}{much} lies in {uri}, which a kubeconfig does not reach. With credentials for the bucket: "
            f"aws s3 cp {uri} .{_agents_way(task)}"
        )
    raise Problem(f"{what}{much} lies where the work has put it: {uri}")


def _agents_way(task: LongTask) -> str:
    if task.spec.requester is None:
        return ""
    return f". The agent that started it reads it with get_task_results, task ID {task.metadata.uid}"


async def _config_map(cluster: Cluster, task: LongTask, what: str, name: str) -> bytes:
    if not re.fullmatch(r"[a-z0-9.-]+", name) or not name.endswith(f"-{task.metadata.uid}"):
        raise Problem(f"{what} is said to lie in ConfigMap {name}, which is none of this task")
    try:
        document = await cluster.request("GET", f"/api/v1/namespaces/{cluster.namespace}/configmaps/{name}")
    except KubeError as error:
        if error.status == 404:
            raise Problem(
                f"{what} is gone: ConfigMap {name} was deleted. Start the task again to have it made anew"
            ) from error
        if error.status == 403:
            raise Problem(
                f"{what} lies in ConfigMap {name}: {error.message}. Ask an administrator of the namespace for the "
                f"right to get ConfigMaps (docs/cli.md){_agents_way(task)}"
            ) from error
        raise cluster.problem(error) from error
    except OSError as error:
        raise cluster.problem(error) from error
    try:
        return base64.b64decode(document["binaryData"][CONTENT], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise Problem(f"{what} was changed: ConfigMap {name} has no binaryData.{CONTENT}") from error
