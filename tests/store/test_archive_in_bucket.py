"""The archive in a bucket: a record, written once with what goes with the object, read by its caller only."""

import dataclasses
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from longtask_api.longtask import LongTask
from longtask_api.mcp_names import requester_label
from longtask_api.reports import Result
from longtask_operator.archive import record, s3_archive
from longtask_operator.archive.archive import Archive
from longtask_operator.archive.models import Caller
from longtask_operator.store import s3 as s3_module
from longtask_operator.store.config_maps import ConfigMaps
from longtask_operator.store.errors import NotStored, StoreUnavailable
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import S3, S3Settings
from longtask_operator.store.store import Store
from tests.archived import CALLER, OTHERS, artifact, ended
from tests.kube import Kube
from tests.ports import free_port
from tests.s3 import S3Server
from tests.store.conftest import LIMIT, NewOwner
from tests.store.streams import MIB, put, some_bytes


@pytest.fixture(scope="session")
def archive(store: Store) -> Archive:
    """With a bucket and no memory."""
    return Archive(store, None, ())


@pytest.fixture
def caller() -> Caller:
    """One that has no tasks yet."""
    return Caller(f"system:serviceaccount:agents:{uuid.uuid4()}", "ada")


Given = Callable[..., LongTask]


@pytest.fixture
def given_task(owner: Owner, caller: Caller) -> Given:
    """Makes what the API server has of the test's task when it has ended."""

    def make(**fields: Any) -> LongTask:
        return asked_by(caller, named(ended(**fields), owner))

    return make


def named(task: LongTask, owner: Owner) -> LongTask:
    """The task under that name and uid."""
    return task.model_copy(update={"metadata": task.metadata.model_copy(update={"name": owner.name, "uid": owner.uid})})


def asked_by(caller: Caller, task: LongTask) -> LongTask:
    """The task as that caller's."""
    assert task.spec.requester is not None
    told = {"principal": caller.principal, "actor_id": caller.actor_id}
    requester = task.spec.requester.model_copy(update=told)
    return task.model_copy(update={"spec": task.spec.model_copy(update={"requester": requester})})


async def bytes_of(archive: Archive, caller: Caller, uid: str, artifact: str | None = None, *part: int) -> bytes:
    """What the caller reads of a result or artifact."""
    body = await archive.body(caller, uid, artifact)
    assert body is not None
    return b"".join([chunk async for chunk in body.read(*(part or (0, None)))])


def keys(server: S3Server, task: LongTask) -> list[str]:
    """Of what the bucket has of the task."""
    return sorted(key for key in server.object_keys() if task.metadata.uid in key)


async def test_a_record_is_read_by_its_caller_as_it_was_archived(
    archive: Archive, given_task: Given, caller: Caller, kube: Kube, server: S3Server
) -> None:
    task = given_task()
    kept = await archive.put(task)
    assert kept is not None
    label = requester_label(caller.principal, caller.actor_id)
    key = f"longtask/{kube.namespace}/archive/{label}/{task.metadata.uid}.json"
    assert kept.uri == f"s3://{server.bucket}/{key}"
    assert server.client.get_object(Bucket=server.bucket, Key=key)["Body"].read() == record.written(task, {})
    found = await archive.get(caller, task.metadata.uid)
    assert found is not None
    assert record.document(found) == record.document(task)
    assert found.status.archive is not None
    assert found.status.archive.uri == kept.uri
    assert abs(found.status.archive.archived_time - kept.archived_time).total_seconds() < 60


async def test_what_was_in_config_maps_is_read_when_they_are_gone(
    archive: Archive, given_task: Given, caller: Caller, store: Store, owner: Owner, server: S3Server
) -> None:
    result, table, model = some_bytes(300_000), b"a,b\n", some_bytes(2 * MIB)
    kept = await put(store, owner, result), await put(store, owner, table, "t"), await put(store, owner, model, "m")
    assert [each.uri.partition(":")[0] for each in kept] == ["configmap", "configmap", "s3"]
    artifacts = [artifact("table", kept[1]), artifact("model", kept[2])]
    task = given_task(result=Result(reference=kept[0], media_type="text/plain", artifacts=artifacts))
    await archive.put(task)
    for each in kept[:2]:
        await store.delete(owner, each)
    assert await bytes_of(archive, caller, owner.uid) == result
    assert await bytes_of(archive, caller, owner.uid, None, 100_000, 250_000) == result[100_000:250_000]
    assert await bytes_of(archive, caller, owner.uid, "table") == table
    assert await bytes_of(archive, caller, owner.uid, "model") == model
    body = await archive.body(caller, owner.uid, None)
    assert body is not None
    assert (body.media_type, body.reference.sha256) == ("text/plain", hashlib.sha256(result).hexdigest())
    found = await archive.get(caller, owner.uid)
    assert found is not None
    assert found.status.result is not None
    told = [found.status.result.reference, *(found.status.result.artifacts or [])]
    assert all(each and (each.uri or "").startswith(f"s3://{server.bucket}/") for each in told)
    assert told[2] == artifacts[1]


class Failing(S3):
    """A bucket that takes so many writes and fails then, before or after the next one."""

    def __init__(self, settings: S3Settings, namespace: str, left: int, after: bool) -> None:
        super().__init__(settings, namespace)
        self.left = left
        self.after = after

    async def write(self, key: str, media_type: str, data: bytes) -> str:
        self.left -= 1
        if self.left < 0 and not self.after:
            raise StoreUnavailable("cut off before")
        uri = await super().write(key, media_type, data)
        if self.left < 0:
            raise StoreUnavailable("cut off after")
        return uri


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_an_archiving_that_was_cut_off_anywhere_goes_on_to_one_record(
    archive: Archive,
    given_task: Given,
    caller: Caller,
    config_maps: ConfigMaps,
    settings: S3Settings,
    kube: Kube,
    owner: Owner,
    server: S3Server,
    writes: int,
    after: bool,
) -> None:
    failing = Failing(settings, kube.namespace, writes, after)
    store = Store(config_maps, failing, LIMIT)
    kept = await put(store, owner, b"the result"), await put(store, owner, b"a,b", "table")
    task = given_task(result=Result(reference=kept[0], artifacts=[artifact("table", kept[1])]))
    with pytest.raises(StoreUnavailable, match="cut off"):
        await Archive(store, None, ()).put(task)
    failing.close()
    again = await archive.put(task)
    assert again is not None
    assert len(keys(server, task)) == 3
    assert [each.metadata.uid for each in (await archive.page(caller, 10, None)).tasks] == [owner.uid]
    assert await bytes_of(archive, caller, owner.uid) == b"the result"
    assert await bytes_of(archive, caller, owner.uid, "table") == b"a,b"


async def test_a_record_that_is_there_is_not_written_again(
    archive: Archive, given_task: Given, caller: Caller, server: S3Server, owner: Owner
) -> None:
    first = await archive.put(given_task())
    again = await archive.put(given_task(log_tail="another"))
    assert first is not None
    assert again is not None
    assert again.uri == first.uri
    found = await archive.get(caller, owner.uid)
    assert found is not None
    assert found.status.log_tail == "done\n"


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_another_caller_finds_nothing(archive: Archive, owner: Owner, store: Store, other: Caller) -> None:
    kept = await put(store, owner, b"secret")
    await archive.put(named(ended(result=Result(reference=kept)), owner))
    assert await archive.get(CALLER, owner.uid) is not None
    assert await archive.get(other, owner.uid) is None
    assert await archive.body(other, owner.uid, None) is None
    assert owner.uid not in [each.metadata.uid for each in (await archive.page(other, 100, None)).tasks]


async def test_a_record_under_another_callers_key_is_not_given_out(
    archive: Archive, given_task: Given, caller: Caller, s3: S3, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    """As it would be if the short labels of two callers were the same."""
    await s3.write(s3_archive._key(caller, owner.uid), "application/json", record.written(named(ended(), owner), {}))
    assert await archive.get(caller, owner.uid) is None
    assert (await archive.page(caller, 10, None)).tasks == []
    assert "another caller's" in caplog.text


@pytest.mark.parametrize(
    "uid", ["", "x", "..", "../other", "8F3C2A1B-1111-4222-8333-444444444444", "8f3c2a1b-1111-4222-8333-444444444444"]
)
async def test_what_is_no_uid_of_a_record_is_not_found(archive: Archive, caller: Caller, uid: str) -> None:
    assert await archive.get(caller, uid) is None
    assert await archive.body(caller, uid, None) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[[[", b"{}"])
async def test_what_is_no_record_is_told_in_the_log_and_not_found(
    archive: Archive, caller: Caller, s3: S3, owner: Owner, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    await s3.write(s3_archive._key(caller, owner.uid), "application/json", data)
    assert await archive.get(caller, owner.uid) is None
    assert "no record can be read" in caplog.text


async def archived(archive: Archive, caller: Caller, count: int) -> list[str]:
    """Uids of so many tasks in the archive of the caller."""
    uids = [str(uuid.uuid4()) for _ in range(count)]
    for uid in uids:
        await archive.put(asked_by(caller, ended(uid=uid)))
    return uids


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
async def test_pages_have_every_record_once_the_newest_first(
    archive: Archive, caller: Caller, s3: S3, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(s3_module, "PAGE", 3)
    uids = await archived(archive, caller, 7)
    modified = {each.key: each.modified for each in (await s3.listed(s3_archive._folder(caller), 100))[0]}
    seen: list[str] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        page = await archive.page(caller, limit, cursor)
        assert len(page.tasks) <= limit
        seen += [each.metadata.uid for each in page.tasks]
        cursor = page.cursor
    assert seen == sorted(uids, key=lambda uid: (modified[f"{uid}.json"], uid), reverse=True)


async def test_further_pages_of_a_list_list_nothing_anew(archive: Archive, caller: Caller, s3: S3) -> None:
    lists: list[object] = []

    def listing(**call: object) -> None:
        lists.append(call)

    uids = await archived(archive, caller, 3)
    events = await s3._client.call(lambda client: client.meta.events)
    events.register("before-send.s3.ListObjectsV2", listing)
    try:
        first = await archive.page(caller, 1, None)
        later = await archived(archive, caller, 1)
        second = await archive.page(caller, 1, first.cursor)
        third = await archive.page(caller, 1, second.cursor)
        assert len(lists) == 1
        anew = await archive.page(caller, 10, None)
        assert {each.metadata.uid for each in anew.tasks} == {*uids, *later}
        assert len(lists) == 2
    finally:
        events.unregister("before-send.s3.ListObjectsV2", listing)
    assert {each.metadata.uid for page in (first, second, third) for each in page.tasks} == set(uids)


async def test_a_list_is_in_short(archive: Archive, given_task: Given, caller: Caller) -> None:
    await archive.put(given_task())
    [task] = (await archive.page(caller, 10, None)).tasks
    assert task.spec.parameters == {}
    assert task.status.completion_time is not None


async def test_of_more_records_than_are_looked_at_it_is_told(
    archive: Archive, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_archive, "MAX_KEYS", 3)
    await archived(archive, caller, 3)
    assert (await archive.page(caller, 10, None)).notes == []
    await archived(archive, caller, 1)
    page = await archive.page(caller, 10, None)
    assert len(page.tasks) == 3
    assert page.notes == ["of the records in the bucket only 3 were looked at"]


async def test_a_body_that_was_gone_before_is_told_and_the_record_is_kept(
    archive: Archive, given_task: Given, caller: Caller, store: Store, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    kept = await put(store, owner, b"the result")
    await store.delete(owner, kept)
    await archive.put(given_task(result=Result(reference=kept, summary="score 0.87")))
    found = await archive.get(caller, owner.uid)
    assert found is not None
    assert found.status.result == Result(reference=kept, summary="score 0.87")
    assert "not archived: ConfigMap" in caplog.text
    with pytest.raises(NotStored, match="with the LongTask"):
        await archive.body(caller, owner.uid, None)


async def test_a_record_leads_to_nothing_of_another_task(
    archive: Archive, given_task: Given, caller: Caller, store: Store, owner: Owner, new_owner: NewOwner
) -> None:
    """The work itself says where its artifacts are."""
    another = await put(store, new_owner(), some_bytes(2 * MIB))
    await archive.put(given_task(result=Result(artifacts=[artifact("model", another)])))
    with pytest.raises(NotStored, match="is not kept for task"):
        await bytes_of(archive, caller, owner.uid, "model")


NOT_TAKEN = {
    "nobody asked for it": lambda task: task.model_copy(
        update={"spec": task.spec.model_copy(update={"requester": None})}
    ),
    "it goes on": lambda task: task.model_copy(update={"status": task.status.model_copy(update={"phase": None})}),
}


@pytest.mark.parametrize("case", NOT_TAKEN)
async def test_what_is_not_taken(archive: Archive, given_task: Given, server: S3Server, case: str) -> None:
    task = NOT_TAKEN[case](given_task())
    assert await archive.put(task) is None
    assert not archive.takes(task)
    assert keys(server, task) == []


async def test_without_a_bucket_and_a_memory_there_is_no_archive(
    store_without_bucket: Store, given_task: Given, caller: Caller, owner: Owner
) -> None:
    archive, task = Archive(store_without_bucket, None, ()), given_task()
    task = task.model_copy(update={"spec": task.spec.model_copy(update={"memory": None})})
    assert not archive.takes(task)
    assert await archive.put(task) is None
    assert await archive.get(caller, owner.uid) is None
    assert (await archive.page(caller, 10, None)).tasks == []


USES: dict[str, Callable[[Archive, LongTask], Awaitable[object]]] = {
    "put": lambda archive, task: archive.put(task),
    "get": lambda archive, task: archive.get(CALLER, task.metadata.uid),
    "body": lambda archive, task: archive.body(CALLER, task.metadata.uid, None),
    "page": lambda archive, _: archive.page(CALLER, 10, None),
}


@pytest.mark.parametrize("use", USES)
async def test_a_bucket_that_is_away_is_told(
    config_maps: ConfigMaps, settings: S3Settings, kube: Kube, use: str
) -> None:
    s3 = S3(dataclasses.replace(settings, endpoint_url=f"http://127.0.0.1:{free_port()}"), kube.namespace)
    try:
        with pytest.raises(StoreUnavailable, match="try again later"):
            await USES[use](Archive(Store(config_maps, s3, LIMIT), None, ()), ended())
    finally:
        s3.close()


@pytest.mark.parametrize("key", ["", "..", "a/../b", "/a", "a//b", "a/", "a b", "a\n"])
async def test_nothing_small_is_written_under_what_is_no_key(s3: S3, key: str) -> None:
    for use in (s3.write(key, "text/plain", b""), s3.read(key), s3.listed(key, 1)):
        with pytest.raises(ValueError, match="is no key"):
            await use
