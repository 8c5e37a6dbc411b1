"""What runs on the cluster: cluster.yaml, run parameters, the compiled pipeline."""
