"""The store for what is too large for the object: checkpoints, results and artifacts."""
