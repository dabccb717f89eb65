"""Templates as a person lists, shows and checks them, in the cluster and in a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtask_api import constants
from tests.api import objects
from tests.cli.conftest import ready_template
from tests.cli.program import Cli
from tests.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def world(kube: Kube) -> None:
    ready_template(kube, "listed-ready")
    kube.create(kube.path(constants.TEMPLATE_PLURAL), objects.template("listed-new")).done()


def file(folder: Path, *documents: Any) -> str:
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def test_templates_are_listed_in_every_format(cli: Cli) -> None:
    head, *rows = cli.done("templates", "list").splitlines()
    assert head.split() == ["NAME", "TITLE", "READY", "REASON", "AGE"]
    assert any(row.split()[:2] == ["listed-ready", "True"] for row in rows)
    assert "MESSAGE" in cli.done("templates", "list", "-o", "wide")
    assert "longtasktemplate.longtask.dev/listed-new\n" in cli.done("templates", "list", "-o", "name")
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        document = read(cli.done("templates", "show", "listed_ready", "-o", output))
        items = read(cli.done("templates", "list", "-o", output))["items"]
        assert document in items
    ran = cli("templates", "list", "-n", "default")
    assert (ran.code, ran.out, ran.err) == (0, "", "No templates found in namespace default.\n")


def test_a_template_of_the_cluster_is_checked(cli: Cli) -> None:
    assert "listed-ready is Ready" in cli.done("templates", "check", "listed-ready")
    ran = cli("templates", "check", "listed-new")
    assert ran.code == 1
    assert "listed-new is not Ready: no operator has checked it yet" in ran.out
    started = cli("start", "listed-new")
    assert started.code == 4
    assert "template listed-new is not Ready: no operator has checked it yet" in started.err


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, "fits"),
        ({"parametersSchema": {"type": "array"}}, 'parametersSchema: the schema\'s type must be "object"'),
        ({"resultSchema": {"type": 3}}, "resultSchema: not a JSON Schema"),
        ({"description": None}, "spec.description: Input should be a valid string"),
        ({"nosuch": 1}, ".spec.nosuch: field not declared in schema"),
        ({"startTimeoutSeconds": 0}, "spec.startTimeoutSeconds: Input should be greater than or equal to 1"),
    ],
)
def test_a_file_is_checked_before_it_is_applied(cli: Cli, tmp_path: Path, spec: dict[str, Any], says: str) -> None:
    document = objects.template("checked", spec)
    document["metadata"]["namespace"] = "elsewhere"
    ran = cli("templates", "check", file(tmp_path, {"kind": "Namespace"}, document))
    assert says in ran.out, ran
    assert ran.code == (0 if says == "fits" else 1)
    assert cli("templates", "show", "checked").code == 4  # nothing was created


def test_one_that_exists_is_checked_as_a_change(cli: Cli, tmp_path: Path) -> None:
    assert "listed-ready fits" in cli.done("templates", "check", file(tmp_path, objects.template("listed-ready")))
    document = yaml.safe_dump(objects.template("cancel-task")).encode()
    ran = cli("templates", "check", "-", stdin=document)
    assert ran.code == 1
    assert "is that of one of LongTask's own tools" in ran.out


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "is not YAML"), ("kind: Pod", "has no LongTaskTemplate"), ("", "has no LongTaskTemplate")],
)
def test_a_file_without_a_template_is_told(cli: Cli, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    ran = cli("templates", "check", str(path))
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err
    assert "cannot be read: No such file" in cli("templates", "check", str(tmp_path / "missing.yaml")).err


def test_without_the_right_to_write_a_file_is_checked_here_only(
    person: Callable[..., Cli], tmp_path: Path, kube: Kube
) -> None:
    tasks = {"apiGroups": [constants.GROUP], "resources": [constants.TASK_PLURAL], "verbs": ["get", "create"]}
    starter = person("starter", [tasks])
    ran = starter("templates", "check", file(tmp_path, objects.template("checked")))
    assert (ran.code, "checked fits" in ran.out) == (0, True)
    assert "note: the cluster did not check it" in ran.err
    ran = starter("start", "listed-ready", "epochs=3", "name=x", "-o", "yaml")
    assert ran.code == 0
    assert "note: you may not read templates, so the values are not checked here" in ran.err
    assert yaml.safe_load(ran.out)["spec"]["parameters"] == {"epochs": 3, "name": "x"}
