"""The archive in an AgentCore memory: a record in a session of its own, read by its caller only."""

import hashlib
from collections.abc import Iterator

import pytest

from longtask_api.agentcore_ids import archive_session
from longtask_api.reports import Result
from longtask_operator.agentcore.client import AgentCore
from longtask_operator.agentcore.models import ServiceError
from longtask_operator.archive import record
from longtask_operator.archive.archive import Archive
from longtask_operator.archive.models import MemoryNotAllowed
from longtask_operator.store.config_maps import ConfigMaps
from longtask_operator.store.errors import NotStored
from longtask_operator.store.owner import Owner
from longtask_operator.store.store import Store
from tests.agentcore import REGION, AgentCoreMemory, agentcore_memory
from tests.archived import CALLER, MEMORY_ID, OTHERS, artifact, ended
from tests.store.conftest import LIMIT
from tests.store.streams import put, some_bytes

ACTOR = "ada"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentCoreMemory]:
    with agentcore_memory(tmp_path_factory.mktemp("agentcore")) as service, pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment.items():
            patch.setenv(name, value)
        yield service


@pytest.fixture
def memory(running: AgentCoreMemory) -> AgentCoreMemory:
    running.no_faults()
    return running


@pytest.fixture
def store(config_maps: ConfigMaps) -> Store:
    """Without a bucket."""
    return Store(config_maps, None, LIMIT)


@pytest.fixture
def archive(store: Store, memory: AgentCoreMemory) -> Iterator[Archive]:
    service = AgentCore(REGION)
    yield Archive(store, service, [MEMORY_ID])
    service.close()


async def bytes_of(archive: Archive, uid: str, name: str | None = None, *part: int) -> bytes:
    body = await archive.body(CALLER, uid, name)
    assert body is not None
    return b"".join([chunk async for chunk in body.read(*(part or (0, None)))])


async def test_a_record_is_read_by_its_caller_as_it_was_archived(
    archive: Archive, owner: Owner, memory: AgentCoreMemory
) -> None:
    task = ended(uid=owner.uid)
    kept = await archive.put(task)
    assert kept is not None
    assert kept.uri == f"agentcore:{MEMORY_ID}/{ACTOR}/{archive_session(owner.uid)}"

    found = await archive.get(CALLER, owner.uid)
    listed = await archive.page(CALLER, 10, None)

    assert found is not None
    assert record.document(found) == record.document(task)
    assert owner.uid in [each.metadata.uid for each in listed.tasks]
    events = memory.events(ACTOR, archive_session(owner.uid), MEMORY_ID)
    assert all("conversational" not in item for event in events for item in event["payload"])


@pytest.mark.parametrize("other", OTHERS)
async def test_a_record_is_nobody_elses(archive: Archive, owner: Owner, other: str) -> None:
    await archive.put(ended(uid=owner.uid))

    assert await archive.get(OTHERS[other], owner.uid) is None
    assert await archive.body(OTHERS[other], owner.uid, None) is None
    assert owner.uid not in [each.metadata.uid for each in (await archive.page(OTHERS[other], 100, None)).tasks]


async def test_what_was_in_config_maps_is_read_when_they_are_gone(archive: Archive, store: Store, owner: Owner) -> None:
    result, table = some_bytes(300_000), b"a,b\n"
    kept = await put(store, owner, result), await put(store, owner, table, "t")
    artifacts = [artifact("table", kept[1])]
    await archive.put(ended(uid=owner.uid, result=Result(reference=kept[0], artifacts=artifacts)))
    for each in kept:
        await store.delete(owner, each)

    assert await bytes_of(archive, owner.uid) == result
    assert await bytes_of(archive, owner.uid, None, 100_000, 250_000) == result[100_000:250_000]
    assert await bytes_of(archive, owner.uid, "table") == table


async def test_what_is_too_much_for_a_memory_goes_with_the_object_and_that_is_said(
    archive: Archive, store: Store, owner: Owner
) -> None:
    kept = [await put(store, owner, some_bytes(800_000), name) for name in ("first", "second")]
    artifacts = [artifact(name, each) for name, each in zip(("first", "second"), kept, strict=True)]
    await archive.put(ended(uid=owner.uid, result=Result(artifacts=artifacts)))

    assert hashlib.sha256(await bytes_of(archive, owner.uid, "first")).hexdigest() == kept[0].sha256
    with pytest.raises(NotStored, match=r"operator\.store\.s3"):
        await archive.body(CALLER, owner.uid, "second")


@pytest.mark.parametrize("fault", ["error", "reset", "resetAfter", "errorAfter"])
@pytest.mark.parametrize("skip", range(4))
async def test_an_attempt_that_was_cut_off_is_gone_on_with(
    archive: Archive, store: Store, owner: Owner, memory: AgentCoreMemory, fault: str, skip: int
) -> None:
    result = some_bytes(150_000)
    task = ended(uid=owner.uid, result=Result(reference=await put(store, owner, result)))
    session = archive_session(owner.uid)
    memory.fault("CreateEvent", fault, skip=skip, match={"sessionId": session})

    for _ in range(2):
        try:
            await archive.put(task)
        except ServiceError:
            continue

    events = memory.events(ACTOR, session, MEMORY_ID)
    pieces = [(event["metadata"]["longtaskSha256"], event["metadata"]["longtaskPart"]) for event in events]
    assert len(pieces) == len({str(piece) for piece in pieces})
    assert await bytes_of(archive, owner.uid) == result


async def test_half_a_record_is_none(archive: Archive, owner: Owner, memory: AgentCoreMemory) -> None:
    memory.fault("CreateEvent", "error", match={"sessionId": archive_session(owner.uid)})

    with pytest.raises(ServiceError):
        await archive.put(ended(uid=owner.uid))

    assert await archive.get(CALLER, owner.uid) is None


async def test_a_memory_that_is_not_listed_is_neither_written_nor_read(store: Store, owner: Owner) -> None:
    service = AgentCore(REGION)
    elsewhere = Archive(store, service, ["others-0123456789"])
    try:
        with pytest.raises(ServiceError, match="memoryIds"):
            await elsewhere.put(ended(uid=owner.uid))
        with pytest.raises(MemoryNotAllowed):
            await elsewhere.get(type(CALLER)(CALLER.principal, CALLER.actor_id, MEMORY_ID), owner.uid)
    finally:
        service.close()


async def test_a_memory_that_is_away_is_told(archive: Archive, owner: Owner, memory: AgentCoreMemory) -> None:
    memory.fault("ListEvents", "denied")

    with pytest.raises(ServiceError, match="scripted"):
        await archive.get(CALLER, owner.uid)
