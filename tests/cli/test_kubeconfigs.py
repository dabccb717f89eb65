"""Kubeconfigs that are wrong, clusters that are away, credentials that have ended: a sentence, no traceback."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import cluster_entry, put, with_token, with_user
from tests.cli.program import Cli
from tests.kube import Kube
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster


def config(path: Path, **more: Any) -> dict[str, Any]:
    document = json.loads(with_token(path, "x").read_text())
    return {**document, **more}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no kubeconfig at"),
        ("", "cannot be read: "),
        ("just text", "cannot be read: "),
        ("[1, 2]", "cannot be read: "),
        ("{", "cannot be read: "),
        ("\x00\xff", "cannot be read: "),
        ("apiVersion: v1\nkind: Config\n", "has no current context. It has none"),
        (
            '{"current-context": "gone", "contexts": [{"name": "here", "context": {}}]}',
            "has no context 'gone'. It has here",
        ),
        ('{"current-context": "here", "contexts": [{"name": "here", "context": {}}]}', "cannot be used: "),
        (
            '{"current-context": "here", "contexts": [{"name": "here", "context": {"cluster": "c"}}], '
            '"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", '
            '"certificate-authority-data": "bm8="}}]}',
            "its certificates cannot be used",
        ),
        (
            '{"current-context": "here", "contexts": [{"name": "here", "context": {"cluster": "c"}}], '
            '"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", '
            '"certificate-authority": "/no/such/file"}}]}',
            "/no/such/file",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told(cli: Cli, tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    for command in (["list"], ["show", "x"], ["doctor"], ["start", "x"]):
        ran = cli.but(KUBECONFIG=str(file))(*command)
        assert (ran.code, ran.out) == (4, "")
        assert says in ran.err
        assert len(ran.err.splitlines()) <= 4


def test_a_context_is_chosen_and_an_unknown_one_told(cli: Cli) -> None:
    ran = cli("list", "--context", "nosuch")
    assert ran.code == 4
    assert "has no context 'nosuch'. It has " in ran.err
    known = ran.err.strip().rpartition(" ")[2]
    assert cli("list", "--context", known).code == 0


def test_several_kubeconfigs_are_merged(cli: Cli, tmp_path: Path) -> None:
    """As kubectl merges those of KUBECONFIG."""
    other = with_token(tmp_path / "other", "x")
    merged = cli.but(KUBECONFIG=f"{tmp_path / 'missing'}:{cli.environment['KUBECONFIG']}:{other}")
    assert merged("list").code == 0 or "credentials" in merged("list").err
    assert "tests" in merged("list", "--context", "nosuch").err


def test_the_namespace_is_that_of_the_option_the_variable_the_context_or_the_chart(
    cli: Cli, kube: Kube, tmp_path: Path, person: Any
) -> None:
    def says(cli: Cli, *arguments: str) -> str:
        return cli("list", *arguments).err

    token = json.loads(Path(person("placed", []).environment["KUBECONFIG"]).read_text())["users"][0]["user"]
    placed = cli.but(KUBECONFIG=str(with_user(tmp_path / "config", token, namespace="of-context")))
    assert 'namespace "of-option"' in says(placed, "-n", "of-option")
    assert f'namespace "{kube.namespace}"' in says(placed)
    assert 'namespace "of-context"' in says(placed.but(LONGTASK_NAMESPACE=""))
    plain = placed.but(LONGTASK_NAMESPACE="", KUBECONFIG=str(with_user(tmp_path / "plain", token)))
    assert 'namespace "longtask-tasks"' in says(plain)


@pytest.mark.parametrize("name", ["../kube-system", "a b", "Tasks", "a/../b", "-a", "x" * 64])
def test_what_is_no_name_of_a_namespace_is_told(cli: Cli, name: str) -> None:
    for ran in (cli("list", f"--namespace={name}"), cli.but(LONGTASK_NAMESPACE=name)("list")):
        assert (ran.code, ran.out) == (4, "")
        assert "is no name of a namespace" in ran.err


@pytest.mark.parametrize(
    "command", [["list"], ["show", "x"], ["watch", "x"], ["logs", "x"], ["start", "x"], ["doctor"]]
)
def test_a_cluster_that_is_not_there_is_told(cli: Cli, tmp_path: Path, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    document = config(tmp_path / "x", clusters=[{"name": "tests", "cluster": {"server": f"http://127.0.0.1:{port}"}}])
    (tmp_path / "config").write_text(json.dumps(document))
    ran = cli.but(KUBECONFIG=str(tmp_path / "config"))(*command)
    assert ran.code == (1 if command == ["doctor"] else 4)
    assert f"context tests (http://127.0.0.1:{port}) cannot be reached: Connect" in ran.err + ran.out


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("https://no-such-host.invalid", "cannot be reached"),
        ("https://127.0.0.1:0", "cannot be reached"),
        ("ftp://127.0.0.1", "cannot be reached"),
        ("nonsense", "cannot be reached"),
    ],
)
def test_a_server_that_is_no_address_is_told(cli: Cli, tmp_path: Path, server: str, says: str) -> None:
    document = config(tmp_path / "x", clusters=[{"name": "tests", "cluster": {"server": server}}])
    (tmp_path / "config").write_text(json.dumps(document))
    ran = cli.but(KUBECONFIG=str(tmp_path / "config"))("list")
    assert ran.code == 4
    assert says in ran.err


def test_a_certificate_of_another_authority_is_told(cli: Cli, tmp_path: Path) -> None:
    entry = {key: value for key, value in cluster_entry().items() if not key.startswith("certificate")}
    document = config(tmp_path / "x", clusters=[{"name": "tests", "cluster": entry}])
    (tmp_path / "config").write_text(json.dumps(document))
    ran = cli.but(KUBECONFIG=str(tmp_path / "config"))("list")
    assert ran.code == 4
    assert "its certificate is not trusted" in ran.err


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["start", "x"], ["cancel", "x"]])
def test_a_token_that_has_expired_is_told(cli: Cli, tmp_path: Path, command: list[str]) -> None:
    ran = cli.but(KUBECONFIG=str(with_token(tmp_path / "config", "expired")))(*command)
    assert (ran.code, ran.out) == (4, "")
    assert "does not accept your credentials; they may have expired. Log in again" in ran.err


def plugin(path: Path, script: str) -> dict[str, Any]:
    """A user whose credentials a program gives."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(path),
            "interactiveMode": "Never",
        }
    }


def credential(token: str) -> str:
    return json.dumps(
        {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    )


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'please run: cloud login' >&2; exit 1", "please run: cloud login"),
        ("echo no json", "gets no credentials"),
        ("echo '{}'", "gets no credentials"),
    ],
)
def test_a_plugin_that_gives_no_credentials_is_told_in_its_words(
    cli: Cli, tmp_path: Path, script: str, says: str
) -> None:
    user = plugin(tmp_path / "plugin", script)
    ran = cli.but(KUBECONFIG=str(with_user(tmp_path / "config", user)))("list")
    assert ran.code == 4
    assert says in ran.err


def test_a_plugin_that_does_not_exist_is_told(cli: Cli, tmp_path: Path) -> None:
    user = plugin(tmp_path / "plugin", "exit 0")
    (tmp_path / "plugin").unlink()
    ran = cli.but(KUBECONFIG=str(with_user(tmp_path / "config", user)))("list")
    assert ran.code == 4
    assert "No such file or directory" in ran.err


def test_the_credentials_of_a_plugin_are_used_and_asked_for_again_when_they_are_refused(
    cli: Cli, tmp_path: Path, person: Any
) -> None:
    """The first token that it gives is not valid."""
    reader = person("plugged", [{"apiGroups": ["longtask.dev"], "resources": ["longtasks"], "verbs": ["get", "list"]}])
    token = json.loads(Path(reader.environment["KUBECONFIG"]).read_text())["users"][0]["user"]["token"]
    first, second, mark = (tmp_path / name for name in ("first", "second", "mark"))
    first.write_text(credential("expired"))
    second.write_text(credential(token))
    script = f"if [ -e {mark} ]; then cat {second}; else touch {mark}; cat {first}; fi"
    user = plugin(tmp_path / "plugin", script)
    assert cli.but(KUBECONFIG=str(with_user(tmp_path / "config", user)))("list").code == 0
    assert mark.exists()


def test_somebody_is_impersonated_as_the_kubeconfig_says(cli: Cli, tmp_path: Path) -> None:
    document = json.loads(
        subprocess.run(
            ["kubectl", "config", "view", "--raw", "-o", "json"],
            env=os.environ,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    document["users"][0]["user"]["as"] = "jane"
    (tmp_path / "config").write_text(json.dumps(document))
    ran = cli.but(KUBECONFIG=str(tmp_path / "config"))("list")
    assert ran.code == 4
    assert 'User "jane" cannot list resource' in ran.err


def test_doctor_tells_where_nothing_is_installed(cli: Cli, kube: Kube, tmp_path: Path) -> None:
    """An API server that has no such group: an aggregated path of the same one, which knows nothing of it."""
    ran = cli("doctor")
    assert "the cluster serves longtask.dev/v1alpha1, with all fields that this program knows" in ran.out
    assert (
        "WRONG there is no Lease longtask-operator in namespace nowhere"
        in cli("doctor", "--system-namespace", "nowhere").out
    )


def test_a_reader_that_goes_away_ends_the_program_without_a_word(cli: Cli, kube: Kube) -> None:
    for number in range(3):
        put(kube, f"piped-{number}")
    with cli.start("list", "-o", "yaml") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_encoding_cannot_hold_is_escaped(cli: Cli, kube: Kube, encoding: str) -> None:
    name = f"encoded-{encoding}"
    put(kube, name, parameters={"text": "日本 é"})
    command = [sys.executable, "-m", "longtask", "show", name]
    environment = os.environ | cli.environment | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    ran = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    shown = ran.stdout.decode(encoding)
    assert ("日本" in shown) == (encoding == "utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lst"], "there is no command 'lst'. Did you mean list?"),
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["list", "--frob"], "No such option"),
        (["list", "--phase", "nosuch"], "'nosuch' is not one of"),
        (["list", "--limit", "-1"], "-1 is not in the range"),
        (["show"], "Missing argument 'TASK'"),
        (["logs", "x", "-f", "--attempt", "1"], "--attempt is not for it"),
        (["start", "x", "--idempotency-key", "x" * 129], "a key has 1 to 128 characters"),
    ],
)
def test_wrong_usage_is_told_with_exit_code_2(cli: Cli, arguments: list[str], says: str) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    assert "Commands:" in cli.done("--help")
    ran = cli()
    assert ran.code == 2
    assert "Commands:" in ran.out + ran.err
