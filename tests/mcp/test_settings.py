"""Settings are checked before anything starts."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from longtask_mcp.settings import Settings


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
