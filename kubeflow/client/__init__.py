"""Talks to the API of Kubeflow Pipelines: upload, start, schedule, follow."""
