"""The MCP contract: tool definitions, their arguments and answers. Pure: no I/O, no clock."""
