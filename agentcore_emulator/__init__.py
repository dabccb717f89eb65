"""A local stand-in for the data plane of Amazon Bedrock AgentCore Memory, for development, the demo and tests."""
