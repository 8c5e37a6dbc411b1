"""The DAG, its settings, the local runner, the state directory and the command line."""
