"""A command in a pod of the cluster, on the volume and the database of its runs."""
