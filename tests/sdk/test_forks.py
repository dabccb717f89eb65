"""A fork while a thread of the SDK is busy: the child has that thread's locks, and nobody who lets them go."""

import json

import pytest

from tests.sdk.api import CUT, TaskApi
from tests.sdk.test_run import Start, desk, pod

__all__ = ["desk", "pod"]


def test_a_process_forked_during_the_first_report_can_use_the_task_api(pod: Start, api: TaskApi) -> None:
    ran = pod("forking:while_the_reporter_imports").ended()
    assert (ran.code, ran.message) == (0, "0"), ran.err
    assert len(api.requests("PUT", "/artifacts/of-the-child")) == 1


@pytest.mark.parametrize("where", ["http", "https", "unreachable"])
def test_the_reporter_imports_nothing(pod: Start, api: TaskApi, where: str) -> None:
    environment = {"LONGTASK_FLUSH_SECONDS": "1"}
    if where == "https":
        environment["LONGTASK_REPORT_URL"] = api.environment["LONGTASK_REPORT_URL"].replace("http:", "https:")
    if where == "unreachable":
        api.always = CUT
    ran = pod("forking:imports_of_the_reporter", environment=environment).ended()
    assert ran.code == 0, ran.err
    assert json.loads(ran.message or "") == []


def test_a_process_forked_while_the_sdk_writes_to_stderr_can_write_too(pod: Start) -> None:
    ran = pod("forking:while_a_thread_writes").ended()
    assert (ran.code, ran.message) == (0, "0")
