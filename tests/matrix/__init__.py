"""What comes of a task, for each shape of a pod and each way to end. A real kubelet's documents, recorded once, are
played through `plan`; `make record-matrix` records them anew."""
