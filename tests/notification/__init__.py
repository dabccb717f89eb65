"""Events of tasks that are sent to webhook sinks."""
