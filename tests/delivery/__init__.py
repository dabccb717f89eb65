"""Sessions of agents are told, by the operator as a process and a local stand-in for AgentCore Memory."""
