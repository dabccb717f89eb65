"""Entry point of the MCP server's process: `longtask-mcp`, or `python -m longtask_mcp`."""

import uvloop

from longtask_mcp import tracing
from longtask_mcp.app import run
from longtask_mcp.settings import Settings
from longtask_runtime import environment, garbage, logs, recursion


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = environment.read(Settings)
    logs.configure(settings.log_level)
    garbage.collect_seldom()
    recursion.raise_limit()
    with tracing.exported():
        uvloop.run(run(settings))


if __name__ == "__main__":
    main()
