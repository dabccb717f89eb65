"""Amazon Bedrock AgentCore Memory: the client, its models and its errors."""
