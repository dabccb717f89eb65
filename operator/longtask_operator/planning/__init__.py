"""Decides the next step for a task without clock, I/O or logging: tests are tables of (given, expected)."""
