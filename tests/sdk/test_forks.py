"""A fork while a thread is busy with the SDK: the child has that thread's locks, and nobody who lets them go."""

import json
import os
import pty

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


def test_the_reporter_makes_no_tls_context(pod: Start, api: TaskApi) -> None:
    url = api.environment["LONGTASK_REPORT_URL"].replace("http:", "https:")
    ran = pod("forking:contexts_of_the_reporter", environment={"LONGTASK_REPORT_URL": url}).ended()
    assert (ran.code, ran.message) == (0, "0"), ran.err


def test_a_process_is_not_forked_in_a_step_of_the_tls_handshake(pod: Start, api: TaskApi) -> None:
    url = api.environment["LONGTASK_REPORT_URL"].replace("http:", "https:")
    ran = pod("forking:while_the_reporter_shakes_hands", environment={"LONGTASK_REPORT_URL": url}).ended()
    assert (ran.code, ran.message) == (0, "0"), ran.err


def test_a_fork_does_not_wait_for_ever(pod: Start) -> None:
    ran = pod("forking:while_a_thread_keeps_forks_out").ended()
    assert (ran.code, ran.message) == (0, "0"), ran.err


@pytest.mark.parametrize(("where", "locks"), [("desk", 4), ("pod", 2)])
def test_a_forked_process_has_locks_of_its_own(desk: Start, pod: Start, where: str, locks: int) -> None:
    ran = (pod if where == "pod" else desk)("forking:while_a_thread_holds_each_lock").ended()
    assert ran.code == 0, ran.err
    assert json.loads((ran.message if where == "pod" else ran.out) or "") == [0] * locks


@pytest.mark.parametrize("work", ["forks_and_leaves", "forks_and_leaves_async"])
@pytest.mark.parametrize("where", ["desk", "pod"])
def test_a_forked_process_that_leaves_the_work_delivers_nothing(desk: Start, pod: Start, where: str, work: str) -> None:
    ran = (pod if where == "pod" else desk)(f"forking:{work}", how="exit text raise return").ended()
    assert ran.code == 0, ran.err
    assert json.loads((ran.message if where == "pod" else ran.out) or "") == [3, 1, 1, 0]
    assert "the child says why\n" in ran.err
    assert "ValueError: the child fails" in ran.err


def test_a_stderr_that_reports_what_is_written_does_not_hold_up_the_work(pod: Start, api: TaskApi) -> None:
    api.always = CUT
    ran = pod("forking:reports_what_it_writes").ended()
    assert ran.code == 0, ran.err
    assert int(ran.message or "0") > 50


def test_work_whose_stderr_nobody_reads_ends_in_time(pod: Start) -> None:
    ran = pod("forking:leaves_a_thread_and_nobody_reads", environment={"LONGTASK_EXIT_SECONDS": "1"}).ended()
    assert (ran.code, ran.message) == (0, "7")


def test_a_question_that_timed_out_does_not_hold_up_processes_that_are_forked_later(desk: Start) -> None:
    ours, theirs = pty.openpty()
    ran = desk("forking:asks_and_forks", stdin=theirs).ended()
    for each in (ours, theirs):
        os.close(each)
    assert (ran.code, ran.out) == (0, "0\n"), ran.err
