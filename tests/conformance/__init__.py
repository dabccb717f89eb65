"""The official MCP conformance scenarios."""
