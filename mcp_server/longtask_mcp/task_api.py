"""The operator's task API, which has what the MCP server may not read itself: the logs of pods."""

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
from pydantic import ValidationError

from longtask_mcp.contract.logs import TaskLog

TIMEOUT_SECONDS = 20.0


class LogUnavailable(Exception):
    """There is no log to be had; the text says why."""


class TaskApi:
    """An async context manager that owns the connections."""

    def __init__(self, url: str, token_file: Path) -> None:
        """`token_file` is read for every request: the kubelet renews it."""
        self._token_file = token_file
        self._client = httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def log(self, uid: str, tail_lines: int) -> TaskLog:
        """The last lines of a task's newest attempt. Raises LogUnavailable."""
        try:
            token = self._token_file.read_text().strip()
            response = await self._client.get(
                f"/v1/tasks/{uid}/logs",
                params={"tail_lines": tail_lines},
                headers={"Authorization": f"Bearer {token}"},
            )
        except (httpx2.HTTPError, OSError) as error:
            raise LogUnavailable(f"the operator cannot be reached now ({type(error).__name__})") from error
        if response.status_code != 200:
            raise LogUnavailable(_detail(response))
        try:
            return TaskLog.model_validate_json(response.content)
        except ValidationError as error:
            raise LogUnavailable("the operator's answer is not readable") from error


def _detail(response: httpx2.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the operator answered {response.status_code}"
