"""HTML pages about a run: the report, and the pages in the Kubeflow UI."""
