"""Templates are tools, from the moment that they are Ready to the moment that they are gone."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.e2e.conftest import Session
from tests.e2e.following import answered, ended
from tests.e2e.installation import TASKS, Installation
from tests.e2e.programs import kubectl
from tests.e2e.templates import document, work
from tests.mcp.replica import Reply
from tests.mcp.world import eventually
from tests.patience import PATIENCE

FRESH, BROKEN = "e2e-fresh", "e2e-privileged"


@pytest.fixture(autouse=True)
async def gone() -> AsyncIterator[None]:
    yield
    (await kubectl("delete", "-n", TASKS, "--ignore-not-found", "longtasktemplates", FRESH, BROKEN)).done()


async def apply(name: str, spec: dict[str, Any]) -> None:
    (await kubectl("apply", "-n", TASKS, "-f", "-", stdin=json.dumps(document(name, spec)))).done()


async def broken_template() -> None:
    """Apply BROKEN and wait until the operator has judged it."""
    await apply(BROKEN, work(main={"securityContext": {"privileged": True}}))
    (
        await kubectl("wait", "-n", TASKS, "--for=condition=Ready=False", f"ltt/{BROKEN}", f"--timeout={PATIENCE}s")
    ).done()


def reasons(listed: Reply) -> list[str]:
    """Why list_templates says that BROKEN is not available."""
    return [each["reason"] for each in listed.envelope.get("not_available", []) if each["template"] == BROKEN]


def is_judged(listed: Reply) -> bool:
    return any("has not been checked yet" not in reason for reason in reasons(listed))


async def test_a_template_that_comes_and_goes_is_a_tool_that_comes_and_goes_in_a_session(as_alice: Session) -> None:
    async with as_alice() as agent:

        async def there() -> bool:
            return "e2e_fresh" in await agent.tool_names()

        async def not_there() -> bool:
            return not await there()

        assert await not_there()
        await apply(FRESH, work(title="Fresh Work", description="Does something new."))
        await eventually(there, "the tool")
        [tool] = [each for each in (await agent.client.list_tools()).tools if each.name == "e2e_fresh"]
        assert tool.title == "Fresh Work"
        assert (tool.description or "").startswith("Does something new.")
        assert tool.input_schema["properties"].keys() == {"code", "wait_seconds", "idempotency_key"}
        (await kubectl("delete", "-n", TASKS, "longtasktemplate", FRESH)).done()
        await eventually(not_there, "no tool any more")
        refused = await agent.call("e2e_fresh", code="pass")
    assert refused.error
    assert refused.text.startswith("There is no tool 'e2e_fresh' (any more).")


async def test_a_template_that_is_not_ready_is_no_tool_and_the_list_says_why(as_alice: Session) -> None:
    await broken_template()
    async with as_alice() as agent:
        listed = await answered(agent, "list_templates", is_judged)
        [reason] = reasons(listed)
        refused = await agent.call("start_task", template=BROKEN, parameters={"code": "pass"})
        assert "e2e_privileged" not in await agent.tool_names()
    assert reason.startswith("PodSecurityViolation: ")
    assert "privileged" in reason
    assert refused.error
    assert refused.text.startswith(f"template: {BROKEN} cannot be started now: PodSecurityViolation: ")


async def test_a_template_that_is_not_ready_is_judged_once(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    await broken_template()
    path = f"{installation.world.templates_path}/{BROKEN}"
    judged = await installation.world.get(path)
    async with as_alice() as agent:
        task = await agent.call("e2e_number", number=1, idempotency_key=new_key())
        await ended(agent, task.task_id)
    assert await installation.world.get(path) == judged
