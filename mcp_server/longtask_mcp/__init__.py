"""The MCP server: what an agent sees of LongTask. Stateless: any replica answers any call."""
