"""Sends the events of tasks to the webhook sinks that the platform engineer has configured."""
