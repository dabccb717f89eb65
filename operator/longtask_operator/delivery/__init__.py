"""Delivers milestones and outcomes of tasks to the agent's session in AgentCore Memory."""
