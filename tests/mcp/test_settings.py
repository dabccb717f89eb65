"""Settings are checked before anything starts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from longtask_mcp.settings import Settings
from longtask_runtime import environment


@pytest.fixture(autouse=True)
def namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTASK_MCP_NAMESPACE", "tasks")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("NAMESPACE", "Not_A_Namespace", "namespace"),
        ("AUTH", "jwt", "auth"),
        ("PORT", "0", "port"),
        ("METRICS_PORT", "8080", "port and metrics_port are both 8080"),
        ("TASK_API_URL", "operator", "task_api_url"),
        ("AUDIENCE", "", "audience"),
        ("MAX_ACTIVE_TASKS_PER_CALLER", "0", "max_active_tasks_per_caller"),
        ("MEMORY_IDS", '["team"]', "memory_ids"),
        ("DEFAULT_MEMORY_ID", "team", "default_memory_id"),
        (
            "DEFAULT_MEMORY_ID",
            "team-0123456789",
            "team-0123456789 is not in memory_ids; add it there",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(f"LONGTASK_MCP_{name}", value)
    with pytest.raises(ValidationError, match=told):
        Settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::"])
def test_without_tokens_only_loopback_is_served(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("LONGTASK_MCP_AUTH", "none")
    monkeypatch.setenv("LONGTASK_MCP_HOST", host)
    with pytest.raises(ValidationError, match="host must be a loopback address"):
        Settings()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_tokens_loopback_is_served(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("LONGTASK_MCP_AUTH", "none")
    monkeypatch.setenv("LONGTASK_MCP_HOST", host)
    assert Settings().host == host


def test_the_default_memory_is_one_of_those_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTASK_MCP_MEMORY_IDS", '["ops-0123456789", "team-0123456789"]')
    monkeypatch.setenv("LONGTASK_MCP_DEFAULT_MEMORY_ID", "team-0123456789")
    assert Settings().default_memory_id == "team-0123456789"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("short", "key 1 has 5 characters, and 32 are needed"),
        (f"{'a' * 32} short\n", "key 2 has 5"),
        ("\0" * 8, "key 1"),
    ],
)
def test_keys_that_are_no_secret_are_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "keys").write_text(text)
    monkeypatch.setenv("LONGTASK_MCP_RESUME_KEYS_FILE", str(tmp_path / "keys"))
    with pytest.raises(ValidationError, match=told) as refused:
        Settings()
    assert "short" not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("text", "keys"), [(None, []), ("\n", []), (f" {'a' * 32}\n{'b' * 32} {'a' * 32}", ["a" * 32, "b" * 32])]
)
def test_keys_are_read_if_there_are_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, keys: list[str]
) -> None:
    if text is not None:
        (tmp_path / "keys").write_text(text)
    monkeypatch.setenv("LONGTASK_MCP_RESUME_KEYS_FILE", str(tmp_path / "keys"))
    assert Settings().resume_keys == keys


ISSUER: dict[str, Any] = {"issuer": "https://login.example.com", "audiences": ["longtask"]}
OTHER = {"issuer": "https://other.example.com", "audiences": ["longtask"], "prefix": "other:"}


@pytest.mark.parametrize(
    ("issuers", "told"),
    [
        ([{}], "Field required"),
        ([ISSUER | {"audience": "longtask"}], "Extra inputs are not permitted"),
        ([ISSUER | {"audiences": []}], "audiences is empty: name the `aud` that tokens for this server have"),
        ([ISSUER | {"audiences": [""]}], "at least 1 character"),
        ([ISSUER | {"audiences": [], "withoutAudience": {}}], "withoutAudience must name clients or scopes"),
        ([ISSUER | {"issuer": "http://login.example.com"}], "must begin with https://"),
        ([ISSUER | {"issuer": "https://"}], "must begin with https://"),
        ([ISSUER | {"issuer": "login.example.com"}], "must begin with https://"),
        ([ISSUER | {"issuer": "https://a:b@login.example.com"}], "no user name, query or fragment"),
        ([ISSUER | {"issuer": "https://login.example.com?a=b"}], "no user name, query or fragment"),
        ([ISSUER | {"jwksUri": "http://10.0.0.1/keys"}], "must begin with https://"),
        ([ISSUER | {"prefix": "system:"}], "'system:' belongs to Kubernetes"),
        ([ISSUER | {"prefix": ""}], "String should match pattern"),
        ([ISSUER | {"prefix": "system:a:"}], "String should match pattern"),
        ([ISSUER | {"algorithms": ["HS256"]}], "Input should be 'RS256'"),
        ([ISSUER | {"algorithms": ["none"]}], "Input should be 'RS256'"),
        ([ISSUER | {"algorithms": []}], "at least 1 item"),
        ([ISSUER | {"leewaySeconds": 301}], "less than or equal to 300"),
        ([ISSUER | {"scopes": {"read": ["a b"]}}], "String should match pattern"),
        ([ISSUER | {"certificateAuthority": "x"}], "certificateAuthority is not a certificate in PEM"),
        ([ISSUER | {"certificateAuthority": ""}], "at least 1 character"),
        ([ISSUER, ISSUER | {"prefix": "b:"}], "has the issuer 'https://login.example.com' twice"),
        ([ISSUER, OTHER | {"prefix": "oidc:"}], "has the prefix 'oidc:' twice"),
    ],
)
def test_an_issuer_that_cannot_be_trusted_as_it_is_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, issuers: list[dict[str, Any]], told: str
) -> None:
    monkeypatch.setenv("LONGTASK_MCP_PUBLIC_URL", "https://longtask.example.com/mcp")
    monkeypatch.setenv("LONGTASK_MCP_JWT_ISSUERS", json.dumps(issuers))
    with pytest.raises(ValidationError, match=re.escape(told)):
        Settings()


@pytest.mark.parametrize("url", ["https://a.example", "https://a.example/b/", "http://127.0.0.1:80/a", "http://[::1]"])
def test_issuers_have_https_or_are_on_this_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("LONGTASK_MCP_PUBLIC_URL", "https://longtask.example.com/mcp")
    monkeypatch.setenv("LONGTASK_MCP_JWT_ISSUERS", json.dumps([ISSUER | {"issuer": url}, OTHER]))
    assert [each.issuer for each in Settings().jwt_issuers] == [url, OTHER["issuer"]]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PUBLIC_URL", None, "jwt_issuers needs public_url"),
        ("PUBLIC_URL", "http://longtask.example.com/mcp", "must begin with https://"),
        ("AUTH", "none", "jwt_issuers has no effect"),
    ],
)
def test_issuers_need_what_belongs_to_them(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, told: str
) -> None:
    monkeypatch.setenv("LONGTASK_MCP_HOST", "127.0.0.1")
    monkeypatch.setenv("LONGTASK_MCP_PUBLIC_URL", "https://longtask.example.com/mcp")
    monkeypatch.setenv("LONGTASK_MCP_JWT_ISSUERS", json.dumps([ISSUER]))
    if value is None:
        monkeypatch.delenv(f"LONGTASK_MCP_{name}")
    else:
        monkeypatch.setenv(f"LONGTASK_MCP_{name}", value)
    with pytest.raises(ValidationError, match=told):
        Settings()


def test_a_folder_without_a_certificate_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LONGTASK_MCP_TLS_FOLDER", str(tmp_path))
    with pytest.raises(ValidationError, match=r"has no tls\.crt and tls\.key"):
        Settings()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("[{", r'Settings: error parsing value for field "jwt_issuers"'),
        (json.dumps([ISSUER | {"audiences": []}]), "LONGTASK_MCP_JWT_ISSUERS_0: Value error, audiences is empty"),
    ],
)
def test_a_server_ends_at_once_and_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, told: str
) -> None:
    monkeypatch.setenv("LONGTASK_MCP_JWT_ISSUERS", value)
    with pytest.raises(SystemExit) as ended:
        environment.read(Settings)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
