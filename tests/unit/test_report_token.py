"""What a pod gets so that it can report."""

from typing import Any

import pytest

from longtask_operator.planning.build_job import build_job, take_snapshot
from tests.unit.given import task, template

URL = "http://longtask-task-api.system.svc:8082/v1/report"
CONTAINER = {"image": "training:1"}


def _pod(report_url: str | None = URL, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    containers = {
        "initContainers": [{"name": "fetch", **CONTAINER}],
        "containers": [
            {"name": "main", **CONTAINER, "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            {"name": "sidecar", **CONTAINER},
        ],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    source = template({"podTemplate": {"spec": containers}, "parametersSchema": {"type": "object"}})
    source = source.model_copy(
        update={"metadata": source.metadata.model_copy(update={"annotations": annotations or {}})}
    )
    job = build_job(task(), source, take_snapshot(source), {}, report_url)
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_the_work_has_a_token_for_reports_alone_and_knows_where_to_report() -> None:
    spec = _pod()
    (volume,) = [each for each in spec["volumes"] if "projected" in each]
    assert volume["projected"]["sources"] == [
        {"serviceAccountToken": {"path": "token", "audience": "longtask.dev/report", "expirationSeconds": 3600}}
    ]
    work = spec["containers"][0]
    (mount,) = [each for each in work["volumeMounts"] if each["name"] == volume["name"]]
    assert mount["readOnly"]
    assert _environment(work)["LONGTASK_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    assert _environment(work)["LONGTASK_REPORT_URL"] == URL


def test_no_other_container_can_report_because_its_result_would_count_as_the_works() -> None:
    spec = _pod()
    for container in (*spec["initContainers"], spec["containers"][1]):
        assert "volumeMounts" not in container
        assert not {"LONGTASK_REPORT_URL", "LONGTASK_TOKEN_FILE"} & _environment(container).keys()


def test_the_authors_volumes_and_mounts_stay() -> None:
    spec = _pod()
    assert {"name": "data", "emptyDir": {}} in spec["volumes"]
    assert {"name": "data", "mountPath": "/data"} in spec["containers"][0]["volumeMounts"]


def test_where_nothing_can_be_reported_nobody_is_told_a_place() -> None:
    assert not {"LONGTASK_REPORT_URL", "LONGTASK_TOKEN_FILE"} & _environment(_pod(None)["containers"][0]).keys()


@pytest.mark.parametrize("value", ["0123456789abcdef", None])
def test_a_template_made_from_code_tells_the_pod_which_code(value: str | None) -> None:
    spec = _pod(annotations={"longtask.dev/schema-hash": value} if value else {})
    assert _environment(spec["containers"][0]).get("LONGTASK_SCHEMA_HASH") == value
