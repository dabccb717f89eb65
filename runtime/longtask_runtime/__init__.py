"""Shared by both servers: the connection to the API server, logs, caller identity, bounded validation."""
