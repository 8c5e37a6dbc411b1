"""A kubelet whose pods are Docker containers, on one network under the names that a Service gives them."""

import docker
from kube_state import Kubelet

GRACE_SECONDS = 40


class DockerKubelet(Kubelet):
    """Runs the one container of each pod. Claims are folders of this machine, by name."""

    def __init__(self, engine, network, claims):
        self.engine, self.network, self.claims = engine, network, claims
        self.containers = {}  # by the pod's uid

    def start(self, run):
        """Runs the pod to its end."""
        spec = run.manifest["spec"]
        (container,) = spec["containers"]
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in spec["volumes"]
            if "persistentVolumeClaim" in volume
        }
        mounts = [
            docker.types.Mount(mount["mountPath"], str(self.claims[claims[mount["name"]]]), type="bind")
            for mount in container["volumeMounts"]
            if mount["name"] in claims
        ]
        host = f"{spec['hostname']}.{spec['subdomain']}"
        names = [host, f"{host}.{run.manifest['metadata']['namespace']}.svc"]
        made = self.engine.api.create_container(
            container["image"],
            container["command"] + container.get("args", []),
            environment=run.environment(),
            host_config=self.engine.api.create_host_config(mounts=mounts),
            networking_config=self.engine.api.create_networking_config(
                {self.network: self.engine.api.create_endpoint_config(aliases=names)}
            ),
        )
        process = self.containers[run.uid] = self.engine.containers.get(made["Id"])
        process.start()
        run.running()
        for line in _lines(process.logs(stream=True, follow=True)):
            run.log(line)
        run.ended(process.wait()["StatusCode"])
        process.remove()

    def stop(self, run):
        """Sends SIGTERM, and SIGKILL after the grace period."""
        self.containers[run.uid].stop(timeout=GRACE_SECONDS)


def _lines(chunks):
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
