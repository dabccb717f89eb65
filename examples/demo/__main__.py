"""`python -m examples.demo`: the whole story, on the cluster that KUBECONFIG names; needs kubectl and helm.

IMAGE, MODEL_TRAINING_IMAGE and AGENTCORE_EMULATOR_IMAGE name other images than those that `make image` builds. The
agent is one of the Strands framework, in .venv-strands; its memory a local stand-in for AgentCore Memory.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SYSTEM, TASKS, AGENTS, AGENT = "longtask-system", "longtask-tasks", "agents", "researcher"
IMAGE = os.environ.get("IMAGE", "localhost/longtask:dev")
EMULATOR_IMAGE = os.environ.get("AGENTCORE_EMULATOR_IMAGE", "localhost/agentcore-emulator:dev")
MEMORY, ACTOR, REGION = "demo-a1b2c3d4e5", "ann", "us-east-1"
ANY_KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
TRAINING_IMAGE = os.environ.get("MODEL_TRAINING_IMAGE", "localhost/model-training:dev")


def main() -> None:
    title("The platform engineer installs LongTask")
    again = (
        subprocess.run(["helm", "status", "longtask", "-n", SYSTEM], capture_output=True, check=False).returncode == 0
    )
    repository, _, tag = IMAGE.rpartition(":")
    run("kubectl", "apply", "-f", "examples/demo/agent.yaml")
    memory()
    run(
        *("helm", "upgrade", "--install", "longtask", "charts/longtask", "-n", SYSTEM, "--create-namespace"),
        *("--set", f"image.repository={repository},image.tag={tag}"),
        *("--values", "examples/demo/values.yaml"),
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
    with port_forward("longtask-mcp") as mcp, port_forward("agentcore-emulator") as agentcore:
        environment = {
            **os.environ,
            **ANY_KEYS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": agentcore,
            "MCP_URL": f"{mcp}/mcp",
            "MCP_TOKEN": token,
            "DEMO_MEMORY": MEMORY,
            "DEMO_ACTOR": ACTOR,
            "DEMO_SESSION": f"demo-{uuid.uuid4()}",
        }
        title("A conversation: the agent starts the training, and its process ends")
        conversation("start", environment)
        run("kubectl", "get", "longtasks", "-n", TASKS, "-o", "wide")

        title("Whoever is curious follows it")
        agent("agent_resume", environment)
        newest = output(
            "kubectl", "get", "longtasks", "-n", TASKS, "--sort-by=.metadata.creationTimestamp", "-o", "name"
        )
        task = newest.splitlines()[-1]
        run("kubectl", "wait", "-n", TASKS, task, "--for=condition=Delivered", "--timeout=90s")
        run("kubectl", "get", "-n", TASKS, task, "-o", "jsonpath={.status.delivery}")

        title("Days later: another process opens the session, and knows before anybody says a word")
        recalled = conversation("recall", environment)
        uid = output("kubectl", "get", "-n", TASKS, task, "-o", "jsonpath={.metadata.uid}")
        if f"task ID {uid}" not in recalled or "completed in" not in recalled:
            sys.exit("the session does not have the result")

    title("What the cluster remembers")
    run("kubectl", "get", "longtasks", "-n", TASKS, "-o", "wide")
    print("\nDEMO OK")


def memory() -> None:
    """A place for conversations: AgentCore Memory's stand-in, in the cluster."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    emulator = (ROOT / "agentcore_emulator" / "emulator.yaml").read_text()
    apply = ["kubectl", "apply", "-n", SYSTEM, "-f", "-"]
    for manifest in (json.dumps(namespace), emulator.replace("localhost/agentcore-emulator:dev", EMULATOR_IMAGE)):
        subprocess.run(apply, input=manifest, text=True, check=True, stdout=subprocess.DEVNULL)
    ready = ("rollout", "status", "deployment/agentcore-emulator", "-n", SYSTEM, "--timeout=2m")
    run("kubectl", *ready, show_output=False)


@contextmanager
def port_forward(service: str) -> Iterator[str]:
    """The URL of a Service through a tunnel that ends with the block."""
    command = ["kubectl", "port-forward", "-n", SYSTEM, f"service/{service}", ":80", "--address", "127.0.0.1"]
    # It complains of clients that close their connections.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tunnel:
        try:
            assert tunnel.stdout is not None
            line = tunnel.stdout.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", line)
            if port is None:
                sys.exit(f"kubectl port-forward did not start: {line}")
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            tunnel.terminate()


def conversation(what: str, environment: dict[str, str]) -> str:
    """Run the Strands agent in a process of its own; what it prints, which is shown too."""
    command = [str(ROOT / ".venv-strands/bin/python"), str(ROOT / "examples/demo/conversation.py"), what]
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    print(process.stdout, flush=True)
    if process.returncode:
        sys.exit(f"conversation.py {what} failed")
    return process.stdout


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
