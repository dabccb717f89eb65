"""The manifests, without a cluster."""

import json
from collections.abc import Callable

import pytest
import yaml

from longtask_api import constants, crd
from longtask_mcp.oauth.issuer import Issuer
from longtask_mcp.settings import Settings as MCPSettings
from longtask_operator.settings import Settings as OperatorSettings
from tests.chart.conftest import CHART, Document, Run

Render = Callable[..., list[Document]]
OUTSIDE: Document = {
    "publicUrl": "https://longtask.example.com/mcp",
    "authentication": {"jwt": [{"issuer": "https://login.example.com", "audiences": ["longtask"]}]},
}


def named(document: Document) -> str:
    name: str = document["metadata"]["name"]
    return name


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def test_lint_has_nothing_to_say(helm: Run) -> None:
    ran = helm("lint", "--strict", str(CHART))
    assert ran.returncode == 0, ran.stdout
    assert "[WARNING]" not in ran.stdout


def test_the_crds_are_those_of_the_models_and_stay_on_uninstall(render: Render) -> None:
    rendered = {document["metadata"]["name"]: document for document in of_kind(render(), "CustomResourceDefinition")}
    for made in (crd.task_crd(), crd.template_crd()):
        document = rendered.pop(made["metadata"]["name"])
        assert document["spec"] == made["spec"]
        assert document["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert rendered == {}


def test_the_crds_can_be_left_out(render: Render) -> None:
    assert of_kind(render({"crds": {"install": False}}), "CustomResourceDefinition") == []


def test_the_task_namespace_stays_on_uninstall_and_enforces_pod_security(render: Render) -> None:
    [namespace] = of_kind(render(), "Namespace")
    assert namespace["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_task_namespace_can_be_somebody_elses(render: Render) -> None:
    assert of_kind(render({"taskNamespace": {"name": "research", "create": False}}), "Namespace") == []


def test_a_server_may_take_minutes_to_start_on_a_busy_node(render: Render) -> None:
    """And a minute without an answer: its own watchdog says after 30 s that its loop is stuck."""
    deployments = of_kind(render(), "Deployment")
    assert len(deployments) == 2
    for deployment in deployments:
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        startup, liveness = container["startupProbe"], container["livenessProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 300
        assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
        assert min(startup["timeoutSeconds"], liveness["timeoutSeconds"]) >= 5


def test_cluster_scoped_objects_carry_the_releases_namespace(render: Render) -> None:
    kinds = ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    named = [document["metadata"]["name"] for document in of_kind(render(), *kinds)]
    assert len(named) == 12
    assert all(name.endswith(".longtask-system") for name in named)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "localhost/longtask:0.1.0"),
        ({"tag": "dev"}, "localhost/longtask:dev"),
        ({"tag": 5}, "localhost/longtask:5"),
        ({"tag": 20261129}, "localhost/longtask:20261129"),
        ({"tag": 1.5}, "localhost/longtask:1.5"),
        ({"tag": "dev", "digest": f"sha256:{'a' * 64}"}, f"localhost/longtask@sha256:{'a' * 64}"),
    ],
)
def test_a_digest_wins_over_a_tag(render: Render, image: dict[str, object], expected: str) -> None:
    deployments = of_kind(render({"image": image}), "Deployment")
    images = {each["image"] for document in deployments for each in document["spec"]["template"]["spec"]["containers"]}
    assert images == {expected}


def test_what_is_set_for_pods_reaches_both_servers(render: Render) -> None:
    pods = {
        "annotations": {"a": "1"},
        "labels": {"l": "1"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    }
    for document in of_kind(render({"pods": pods, "image": {"pullSecrets": ["registry"]}}), "Deployment"):
        template = document["spec"]["template"]
        assert template["metadata"]["annotations"] == {"a": "1"}
        assert template["metadata"]["labels"]["l"] == "1"
        for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
            assert template["spec"][name] == pods[name]
        assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image": {"pullSecrets": ["a", {"name": "b"}]}}, ["a", "b"]),
        ({"global": {"imagePullSecrets": [{"name": "c"}, "d"]}}, ["c", "d"]),
        ({"image": {"pullSecrets": ["a"]}, "global": {"imagePullSecrets": ["c"]}}, ["a", "c"]),
        ({"global": {}}, None),
        ({}, None),
    ],
    ids=["of the image", "global", "both", "empty global", "none"],
)
def test_secrets_of_registries_reach_all_pods(
    render: Render, values: dict[str, object], expected: list[str] | None
) -> None:
    secrets = [{"name": name} for name in expected] if expected else None
    pods = [each["spec"]["template"]["spec"] for each in of_kind(render(values), "Deployment")]
    pods += [each["spec"] for each in of_kind(render(values), "Pod")]
    assert pods
    assert [pod.get("imagePullSecrets") for pod in pods] == [secrets] * len(pods)


def test_extra_variables_come_last_and_so_win(render: Render) -> None:
    extra = [{"name": "LONGTASK_MCP_DRAIN_SECONDS", "value": "1"}]
    [mcp] = [
        each
        for each in of_kind(render({"mcp": {"extraEnv": extra}}), "Deployment")
        if "mcp" in each["metadata"]["name"]
    ]
    assert mcp["spec"]["template"]["spec"]["containers"][0]["env"][-1:] == extra


def test_extra_variables_may_not_be_those_of_the_chart(render: Render) -> None:
    memory = "conversations-a1b2c3d4e5"
    everything = {
        "operator": {"store": {"s3": {"bucket": "results", "region": "eu-west-1", "endpointURL": "http://s3"}}},
        "memory": {"region": "eu-west-1", "memoryIds": [memory], "defaultMemoryId": memory},
        "mcp": OUTSIDE | {"tls": {"secretName": "certificate"}},
    }
    containers = [
        each["spec"]["template"]["spec"]["containers"][0] for each in of_kind(render(everything), "Deployment")
    ]
    schema = json.loads((CHART / "values.schema.json").read_text())
    refused = schema["$defs"]["extraEnv"]["items"]["properties"]["name"]["not"]["enum"]
    assert refused == sorted({variable["name"] for container in containers for variable in container["env"]})


def env(documents: list[Document], server: str) -> dict[str, str]:
    """Variables of `operator` or `mcp` without the server's own prefix."""
    [found] = [each for each in of_kind(documents, "Deployment") if each["metadata"]["name"] == f"longtask-{server}"]
    [container] = found["spec"]["template"]["spec"]["containers"]
    prefix = f"LONGTASK_{server.upper()}_"
    return {each["name"].removeprefix(prefix): each.get("value", "") for each in container["env"]}


def operator_env(documents: list[Document]) -> dict[str, str]:
    return env(documents, "operator")


def test_pods_of_tasks_report_where_the_operator_listens(render: Render) -> None:
    documents = render()
    [service] = [each for each in of_kind(documents, "Service") if each["metadata"]["name"].endswith("-task-api")]
    [port] = service["spec"]["ports"]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert operator_env(documents)["TASK_API_URL"] == f"http://{host}:{port['port']}"


def test_limits_of_reports_reach_the_operator(render: Render) -> None:
    reports = {"intervalSeconds": 0.5, "maxWritesPerSecond": 1000, "maxPerSecondPerTask": 2}
    env = operator_env(render({"operator": {"reports": reports, "store": {"maxBytes": 5368709120}}}))
    assert env["REPORT_INTERVAL_SECONDS"] == "0.5"
    assert env["REPORT_WRITES_PER_SECOND"] == "1000"
    assert env["REPORTS_PER_SECOND_PER_TASK"] == "2"
    assert env["STORE_MAX_BYTES"] == "5368709120"


BUCKET = {"bucket": "results", "region": "eu-west-1"}
BUCKET_ENV = {"BUCKET": "results", "REGION": "eu-west-1", "PREFIX": "longtask", "PATH_STYLE": "false"}


@pytest.mark.parametrize(
    ("s3", "expected"),
    [
        ({}, {}),
        (BUCKET, BUCKET_ENV),
        (BUCKET | {"prefix": "a/b"}, BUCKET_ENV | {"PREFIX": "a/b"}),
        (
            BUCKET | {"endpointURL": "http://minio.storage:9000", "pathStyle": True},
            BUCKET_ENV | {"ENDPOINT_URL": "http://minio.storage:9000", "PATH_STYLE": "true"},
        ),
    ],
)
def test_the_bucket_reaches_the_operator_where_there_is_one(
    render: Render, s3: dict[str, object], expected: dict[str, str]
) -> None:
    env = operator_env(render({"operator": {"store": {"s3": s3}}}))
    found = {name.removeprefix("STORE_S3_"): value for name, value in env.items() if name.startswith("STORE_S3_")}
    assert found == expected


MEMORIES = {"region": "eu-central-1", "memoryIds": ["a-a1b2c3d4e5", "b-a1b2c3d4e5"]}
OPERATOR_MEMORY_ENV = {"MEMORY_REGION": "eu-central-1", "MEMORY_IDS": '["a-a1b2c3d4e5","b-a1b2c3d4e5"]'}
ENDPOINT = "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({}, {}),
        ({"region": "eu-central-1", "endpointURL": "http://emulator:8080"}, {}),
        (MEMORIES, OPERATOR_MEMORY_ENV),
        (
            MEMORIES | {"endpointURL": "http://emulator:8080"},
            OPERATOR_MEMORY_ENV | {ENDPOINT: "http://emulator:8080"},
        ),
    ],
)
def test_memories_reach_the_operator_where_there_are_some(
    render: Render, memory: dict[str, object], expected: dict[str, str]
) -> None:
    found = {
        name: value
        for name, value in operator_env(render({"memory": memory})).items()
        if name.startswith(("MEMORY_", "AWS_"))
    }
    assert found == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"MEMORY_IDS": "[]", "TRUSTED_PRINCIPALS": "[]"}),
        (
            {"memory": MEMORIES, "mcp": {"trustedPrincipals": ["system:serviceaccount:agents:assistant"]}},
            {
                "MEMORY_IDS": '["a-a1b2c3d4e5","b-a1b2c3d4e5"]',
                "TRUSTED_PRINCIPALS": '["system:serviceaccount:agents:assistant"]',
            },
        ),
        (
            {"memory": MEMORIES | {"defaultMemoryId": "b-a1b2c3d4e5"}},
            {
                "MEMORY_IDS": '["a-a1b2c3d4e5","b-a1b2c3d4e5"]',
                "DEFAULT_MEMORY_ID": "b-a1b2c3d4e5",
                "TRUSTED_PRINCIPALS": "[]",
            },
        ),
    ],
)
def test_memories_and_who_may_name_them_reach_the_mcp_server(
    render: Render, values: Document, expected: dict[str, str]
) -> None:
    found = env(render(values), "mcp")
    assert {name: found[name] for name in found if "MEMORY" in name or "TRUSTED" in name} == expected


@pytest.mark.parametrize("server", [OperatorSettings, MCPSettings])
def test_each_server_reads_its_memories(
    render: Render, monkeypatch: pytest.MonkeyPatch, server: type[OperatorSettings | MCPSettings]
) -> None:
    name = "operator" if server is OperatorSettings else "mcp"
    for variable, value in env(render({"memory": MEMORIES | {"defaultMemoryId": "b-a1b2c3d4e5"}}), name).items():
        monkeypatch.setenv(f"LONGTASK_{name.upper()}_{variable}", value or "x")
    assert list(server().memory_ids) == MEMORIES["memoryIds"]


def test_patience_with_delivery_reaches_the_operator(render: Render) -> None:
    assert operator_env(render())["DELIVERY_TIMEOUT_SECONDS"] == "604800"
    patient = operator_env(render({"operator": {"deliveryTimeoutSeconds": 7776000}}))
    assert patient["DELIVERY_TIMEOUT_SECONDS"] == "7776000"
    assert operator_env(render({"operator": {"openTurnTimeoutSeconds": 7}}))["OPEN_TURN_TIMEOUT_SECONDS"] == "7"


def test_only_the_operator_is_told_of_credentials_of_the_cloud(render: Render) -> None:
    """The service account with the role is no other pod's; and no pod of the chart but the operator's names AWS."""
    documents = render({"memory": MEMORIES | {"endpointURL": "http://emulator:8080"}})
    assert [name for name in env(documents, "mcp") if "AWS" in name] == []
    users = [
        each["metadata"]["name"]
        for each in of_kind(documents, "Deployment", "Pod", "LongTaskTemplate")
        if '"serviceAccountName": "longtask-operator"' in json.dumps(each)
    ]
    assert users == ["longtask-operator"]


def test_the_operators_account_can_be_given_a_role_of_the_cloud(render: Render) -> None:
    account = {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"}, "labels": {"use": "true"}}
    documents = of_kind(render({"operator": {"serviceAccount": account}}), "ServiceAccount")
    [operator] = [each for each in documents if each["metadata"]["name"] == "longtask-operator"]
    assert operator["metadata"]["annotations"] == account["annotations"]
    assert operator["metadata"]["labels"]["use"] == "true"
    assert operator["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"


def test_metrics_are_found_by_a_pod_monitor_when_asked_for(render: Render) -> None:
    assert of_kind(render(), "PodMonitor") == []
    [monitor] = of_kind(render({"podMonitor": {"enabled": True, "labels": {"team": "ml"}}}), "PodMonitor")
    assert monitor["metadata"]["labels"]["team"] == "ml"


def test_alerts_are_found_by_prometheus_when_asked_for(render: Render) -> None:
    assert of_kind(render(), "PrometheusRule") == []
    [rule] = of_kind(render({"prometheusRule": {"enabled": True, "labels": {"team": "ml"}}}), "PrometheusRule")
    assert rule["metadata"]["labels"]["team"] == "ml"
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())


def test_nobody_opens_a_connection_to_a_tasks_pod(render: Render) -> None:
    [policy] = [
        each for each in of_kind(render(), "NetworkPolicy") if each["metadata"]["namespace"] == "longtask-tasks"
    ]
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_the_task_api_is_open_to_the_mcp_server_and_the_pods_of_tasks(render: Render) -> None:
    [policy] = [each for each in of_kind(render(), "NetworkPolicy") if each["metadata"]["name"] == "longtask-operator"]
    [rule] = [each for each in policy["spec"]["ingress"] if each["ports"] == [{"port": "task-api"}]]
    mcp, tasks = rule["from"]
    assert "namespaceSelector" not in mcp
    assert mcp["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "mcp"
    assert tasks == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "longtask-tasks"}},
        "podSelector": {"matchLabels": {constants.LABEL_MANAGED_BY: constants.MANAGED_BY}},
    }


def test_network_policies_can_be_left_out(render: Render) -> None:
    assert of_kind(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []


SINKS: Document = {
    "ops": {"url": "https://hooks.example.com/a?x=1&y=2", "secretRef": {"name": "hook"}, "events": ["failed"]},
    "bus": {"url": "http://bus.tools.svc:8080/", "allowHTTP": True, "allowedNetworks": ["10.96.0.0/12"]},
}


def test_sinks_reach_the_operator_and_it_can_read_them(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAMESPACE", "LEASE_NAMESPACE"):
        monkeypatch.setenv(f"LONGTASK_OPERATOR_{name}", "any")
    monkeypatch.setenv("LONGTASK_OPERATOR_SINKS", operator_env(render({"notifications": {"sinks": SINKS}}))["SINKS"])
    sinks = OperatorSettings().sinks
    assert set(sinks) == {"ops", "bus"}
    assert str(sinks["ops"].url) == SINKS["ops"]["url"]
    assert sinks["bus"].allows("10.96.0.10")


def test_the_secret_of_a_sink_is_mounted_and_may_be_missing(render: Render) -> None:
    [operator] = [
        each
        for each in of_kind(render({"notifications": {"sinks": SINKS}}), "Deployment")
        if each["metadata"]["name"] == "longtask-operator"
    ]
    pod = operator["spec"]["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    folder = OperatorSettings.model_fields["sink_secrets_folder"].default
    assert {name: path for name, path in mounts.items() if name.startswith("sink-")} == {"sink-ops": f"{folder}/ops"}
    [volume] = [each["secret"] for each in pod["volumes"] if each["name"] == "sink-ops"]
    assert (volume["secretName"], volume["optional"]) == ("hook", True)
    assert [item["key"] for item in volume["items"]] == ["signing-secrets", "ca.crt"]


def test_no_server_may_read_secrets_through_the_api(render: Render) -> None:
    roles = of_kind(render({"notifications": {"sinks": SINKS}}), "Role", "ClusterRole")
    assert not any("secrets" in rule["resources"] for role in roles for rule in role["rules"])


RULES = [{"ports": [{"port": 443}]}]


@pytest.mark.parametrize("rules", [[], RULES])
def test_egress_of_the_operator_is_restricted_where_rules_say_so(render: Render, rules: list[object]) -> None:
    policies = of_kind(render({"networkPolicy": {"operatorEgress": rules}}), "NetworkPolicy")
    [spec] = [each["spec"] for each in policies if each["metadata"]["name"] == "longtask-operator"]
    assert spec["policyTypes"] == (["Ingress", "Egress"] if rules else ["Ingress"])
    assert spec.get("egress", []) == rules


@pytest.mark.parametrize("issuers", [[], OUTSIDE["authentication"]["jwt"]], ids=["none", "one"])
def test_issuers_reach_the_mcp_server_where_there_are_some(
    render: Render, monkeypatch: pytest.MonkeyPatch, issuers: list[Document]
) -> None:
    values = OUTSIDE | {"authentication": {"jwt": issuers}}
    for variable, value in env(render({"mcp": values}), "mcp").items():
        monkeypatch.setenv(f"LONGTASK_MCP_{variable}", value or "x")
    settings = MCPSettings()
    assert [each.issuer for each in settings.jwt_issuers] == [each["issuer"] for each in issuers]
    assert settings.public_url == OUTSIDE["publicUrl"]


def test_every_setting_of_an_issuer_is_a_value_of_the_chart_and_explained() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    ours: Document = Issuer.model_json_schema()
    values = schema["properties"]["mcp"]["properties"]["authentication"]["properties"]["jwt"]["items"]["properties"]
    assert set(values) == set(ours["properties"])
    assert set(values["withoutAudience"]["properties"]) == set(ours["$defs"]["WithoutAudience"]["properties"])
    assert set(values["scopes"]["properties"]) == set(ours["$defs"]["RequiredScopes"]["properties"])
    text = (CHART / "values.yaml").read_text()
    assert [name for name in values if f"#   {name}:" not in text] == []


def test_users_and_groups_of_issuers_may_be_agents(render: Render) -> None:
    agents = [{"namespace": "agents", "serviceAccount": "a"}, {"user": "oidc:alice"}, {"group": "oidc:researchers"}]
    [binding] = [each for each in of_kind(render({"agents": agents}), "RoleBinding") if named(each) == "longtask-user"]
    group = "rbac.authorization.k8s.io"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "a", "namespace": "agents"},
        {"kind": "User", "name": "oidc:alice", "apiGroup": group},
        {"kind": "Group", "name": "oidc:researchers", "apiGroup": group},
    ]


WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("authentication", "paths"), [(OUTSIDE["authentication"], ["/mcp", WELL_KNOWN]), ({"jwt": []}, ["/mcp"])]
)
@pytest.mark.parametrize(("secret", "port"), [("", 80), ("certificate", 443)])
def test_routes_lead_to_the_server_and_to_what_clients_read_first(
    render: Render, authentication: Document, paths: list[str], secret: str, port: int
) -> None:
    mcp = {
        "publicUrl": "https://longtask.example.com:8443/mcp/",
        "authentication": authentication,
        "tls": {"secretName": secret},
        "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "1"}, "tlsSecretName": "public"},
        "httpRoute": {"enabled": True, "annotations": {"a": "1"}, "parentRefs": [{"name": "public"}]},
    }
    documents = render({"mcp": mcp})
    [service] = [each for each in of_kind(documents, "Service") if named(each) == "longtask-mcp"]
    assert [(each["name"], each["port"]) for each in service["spec"]["ports"]] == [("mcp", port)]
    [ingress], [route] = of_kind(documents, "Ingress"), of_kind(documents, "HTTPRoute")
    assert ingress["metadata"]["annotations"] == route["metadata"]["annotations"] == {"a": "1"}
    [rule] = ingress["spec"]["rules"]
    assert rule["host"] == "longtask.example.com"
    assert ingress["spec"]["tls"] == [{"hosts": ["longtask.example.com"], "secretName": "public"}]
    assert [each["path"] for each in rule["http"]["paths"]] == paths
    assert {each["backend"]["service"]["port"]["name"] for each in rule["http"]["paths"]} == {"mcp"}
    assert route["spec"]["hostnames"] == ["longtask.example.com"]
    [rule] = route["spec"]["rules"]
    assert [each["path"]["value"] for each in rule["matches"]] == paths
    assert rule["backendRefs"] == [{"name": "longtask-mcp", "port": port}]


def test_nothing_leads_in_from_outside_unless_asked_for(render: Render) -> None:
    assert of_kind(render({"mcp": OUTSIDE}), "Ingress", "HTTPRoute") == []


def test_the_certificate_reaches_the_mcp_server(render: Render) -> None:
    documents = render({"mcp": {"tls": {"secretName": "certificate"}}})
    [deployment] = [each for each in of_kind(documents, "Deployment") if named(each) == "longtask-mcp"]
    pod = deployment["spec"]["template"]["spec"]
    assert {"name": "tls", "secret": {"secretName": "certificate"}} in pod["volumes"]
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "tls"]
    assert env(documents, "mcp")["TLS_FOLDER"] == mount["mountPath"]
    assert "TLS_FOLDER" not in env(render(), "mcp")
