"""What to do for a task, decided without clock, I/O or log: tests are tables of (given, expected)."""
