"""Programs that run in environments of agents, without anything else of this project."""
