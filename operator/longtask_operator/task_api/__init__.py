"""The task API: pods report to it, and the MCP server reads what it has no permission to read in the cluster."""
