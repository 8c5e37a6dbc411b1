"""What a compiled task and the pod that runs it agree on."""

RUN_ID = "run_id"  # an input of every task: Kubeflow's own id of the run
VERDICT = "Verdict"  # the task behind those of TFX's nodes
OPTIONAL = ("Tuner",)  # TFX's nodes that a run may do without

HTML, METRICS = "html", "metrics"  # names of a task's outputs
OUTPUTS = {"Trainer": (HTML, METRICS), "Evaluator": (HTML, METRICS), "AtomicPusher": (HTML,)}  # by TFX node

PASSWORD = "MLMD_PASSWORD"  # environment variable, from the database's Secret
ARGO_NODE = "ARGO_NODE"  # environment variable: name of the pod's node, which ends in (0), (1), ... as it is tried
ARGO_NODE_FIELD = "metadata.annotations['workflows.argoproj.io/node-name']"
AGAIN = "the next try of this run (Retry in the UI)"  # it keeps the run's id, by which checkpoints are found
