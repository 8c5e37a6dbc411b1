"""The program that looks, from inside of the cluster, for the way from a pushed model to the images."""

PROGRAM = """
import json, os, sys
from kubeflow.node.database import lineage
from kubeflow.spec.cluster import Cluster
from ml_metadata.proto.metadata_store_pb2 import Event
from pipeline.state.executions import executions_of
from trainer.workers.launch import ERROR_FILE

cluster, run = Cluster(**json.loads(sys.argv[1])), sys.argv[2]
with lineage(cluster.database, cluster.volume.path) as handle:
    store, executions = handle.store, executions_of(handle.store, run)

    def artifacts(node, kind):
        events = store.get_events_by_execution_ids([executions[node].id])
        return {event.artifact_id for event in events if event.type == kind}

    chain = ["ImageExampleGen", "Transform", "Trainer", "AtomicPusher"]
    linked = [bool(artifacts(a, Event.OUTPUT) & artifacts(b, Event.INPUT)) for a, b in zip(chain, chain[1:])]
with open(os.environ[ERROR_FILE], "w") as file:
    json.dump({"linked": linked, "nodes": sorted(executions)}, file)
"""
