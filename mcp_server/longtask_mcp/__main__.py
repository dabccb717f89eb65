"""`python -m longtask_mcp`: run the MCP server until SIGTERM."""

import logging
import sys

import uvloop
from pydantic import ValidationError

from longtask_mcp.app import run
from longtask_mcp.settings import Settings
from longtask_runtime import logs


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings do not fit."""
    try:
        settings = Settings()
    except ValidationError as error:
        for each in error.errors():
            where = "_".join(["LONGTASK_MCP", *(str(part).upper() for part in each["loc"])])
            sys.stderr.write(f"{where}: {each['msg']}\n")
        return 2
    logs.configure(settings.log_level)
    if settings.log_level == "INFO":
        logging.getLogger("mcp").setLevel(logging.WARNING)
    uvloop.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
