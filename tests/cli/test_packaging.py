"""What the wheel brings, and what the command line needs of the extra."""

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml

from tests.cli.program import ROOT, SOURCES, Cli
from tests.patience import PATIENCE

LOADED = """
import importlib, json, pkgutil, sys
import longtask_cli
for module in pkgutil.walk_packages(longtask_cli.__path__, "longtask_cli."):
    importlib.import_module(module.name)
from importlib.metadata import packages_distributions
known = packages_distributions()
names = {name for name, module in sys.modules.items() if getattr(module, "__file__", None)}  # no namespaces
names = {name.partition(".")[0] for name in names if name in known}
print(json.dumps(sorted({each for name in names for each in known[name]})))
"""
OWN = {"longtask-sdk", "coverage", "setuptools", "pip"}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(distribution: str, seen: set[str]) -> None:
    """The distribution, and what it needs itself, without its extras."""
    if plain(distribution) in seen:
        return
    seen.add(plain(distribution))
    for requirement in requires(distribution) or []:
        if (
            "extra ==" not in requirement
            and "python_version <" not in requirement
            and "sys_platform" not in requirement
        ):
            needed(re.split(r"[ ;<>=!~\[(]", requirement)[0], seen)


def test_the_extra_brings_all_that_is_imported() -> None:
    extra: set[str] = set()
    for requirement in requires("longtask-sdk") or []:
        if re.search(r"extra == ['\"]cli['\"]", requirement):
            needed(re.split(r"[ ;<>=!~\[(]", requirement)[0], extra)
    assert {"click", "rich", "kubernetes"} <= extra
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCES}
    ran = subprocess.run([sys.executable, "-c", LOADED], env=environment, check=True, capture_output=True, timeout=60)
    loaded = {plain(each) for each in json.loads(ran.stdout)}
    assert loaded - extra - OWN == set()


def test_the_wheel_has_the_programs_and_needs_nothing_without_an_extra(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as wheel:
        names = wheel.namelist()
        entries = next(wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
        metadata = next(wheel.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert "longtask_cli/commands/start.py" in names
    assert "longtask_cli/py.typed" in names
    for program in ("longtask", "kubectl-longtask"):
        assert f"{program} = longtask.__main__:main\n" in entries
    assert "kubectl_complete-longtask = longtask.__main__:complete\n" in entries
    assert all("extra ==" in line for line in metadata.splitlines() if line.startswith("Requires-Dist"))


def test_the_manifest_for_krew_names_the_program() -> None:
    manifest = yaml.safe_load((ROOT / "cli" / "krew.yaml").read_text())
    (platform,) = manifest["spec"]["platforms"]
    assert platform["bin"] == f"kubectl-{manifest['metadata']['name']}"
    assert ".invalid/" in platform["uri"]  # never published


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_kubectl_finds_the_program_and_its_completion(cli: Cli) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | cli.environment | {"PATH": path}

    def run(*command: str) -> str:
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    assert "Usage: kubectl longtask" in run("kubectl", "longtask", "list", "--help")
    assert "cancel\t" in run("kubectl", "__complete", "longtask", "canc")
    ran = subprocess.run(
        ["kubectl", "longtask", "show", "nosuch"], env=environment, check=False, capture_output=True, timeout=60
    )
    assert ran.returncode == 4  # kubectl passes it on


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion_for_each_shell(shell: str) -> None:
    assert "_LONGTASK_COMPLETE" in Cli().done("completion", shell)


def test_connect_prints_the_way_the_token_and_the_client() -> None:
    cli = Cli(KUBECONFIG="/no/such/file")
    for client in ("claude-code", "strands", "fastmcp", "inspector"):
        told = cli.done("connect", client, "--account", "agents/alice", "--context", "prod")
        assert "kubectl --context prod port-forward -n longtask-system service/longtask-mcp 8080:80" in told
        assert "create token alice -n agents" in told
        assert "--audience longtask.dev/mcp" in told
        assert "http://127.0.0.1:8080/mcp" in told
        assert "MCP_TOKEN" in told.partition("# 4. ")[2]
    assert "service/mine-longtask-mcp" in cli.done("connect", "strands", "--release", "mine")
    assert cli("connect", "strands", "--account", "alice").code == 4
    told = cli.done("connect", "claude-code")
    assert json.loads(told[told.index("    {") :])["mcpServers"]["longtask"]["type"] == "http"


@pytest.mark.parametrize("client", ["strands", "fastmcp"])
def test_what_connect_prints_for_python_is_python(client: str) -> None:
    told = Cli().done("connect", client).partition("# 4. ")[2].partition("\n")[2]
    compile("\n".join(line[4:] for line in told.splitlines()), client, "exec")
