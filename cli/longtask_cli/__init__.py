"""`longtask` and `kubectl longtask`: tasks and templates for a person with a kubeconfig."""
