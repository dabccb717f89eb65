"""The task API: where pods report, and where the MCP server reads what it has no right to in the cluster itself."""
