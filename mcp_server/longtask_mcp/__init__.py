"""The MCP server: the agents' interface to LongTask. Stateless: any replica can answer any call."""
