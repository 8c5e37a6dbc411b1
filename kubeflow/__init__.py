"""The pipeline on Kubeflow Pipelines, and its training over the pods of a Kubernetes cluster."""

import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)  # another distribution owns this name too
