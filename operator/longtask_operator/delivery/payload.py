"""Builds session events in the format of the Strands session manager (AgentCoreMemorySessionManager). Pure.

The format is strict: with one plain-text event in a session, the session manager restores none of its history. After a
user message alone, the next prompt would be the second in a row, which models refuse. So each event is a pair.
"""

import hashlib
import json
from datetime import UTC, datetime

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask, SessionEvent
from longtask_operator.delivery.messages import WORDS, Pair, template_name

KEY_UID, KEY_EVENT = "longtaskUid", "longtaskEvent"


def event(task: LongTask, name: str, pair: Pair, moment: datetime) -> SessionEvent:
    """The event to record in status before it is written to the service."""
    text = payload(pair, moment)
    return SessionEvent(
        name=name,
        event_time=moment,
        payload=text,
        payload_sha256=hashlib.sha256(text.encode()).hexdigest(),
        client_token=client_token(task.metadata.uid, name, text),
    )


def payload(pair: Pair, moment: datetime) -> str:
    """CreateEvent's payload as JSON text: a user message and an assistant message.

    Each message's text is itself JSON. Non-ASCII is not escaped, which would make long texts large enough for blobs.
    """
    items = [
        {"conversational": {"content": {"text": _message(role, text, moment)}, "role": role.upper()}}
        for role, text in (("user", pair.user), ("assistant", pair.assistant))
    ]
    return json.dumps(items, ensure_ascii=False)


def identity(task: LongTask, name: str) -> dict[str, str]:
    """The metadata that identifies the event in the service."""
    return {KEY_UID: task.metadata.uid, KEY_EVENT: name}


def metadata(task: LongTask, name: str) -> dict[str, str]:
    """The event's metadata. Values may have up to 256 letters, digits, spaces and ._:/=+@- in the service.

    The keys stateType and agentId are reserved for the session manager.
    """
    ended = task.status.completion_time
    completed = {"longtaskCompletedAt": rfc3339(ended)} if ended is not None else {}
    return {
        **identity(task, name),
        "longtaskTemplate": template_name(task),
        "longtaskStatus": WORDS.get(task.status.phase, "running"),
        **completed,
    }


def client_token(task_uid: str, name: str, text: str) -> str:
    """Idempotency key of a call to the service, 64 hex digits: the same for each retry, unique otherwise."""
    return hashlib.sha256("\n".join((task_uid, name, text)).encode()).hexdigest()


def _message(role: str, text: str, moment: datetime) -> str:
    time = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    # Without message_id the session manager restores no history at all.
    message = {"message": {"role": role, "content": [{"text": text}]}, "message_id": 0, "redact_message": None}
    return json.dumps({**message, "created_at": time, "updated_at": time}, ensure_ascii=False)
