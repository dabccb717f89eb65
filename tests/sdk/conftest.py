"""A task API for each test that wants one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdk.api import TaskApi, task_api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TaskApi]:
    with task_api(tmp_path) as made:
        yield made
