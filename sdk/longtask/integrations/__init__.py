"""Integrations that report the progress which other libraries display."""
