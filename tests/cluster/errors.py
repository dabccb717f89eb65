"""The one exception that the command line shows without a traceback."""


class ClusterError(Exception):
    """Says what happened, to what, and what the reader can do now."""
