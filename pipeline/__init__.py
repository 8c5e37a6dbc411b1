"""The DAG, its configuration, the local runner and the command line."""
