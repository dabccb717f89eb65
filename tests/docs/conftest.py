"""The chart, the operator, the MCP server and the namespaces of their own tests, for what the pages show of them."""

from tests.chart.conftest import helm, render
from tests.mcp.conftest import alice, kubeconfig, replica, world
from tests.operator.conftest import namespace, operator, pod_of, tasks, unique

__all__ = [
    "alice",
    "helm",
    "kubeconfig",
    "namespace",
    "operator",
    "pod_of",
    "render",
    "replica",
    "tasks",
    "unique",
    "world",
]
