"""What the watches have told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from longtask_api.longtask import Failure, LongTask, Phase
from longtask_api.reports import Result
from longtask_operator import cache as module
from longtask_operator.cache import Cache, slim
from longtask_operator.planning.snapshots import PodSnapshot
from tests.unit.given import (
    JOB_UID,
    TASK_UID,
    at,
    at_work,
    attempt,
    held,
    job,
    pod,
    running_pod,
    status,
    task,
    template,
)


def _task(version: int, uid: str = TASK_UID, **fields: Any) -> LongTask:
    built = task(**fields)
    metadata = built.metadata.model_copy(update={"uid": uid, "resource_version": str(version)})
    return built.model_copy(update={"metadata": metadata})


def _pods(cache: Cache) -> list[PodSnapshot]:
    return list(cache.pods_of(JOB_UID))


@pytest.mark.parametrize(
    ("versions", "kept", "news"),
    [([1], 1, True), ([1, 2], 2, True), ([2, 1], 2, False), ([2, 2], 2, True), ([9, 10], 10, True)],
)
def test_a_task_is_never_replaced_by_an_older_version(versions: list[int], kept: int, news: bool) -> None:
    cache = Cache()
    answers = [cache.put_task(_task(version)) for version in versions]
    assert cache.tasks[TASK_UID].metadata.resource_version == str(kept)
    assert answers[-1] is news


@pytest.mark.parametrize(("versions", "kept"), [([1, 2], 2), ([2, 1], 2), ([9, 10], 10), ([10, 9], 10)])
def test_no_object_is_replaced_by_an_older_version(versions: list[int], kept: int) -> None:
    cache = Cache()
    for version in versions:
        cache.put_template(template(version=version))
        cache.put_job(job(resource_version=version))
        cache.put_pod(pod(resource_version=version))
    assert cache.templates["training"].metadata.resource_version == str(kept)
    assert cache.jobs[TASK_UID].resource_version == kept
    assert [known.resource_version for known in _pods(cache)] == [kept]


def test_the_same_version_of_a_job_or_pod_may_say_more() -> None:
    cache = Cache()
    for suspend in (False, True):
        cache.put_job(job(suspend=suspend))
    assert cache.jobs[TASK_UID].suspend


def test_a_task_that_is_gone_does_not_come_back() -> None:
    cache = Cache()
    cache.put_task(_task(1))
    cache.drop_task(TASK_UID)
    assert cache.put_task(_task(2)) is False
    assert cache.tasks == {}


def test_another_task_of_the_same_name_is_another_task() -> None:
    cache = Cache()
    cache.put_task(_task(1))
    cache.drop_task(TASK_UID)
    assert cache.put_task(_task(2, "another-uid"))
    assert list(cache.tasks) == ["another-uid"]


def test_a_task_can_be_dropped_before_it_was_seen() -> None:
    cache = Cache()
    cache.drop_task(TASK_UID)
    assert cache.put_task(_task(1)) is False


def test_a_job_that_is_gone_does_not_come_back() -> None:
    cache = Cache()
    cache.put_job(job())
    cache.drop_job(job(resource_version=2))
    cache.put_job(job(resource_version=3))
    assert cache.jobs == {}


def test_a_job_that_is_gone_takes_no_other_job_with_it() -> None:
    cache = Cache()
    cache.put_job(job(uid="new"))
    cache.drop_job(job(uid="old"))
    assert cache.jobs[TASK_UID].uid == "new"


def test_another_job_of_the_same_task_takes_the_place_of_the_first_whatever_its_version() -> None:
    cache = Cache()
    cache.put_job(job(uid="old", resource_version=9))
    cache.put_job(job(uid="new", resource_version=1))
    assert cache.jobs[TASK_UID].uid == "new"


def test_a_pod_that_is_gone_stays_as_it_was_last_seen() -> None:
    cache = Cache()
    gone = running_pod(resource_version=2, gone=True)
    cache.put_pod(gone)
    cache.put_pod(running_pod(resource_version=3))
    assert _pods(cache) == [gone]


def test_a_pod_that_a_list_does_not_show_is_gone_at_the_same_version() -> None:
    cache = Cache()
    cache.put_pod(running_pod())
    cache.put_pod(replace(running_pod(), gone=True))
    assert _pods(cache)[0].gone


def test_pods_come_oldest_first_and_by_name_at_one_age() -> None:
    cache = Cache()
    for one in (pod("c", 2), pod("b", 1), pod("a", 1), pod("d", 1, job_uid="of-another")):
        cache.put_pod(one)
    assert [known.name for known in _pods(cache)] == ["pod-a", "pod-b", "pod-c"]


def test_asking_for_pods_of_an_unknown_job_leaves_nothing_behind() -> None:
    cache = Cache()
    assert cache.pods_of("unknown") == ()
    assert dict(cache.pods) == {}


@pytest.mark.parametrize(
    ("job_gone", "pods_gone", "kept"), [(True, True, 0), (True, False, 2), (False, True, 2), (False, False, 2)]
)
def test_pods_are_forgotten_when_they_and_their_job_are_gone(job_gone: bool, pods_gone: bool, kept: int) -> None:
    cache = Cache()
    cache.put_job(job())
    cache.put_pod(pod("a", gone=True))
    cache.put_pod(pod("b", gone=pods_gone))
    if job_gone:
        cache.drop_job(job())
    else:
        cache.sweep_pods(JOB_UID)
    assert len(_pods(cache)) == kept


def test_how_the_pods_of_a_lost_job_ended_is_known_until_its_task_has_ended() -> None:
    cache = Cache()
    cache.put_task(_task(1, status=at_work()))
    cache.put_job(job())
    cache.drop_job(job())
    cache.put_pod(pod(gone=True))
    cache.sweep_pods(JOB_UID)
    assert len(_pods(cache)) == 1
    cache.put_task(_task(2, status=status(Phase.FAILED)))
    assert _pods(cache) == []


def test_a_pod_is_left_behind_from_when_it_has_no_job_until_it_is_gone() -> None:
    cache = Cache()
    cache.put_pod(running_pod())
    assert cache.left_behind == set()
    orphan = running_pod(orphaned=True, resource_version=2)
    cache.put_pod(orphan)
    assert (cache.left_behind, cache.orphans_of(TASK_UID), _pods(cache)) == ({TASK_UID}, (orphan,), [orphan])
    cache.put_pod(replace(orphan, gone=True))
    assert (cache.left_behind, cache.orphans_of(TASK_UID)) == (set(), ())


def test_the_last_pod_that_goes_after_its_job_sweeps_them_all() -> None:
    cache = Cache()
    cache.put_job(job())
    cache.put_pod(pod("a", gone=True))
    cache.put_pod(pod("b"))
    cache.drop_job(job())
    cache.put_pod(pod("b", gone=True))
    cache.sweep_pods(JOB_UID)
    assert _pods(cache) == []


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (task(), True),
        (task(status(Phase.PENDING, job_ref=None)), True),
        (task(status(Phase.PENDING)), False),
        (task(status(Phase.FAILED, job_ref=None)), False),
    ],
    ids=["new", "waits-for-its-template", "has-its-job", "was-refused"],
)
def test_who_waits_for_a_template(waiting: LongTask, expected: bool) -> None:
    cache = Cache()
    cache.put_task(waiting)
    assert [known.metadata.uid for known in cache.waiting_for("training")] == ([TASK_UID] if expected else [])
    assert cache.waiting_for("other") == []


def test_graves_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOMBSTONES", 2)
    cache = Cache()
    for uid in ("a", "b", "c"):
        cache.drop_task(uid)
    assert [cache.put_task(_task(1, uid)) for uid in ("a", "b", "c")] == [True, False, False]


@pytest.mark.parametrize("unfinished", [task(), task(at_work()), task(held(5), parameters={"epochs": 3})])
def test_a_task_that_has_not_ended_is_kept_whole(unfinished: LongTask) -> None:
    assert slim(unfinished) is unfinished


def test_of_an_ended_task_only_what_decisions_need_is_kept() -> None:
    ended = status(
        Phase.FAILED,
        attempts=[attempt()],
        result=Result(value=7),
        failure=Failure(reason="Error", message="x", log_tail="y"),
    )
    kept = slim(task(ended, parameters={"epochs": 3}, ttl_seconds_after_finished=60))
    assert (kept.spec.parameters, kept.status.result, kept.status.failure, kept.status.attempts) == ({}, None, None, [])
    assert (kept.is_terminal, kept.status.completion_time, kept.spec.ttl_seconds_after_finished) == (
        True,
        ended.completion_time,
        60,
    )
    assert (kept.status.template_snapshot, kept.status.job_ref) == (ended.template_snapshot, ended.job_ref)


def test_the_cache_keeps_ended_tasks_slim() -> None:
    cache = Cache()
    cache.put_task(task(status(Phase.SUCCEEDED, result=Result(value=7)), parameters={"epochs": 3}))
    assert cache.tasks[TASK_UID].status.result is None
    assert cache.tasks[TASK_UID].spec.parameters == {}


def test_an_ended_task_is_read_again_as_it_was() -> None:
    ended = _task(5, status=status(Phase.SUCCEEDED, result=Result(value=7)))
    cache = Cache()
    cache.put_task(ended)
    assert cache.tasks[TASK_UID] == slim(ended)
    assert cache.tasks.version(TASK_UID) == 5
    assert list(cache.tasks.unfinished) == []
    assert (list(cache.tasks), len(cache.tasks), TASK_UID in cache.tasks) == ([TASK_UID], 1, True)


def test_ended_tasks_are_read_each_as_it_is_now() -> None:
    cache = Cache()
    for uid, phase in (("a", Phase.SUCCEEDED), ("b", Phase.FAILED)):
        cache.put_task(_task(1, uid, status=status(phase)))
    assert [cache.tasks[uid].status.phase for uid in "aabba"] == ["Succeeded"] * 2 + ["Failed"] * 2 + ["Succeeded"]
    cache.put_task(_task(2, "a", status=status(Phase.CANCELLED)))
    assert cache.tasks["a"].status.phase == "Cancelled"
    assert cache.tasks["a"].metadata.resource_version == "2"


def test_a_task_that_ends_is_there_once() -> None:
    cache = Cache()
    cache.put_task(_task(1))
    cache.put_task(_task(2, status=status(Phase.SUCCEEDED)))
    assert list(cache.tasks) == [TASK_UID]
    cache.drop_task(TASK_UID)
    assert cache.tasks == {}


def test_a_template_that_is_gone_takes_no_other_of_its_name_with_it() -> None:
    cache = Cache()
    cache.put_template(template())
    cache.drop_template("training", "the-uid-of-an-earlier-one")
    assert "training" in cache.templates
    cache.drop_template("training", cache.templates["training"].metadata.uid)
    assert cache.templates == {}


@pytest.mark.parametrize(("listed", "version", "kept"), [(True, 9, True), (False, 9, False), (False, 4, True)])
def test_a_list_drops_what_it_does_not_have_unless_that_is_newer(listed: bool, version: int, kept: bool) -> None:
    cache = Cache()
    cache.put_task(_task(5))
    cache.put_template(template(version=5))
    cache.put_job(job(resource_version=5))
    cache.put_pod(pod(resource_version=5))
    uids = {TASK_UID, JOB_UID, template().metadata.uid, pod().uid} if listed else set[str]()
    cache.keep_pods(uids, version)
    cache.keep_jobs(uids, version)
    cache.keep_tasks(uids, version)
    cache.keep_templates(uids, version)
    assert [bool(each) for each in (cache.tasks, cache.templates, cache.jobs, cache.pods)] == [kept] * 4


def test_pods_of_jobs_that_were_never_seen_are_forgotten_once_both_are_gone() -> None:
    cache = Cache()
    for number in range(100):
        cache.put_pod(pod(str(number), job_uid=f"unseen-{number}", resource_version=5))
    cache.keep_jobs(set(), 9)
    assert len(cache.pods) == 100, "they are there"
    cache.keep_pods(set(), 9)
    assert dict(cache.pods) == {}
    assert cache._job_of_pod == {}


def test_a_pod_that_is_newer_than_a_list_of_jobs_waits_for_its_job() -> None:
    cache = Cache()
    cache.put_pod(pod(resource_version=12, gone=True))
    cache.keep_jobs(set(), 9)
    cache.put_job(job(resource_version=11))
    assert cache.jobs[TASK_UID].uid == JOB_UID
    assert len(_pods(cache)) == 1


@pytest.mark.parametrize(
    ("news", "known"),
    [
        (lambda cache: cache.put_task(_task(2)), lambda cache: cache.put_task(_task(1))),
        (lambda cache: cache.put_job(job(resource_version=2, failures=1)), lambda cache: cache.put_job(job())),
        (lambda cache: cache.put_pod(pod(resource_version=2, node=None)), lambda cache: cache.put_pod(pod())),
        (lambda cache: cache.put_pod(pod(gone=True)), lambda cache: cache.put_pod(pod())),
        (lambda cache: cache.drop_task(TASK_UID), lambda cache: None),
        (lambda cache: cache.drop_job(job()), lambda cache: None),
    ],
)
def test_whoever_brings_news_of_a_task_it_is_told_once(
    news: Callable[[Cache], object], known: Callable[[Cache], object]
) -> None:
    told: list[str] = []
    cache = Cache()
    known(cache)
    cache.on_change = told.append
    known(cache)
    assert told == []
    news(cache)
    assert told == [TASK_UID]


def test_a_newer_version_that_shows_nothing_new_is_kept_and_no_news() -> None:
    told: list[str] = []
    cache = Cache()
    cache.put_job(job())
    cache.put_pod(pod(asked_to_go=at(3)))
    cache.on_change = told.append
    cache.put_job(job(resource_version=2))
    cache.put_pod(pod(resource_version=2, asked_to_go=at(4)))
    assert (cache.jobs[TASK_UID].resource_version, _pods(cache)[0].resource_version) == (2, 2)
    assert told == []


def test_tasks_are_counted_by_phase_and_reason() -> None:
    cache = Cache()
    cache.put_task(_task(1, "a"))
    cache.put_task(_task(1, "b", status=status(Phase.FAILED)))
    assert sum(cache.tasks.count.values()) == 2
    cache.put_task(_task(2, "a", status=status(Phase.FAILED)))
    [(standing, number)] = cache.tasks.count.items()
    assert (standing[0], number) == ("Failed", 2)
    for uid in ("a", "b"):
        cache.drop_task(uid)
    assert not cache.tasks.count
