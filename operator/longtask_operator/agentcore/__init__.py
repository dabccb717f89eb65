"""Amazon Bedrock AgentCore Memory, as far as this operator uses it."""
