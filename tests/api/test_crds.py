"""The two CustomResourceDefinitions, and the API server's own guards that the operator leans on."""

from pathlib import Path
from typing import Any

import pytest

from longtask_api import constants, crd, generate
from tests.api.conftest import MakeTask
from tests.api.objects import MEMORY, RUNNING, SUCCEEDED, TOLD, task, template
from tests.api.writes import Change
from tests.kube import CRDS, Kube

NAMES = [f"{constants.TASK_PLURAL}.{constants.GROUP}", f"{constants.TEMPLATE_PLURAL}.{constants.GROUP}"]


def test_the_written_files_are_what_the_models_say() -> None:
    assert generate.main(["--check"]) == 0


def test_a_stale_file_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "FOLDERS", (tmp_path / "crds",))
    generate.main([])
    (tmp_path / "crds" / "longtasks.yaml").write_text("# edited by hand\n")

    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == "crds/longtasks.yaml is not what the models say: run `make generate`\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_cluster_serves_it_and_finds_nothing_wrong(cluster: Kube, name: str) -> None:
    conditions = cluster.get(f"{CRDS}/{name}").done()["status"]["conditions"]

    assert {found["type"]: found["status"] for found in conditions} == {"NamesAccepted": "True", "Established": "True"}


def test_the_cluster_stores_the_schema_as_it_was_written(cluster: Kube) -> None:
    """Nothing of it was dropped as unknown."""
    for document in (crd.task_crd(), crd.template_crd()):
        stored = cluster.get(f"{CRDS}/{document['metadata']['name']}").done()
        assert stored["spec"]["versions"] == document["spec"]["versions"]


@pytest.mark.parametrize(
    ("body", "unknown"),
    [
        (task("typo", {"parameter": {}}), "spec.parameter"),
        (task("typo", {"templateRef": {"name": "a", "namespace": "b"}}), "spec.templateRef.namespace"),
        (task("typo", {"memory": MEMORY | {"strategyId": "a"}}), "spec.memory.strategyId"),
        (template("typo", {"retries": 3}), "spec.retries"),
        (template("typo", {"delivery": {"milestone": [50]}}), "spec.delivery.milestone"),
        (template("typo", {"retry": {"limits": 3}}), "spec.retry.limits"),
    ],
)
def test_an_unknown_field_is_refused_when_asked_to_be_strict(kube: Kube, body: dict[str, Any], unknown: str) -> None:
    """kubectl asks so by default."""
    plural = constants.TASK_PLURAL if body["kind"] == constants.TASK_KIND else constants.TEMPLATE_PLURAL

    answer = kube.create(kube.path(plural), body, fieldValidation="Strict")

    assert answer.code == 400
    assert f'strict decoding error: unknown field "{unknown}"' in answer.body["message"]


def test_an_unknown_field_is_dropped_otherwise(a_task: MakeTask) -> None:
    stored = a_task()

    stored.write("merge patch", Change("spec.surprise", 1)).done()

    assert "surprise" not in stored.read()["spec"]


def test_an_unknown_field_fails_a_server_side_apply(kube: Kube) -> None:
    answer = kube.apply(kube.path(constants.TASK_PLURAL, "typo"), task("typo", {"surprise": 1}))

    assert answer.code == 500
    assert ".spec.surprise: field not declared in schema" in answer.body["message"]


def test_a_status_planned_from_an_old_version_is_not_applied(a_task: MakeTask) -> None:
    stored = a_task(status={"phase": "Pending"})
    planned_from = stored.read()
    stored.write("merge patch", Change("status.message", "somebody else was here")).done()

    answer = stored.kube.apply(f"{stored.path}/status", _applied(planned_from, RUNNING))

    assert answer.code == 409
    assert stored.read()["status"] == {"phase": "Pending", "message": "somebody else was here"}


def test_a_status_planned_from_the_newest_version_is_applied(a_task: MakeTask) -> None:
    stored = a_task(status={"phase": "Pending"})

    stored.kube.apply(f"{stored.path}/status", _applied(stored.read(), RUNNING)).done()

    assert stored.read()["status"] == RUNNING


def test_a_status_applied_again_is_no_write(a_task: MakeTask) -> None:
    stored = a_task(status=RUNNING)
    before = stored.read()

    stored.kube.apply(f"{stored.path}/status", _applied(before, RUNNING)).done()

    assert stored.read()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_status_write_leaves_the_generation_and_a_spec_write_raises_it(a_task: MakeTask) -> None:
    stored = a_task(status={"phase": "Pending"})
    assert stored.read()["metadata"]["generation"] == 1

    stored.write("merge patch", Change("spec.suspend", True)).done()

    assert stored.read()["metadata"]["generation"] == 2


def test_writers_of_the_status_do_not_meet(a_task: MakeTask) -> None:
    """The leader writes what became of the work, and under two other names what became of delivery and archive."""
    stored = a_task(status=RUNNING)
    *_, delivered, archived = TOLD["conditions"]
    parts = {
        "delivery": {"conditions": [delivered], "delivery": TOLD["delivery"]},
        "archive": {"conditions": [archived], "archive": TOLD["archive"]},
    }

    for manager, part in parts.items():
        stored.kube.apply(f"{stored.path}/status", _applied(stored.read(), part), manager=manager).done()
    stored.kube.apply(f"{stored.path}/status", _applied(stored.read(), SUCCEEDED)).done()

    assert _by_type(stored.read()["status"]) == _by_type(TOLD)


def _by_type(status: dict[str, Any]) -> dict[str, Any]:
    return status | {"conditions": {each["type"]: each for each in status["conditions"]}}


def _applied(planned_from: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: planned_from["metadata"][key] for key in ("name", "resourceVersion")}
    return {key: planned_from[key] for key in ("apiVersion", "kind")} | {"metadata": metadata, "status": status}
