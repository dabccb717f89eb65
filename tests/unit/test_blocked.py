"""What fails a test whose server blocked its loop."""

import json
import threading
from pathlib import Path

import pytest

from tests import blocked


def _line(seconds: float) -> str:
    told = {"logger": "longtask_runtime.watchdog", "seconds": seconds, "on_cpu": seconds, "stack": "in burn"}
    return json.dumps(told) + "\n"


def test_a_server_that_blocked_its_loop_for_long_is_told_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    blocked.follow(log)
    log.write_text('{"logger": "other"}\nno JSON\n' + _line(0.2) + _line(0.3) + _line(0.4)[:20])
    [found] = blocked.by_servers()
    assert found.startswith("0.3 s, 0.3 s of them computing")
    assert "in burn" in found
    with log.open("a") as file:
        file.write(_line(0.4)[20:])
    assert len(blocked.by_servers()) == 1
    assert blocked.by_servers() == []
    log.unlink()
    assert blocked.by_servers() == []


@pytest.mark.parametrize(
    ("files", "ours"),
    [
        (("/wt/runtime/longtask_runtime/kube.py",), True),
        (("/site-packages/starlette/routing.py", "/wt/mcp_server/longtask_mcp/request_limits.py"), True),
        (("/wt/tests/mcp/world.py", "/wt/runtime/longtask_runtime/kube.py"), False),
        (("/wt/tests/mcp/world.py",), False),
        (("/site-packages/uvicorn/server.py",), False),
    ],
)
def test_only_what_servers_do_by_themselves_counts_in_the_loop_of_the_tests(files: tuple[str, ...], ours: bool) -> None:
    assert blocked.is_ours("".join(f'  File "{file}", line 1, in x\n' for file in files)) is ours


async def test_the_loop_of_a_test_is_watched() -> None:
    assert "watchdog" in {thread.name for thread in threading.enumerate()}
