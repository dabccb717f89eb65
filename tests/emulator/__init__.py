"""The local stand-in for AgentCore Memory, called by the real boto3."""
