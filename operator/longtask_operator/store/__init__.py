"""The store for data that is too large for the object: checkpoints, results and artifacts."""
