"""The current tools: the fixed ones, and one for each Ready template, built once for each version of it."""

import json
import logging

from mcp_types import Tool

from longtask_api import constants
from longtask_api.mcp_names import FIXED_TOOLS
from longtask_api.template import LongTaskTemplate
from longtask_mcp.cache import Cache
from longtask_mcp.contract import tool_definitions

log = logging.getLogger(__name__)


class Published:
    """Builds tools from templates. One that cannot be built is logged and left out; the others remain."""

    def __init__(self, templates: Cache[LongTaskTemplate]) -> None:
        self._templates = templates
        self._made: dict[str, tuple[str, Tool | None]] = {}
        self._listed: tuple[int, list[Tool]] = -1, []

    def tools(self) -> list[Tool]:
        """All tools in a stable order: the fixed ones, then those of Ready templates by name."""
        changes, listed = self._listed
        if changes != self._templates.changes:
            listed = self._list()
            self._listed = self._templates.changes, listed
        return listed

    def _list(self) -> list[Tool]:
        ready = sorted((each for each in self._templates.all() if each.is_ready), key=lambda each: each.metadata.name)
        made = {each.metadata.uid: self.tool(each) for each in ready}
        self._made = {uid: kept for uid, kept in self._made.items() if uid in made}
        return [*tool_definitions.FIXED, *(tool for tool in made.values() if tool is not None)]

    def tool(self, template: LongTaskTemplate) -> Tool | None:
        """The tool of a template; None if its name is that of a fixed tool, or it cannot be built."""
        uid, version = template.metadata.uid, template.metadata.resource_version
        known, tool = self._made.get(uid, ("", None))
        if known != version:
            tool = _made(template)
            self._made[uid] = version, tool
        return tool


def _made(template: LongTaskTemplate) -> Tool | None:
    if constants.tool_name(template.metadata.name) in FIXED_TOOLS:
        return None
    try:
        tool = tool_definitions.template_tool(template)
        json.dumps(tool.model_dump(mode="json"), allow_nan=False, ensure_ascii=False).encode()
    except Exception:
        log.exception("template %s cannot be shown as a tool; start_task starts it", template.metadata.name)
        return None
    return tool
