"""What both servers stand on: the connection to the API server, logs, caller identity, bounded validation."""
