"""A cluster, an agent that goes away, and one that comes back: `python -m examples.demo`."""
