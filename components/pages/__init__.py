"""HTML pages about a run: the report and the pages of the Kubeflow UI."""
