"""Records of tasks that outlive the LongTask: in a bucket, or in the task's AgentCore memory."""
