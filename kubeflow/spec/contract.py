"""Names that a compiled task and the pod that runs it agree on."""

from components.drift.names import SERVING_SKEW, SPAN_DRIFT
from trainer.workers.launch import ERROR_FILE, LAUNCHER

RUN_ID = "run_id"  # an input of every task: Kubeflow's id of the run

PAGES = {  # outputs, by node
    SPAN_DRIFT: "drift_page",
    SERVING_SKEW: "skew_page",
    "Trainer": "training_page",
    "Report": "report_page",
}
METRICS = {  # outputs, by node
    SPAN_DRIFT: "drift_metrics",
    SERVING_SKEW: "skew_metrics",
    "Trainer": "training_metrics",
    "Evaluator": "evaluation_metrics",
}

PASSWORD = "MLMD_PASSWORD"  # environment variable, from the database's Secret
ARGO_NODE = "ARGO_NODE"  # environment variable: the pod's node in Argo, whose name ends in its number: (0), (1), ...
OWNER = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid"}  # variables
INDEX = "JOB_COMPLETION_INDEX"  # environment variable of a worker
ARGO_NODE_FIELD = "metadata.annotations['workflows.argoproj.io/node-name']"
AGAIN = "the next attempt at this run (Retry in the UI)"  # it keeps the run's id, by which checkpoints are found
TERMINATION_LOG = "/dev/termination-log"  # made by Kubernetes, which shows its content with the pod
OUTCOME = "outcome"  # key of the line of JSON in the last task's log that tells what became of the model
FACTS = "facts"  # key in that line, of the same for programs

OF_IMAGE = ("VAEIAF_REVISION", "VAEIAF_VERSION")  # environment variables that the Dockerfile sets

# Environment variables that cluster.yaml may not set.
VARIABLES = frozenset({PASSWORD, ARGO_NODE, *OWNER, INDEX, "TF_CONFIG", ERROR_FILE, LAUNCHER, *OF_IMAGE})
