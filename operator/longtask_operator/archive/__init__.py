"""Records of tasks that outlive the LongTask: in a bucket, or in the memory that the task belongs to."""
