"""A client of AgentCore Memory's data plane, which calls boto3 in threads.

bedrock-agentcore's MemoryClient is not used: it has no clientToken, drops error codes, and falls back to a default
region.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from longtask_operator.agentcore.models import Event, ServiceError, Session, SessionSummary
from longtask_operator.to_thread import ThreadedClient

PAGE = 100
"""The largest page that the service lists."""
THREADS = 16
CONNECT_SECONDS = 5
READ_SECONDS = 20


class AgentCore:
    """The memories of one account and region. Every method raises ServiceError; none retries a call."""

    def __init__(self, region: str) -> None:
        """boto3 finds the credentials and AWS_ENDPOINT_URL_BEDROCK_AGENTCORE. No call is made yet."""
        self._client = ThreadedClient(partial(_client, region), THREADS, "agentcore")

    async def prepare(self) -> None:
        """Create the client, so that the first call does not take a second longer. Raises if region or endpoint is
        invalid.
        """
        await self._client.prepare()

    def close(self) -> None:
        """Shut down threads and connections."""
        self._client.close()

    async def events(
        self, session: Session, *, metadata: Mapping[str, str] | None = None, page: int = PAGE
    ) -> AsyncIterator[list[Event]]:
        """The session's events in pages, newest first, filtered by `metadata` if given. An unknown session has none."""
        wanted: dict[str, Any] = {"includePayloads": True, "maxResults": page, **_address(session)}
        if metadata:
            wanted["filter"] = {"eventMetadata": [_equals(key, value) for key, value in metadata.items()]}
        async for answer in self._pages("list_events", wanted):
            yield [_event(each) for each in answer["events"]]

    async def create_event(
        self,
        session: Session,
        time: datetime,
        payload: Sequence[Mapping[str, Any]],
        metadata: Mapping[str, str],
        token: str,
        *,
        extract: bool = True,
    ) -> str:
        """Create an event and return its id. With a token that the service has seen before, it creates nothing.
        `extract` False keeps the event out of long-term memory.
        """
        options: dict[str, Any] = {} if extract else {"extractionMode": "SKIP"}
        answer = await self._call(
            "create_event",
            **_address(session),
            eventTimestamp=time,
            payload=list(payload),
            metadata={key: {"stringValue": value} for key, value in metadata.items()},
            clientToken=token,
            **options,
        )
        return str(answer["event"]["eventId"])

    async def sessions(self, memory_id: str, actor_id: str) -> AsyncIterator[list[SessionSummary]]:
        """The actor's sessions in pages, in the service's order. An unknown actor has none."""
        wanted = {"memoryId": memory_id, "actorId": actor_id, "maxResults": PAGE}
        try:
            async for answer in self._pages("list_sessions", wanted):
                yield [SessionSummary(each["sessionId"], each["createdAt"]) for each in answer["sessionSummaries"]]
        except ServiceError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def create_record(
        self,
        memory_id: str,
        namespace: str,
        text: str,
        time: datetime,
        metadata: Mapping[str, str],
        token: str,
        identifier: str,
    ) -> str:
        """Create a long-term memory record and return its id. `identifier`: at most 80 letters, digits, `_` and `-`."""
        answer = await self._call(
            "batch_create_memory_records",
            memoryId=memory_id,
            records=[
                {
                    "requestIdentifier": identifier,
                    "namespaces": [namespace],
                    "content": {"text": text},
                    "timestamp": time,
                    "metadata": {key: {"stringValue": value} for key, value in metadata.items()},
                }
            ],
            clientToken=token,
        )
        if answer["failedRecords"]:
            failed = answer["failedRecords"][0]
            status = failed.get("errorCode")
            raise ServiceError("RecordFailed", status, failed.get("errorMessage") or "the service gives no reason")
        return str(answer["successfulRecords"][0]["memoryRecordId"])

    async def _pages(self, operation: str, wanted: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Each page of a call that is continued with nextToken."""
        token: dict[str, str] = {}
        while True:
            answer = await self._call(operation, **wanted, **token)
            yield answer
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}

    async def _call(self, operation: str, **options: Any) -> Any:
        try:
            return await self._client.call(lambda client: getattr(client, operation)(**options))
        except ClientError as error:
            raise _refusal(error) from error
        except BotoCoreError as error:
            raise ServiceError(type(error).__name__, None, str(error)) from error


def _refusal(error: ClientError) -> ServiceError:
    told = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return ServiceError(told.get("Code", "Unknown"), status, told.get("Message") or str(error))


def _address(session: Session) -> dict[str, str]:
    return {"memoryId": session.memory_id, "actorId": session.actor_id, "sessionId": session.session_id}


def _equals(key: str, value: str) -> dict[str, Any]:
    right = {"metadataValue": {"stringValue": value}}
    return {"left": {"metadataKey": key}, "operator": "EQUALS_TO", "right": right}


def _event(answer: Mapping[str, Any]) -> Event:
    return Event(
        event_id=answer["eventId"],
        time=answer["eventTimestamp"],
        payload=tuple(answer.get("payload") or ()),
        metadata={key: value.get("stringValue", "") for key, value in answer.get("metadata", {}).items()},
    )


def _client(region: str) -> Any:
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=THREADS,
    )
    return boto3.session.Session().client("bedrock-agentcore", region_name=region, config=config)
