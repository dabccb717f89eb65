"""Tells the session of an agent, in its memory, what came of the work that was started there."""
