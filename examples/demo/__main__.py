"""`python -m examples.demo`: the whole story, on the cluster that KUBECONFIG names; needs kubectl and helm.

IMAGE and MODEL_TRAINING_IMAGE name other images than those that `make image` builds.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SYSTEM, TASKS, AGENTS, AGENT = "longtask-system", "longtask-tasks", "agents", "researcher"
IMAGE = os.environ.get("IMAGE", "localhost/longtask:dev")
TRAINING_IMAGE = os.environ.get("MODEL_TRAINING_IMAGE", "localhost/model-training:dev")


def main() -> None:
    title("The platform engineer installs LongTask")
    again = (
        subprocess.run(["helm", "status", "longtask", "-n", SYSTEM], capture_output=True, check=False).returncode == 0
    )
    repository, _, tag = IMAGE.rpartition(":")
    run("kubectl", "apply", "-f", "examples/demo/agent.yaml")
    run(
        *("helm", "upgrade", "--install", "longtask", "charts/longtask", "-n", SYSTEM, "--create-namespace"),
        *("--set", f"image.repository={repository},image.tag={tag}"),
        *("--set", f"agents[0].namespace={AGENTS},agents[0].serviceAccount={AGENT}"),
        *("--take-ownership", "--wait", "--timeout", "3m"),  # whoever applied the CRDs before
        show_output=False,
    )
    if again:  # the image may be a new one under the same name
        run("kubectl", "rollout", "restart", "deployment", "-n", SYSTEM, show_output=False)
        for name in ("longtask-operator", "longtask-mcp"):
            run("kubectl", "rollout", "status", f"deployment/{name}", "-n", SYSTEM, "--timeout=3m", show_output=False)
    run("kubectl", "get", "pods", "-n", SYSTEM)

    title("and offers a training as a tool")
    run("kubectl", "apply", "-n", TASKS, "-f", "examples/model_training/template.yaml")
    if TRAINING_IMAGE != "localhost/model-training:dev":  # what the template says
        patch = [{"op": "replace", "path": "/spec/podTemplate/spec/containers/0/image", "value": TRAINING_IMAGE}]
        change = ("--type=json", f"--patch={json.dumps(patch)}")
        run("kubectl", "patch", "longtasktemplate", "model-training", "-n", TASKS, *change)
    ready = ("--for=condition=Ready", "longtasktemplate/model-training", "--timeout=60s")
    run("kubectl", "wait", "-n", TASKS, *ready, show_output=False)
    run("kubectl", "get", "longtasktemplates", "-n", TASKS)

    token = output("kubectl", "create", "token", AGENT, "-n", AGENTS, "--audience", "longtask.dev/mcp")
    with port_forward() as url:
        environment = {**os.environ, "MCP_URL": url, "MCP_TOKEN": token}
        title("An agent starts the training and goes away")
        agent("agent_start", environment)
        run("kubectl", "get", "longtasks", "-n", TASKS, "-o", "wide")

        title("Another process comes back for it")
        agent("agent_resume", environment)

    title("What the cluster remembers")
    run("kubectl", "get", "longtasks", "-n", TASKS, "-o", "wide")
    print("\nDEMO OK")


@contextmanager
def port_forward() -> Iterator[str]:
    """The URL of the MCP server through a tunnel that ends with the block."""
    command = ["kubectl", "port-forward", "-n", SYSTEM, "service/longtask-mcp", ":80", "--address", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tunnel:
        try:
            assert tunnel.stdout is not None
            line = tunnel.stdout.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", line)
            if port is None:
                sys.exit(f"kubectl port-forward did not start: {line}")
            yield f"http://127.0.0.1:{port[1]}/mcp"
        finally:
            tunnel.terminate()


def agent(module: str, environment: dict[str, str]) -> None:
    """Run one agent to its end, in a process of its own."""
    process = subprocess.run([sys.executable, "-m", f"examples.demo.{module}"], cwd=ROOT, env=environment, check=False)
    if process.returncode:
        sys.exit(f"{module} failed")
    print()


def run(*command: str, show_output: bool = True) -> None:
    """Show a command, run it, and stop with its words if it fails."""
    print(f"$ {' '.join(command)}", flush=True)
    process = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if show_output or process.returncode:
        print(process.stdout, flush=True)
    if process.returncode:
        sys.exit(f"{command[0]} {command[1]} failed")


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def title(text: str) -> None:
    print(f"\n=== {text} ===\n", flush=True)


if __name__ == "__main__":
    main()
