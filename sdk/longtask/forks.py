"""Keeps a fork out of what takes locks of the whole process in a thread of the SDK.

A forked process has the locks of its parent as they were, and no thread that would release them
(https://docs.python.org/3/library/os.html#os.fork): it would wait for them for ever.
"""

import os
import threading

no_fork = threading.RLock()
"""A fork waits while another thread holds this. For what takes milliseconds."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=no_fork.release)
