#!/usr/bin/env python3
"""Many Kustomizations after one push: how long until all are ready, and the most memory kledd takes.

    tests/bench/many.py --bin build/release/bin [--kustomizations 200] [--json FILE]

Each is four objects (Deployment, Service, ConfigMap, ServiceAccount). `first` is the push that brings them all,
`change` one that changes a file of each, `untouched` one that changes none of them.
"""
import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.figures import PeakMemory, benchmark  # noqa: E402
from support.gitops_world import GitopsWorld  # noqa: E402
from support.watch import Watch  # noqa: E402

APP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: many}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers: [{name: main, image: "registry.example.com/NAME:1.0"}]
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: many}
spec:
  selector: {app: NAME}
  ports: [{port: 80}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME, namespace: many}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: many}\ndata: {revision: REVISION}\n"
KUSTOMIZATION = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: NAME, namespace: flux-system}
spec:
  interval: 1h
  path: apps/NAME
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: many}\n"


class Fleet:
    def __init__(self, world, size):
        self.world, self.names = world, [f"app-{i:04}" for i in range(size)]

    def lay_out(self):
        repository = self.world.repository
        repository.write("clusters/namespace.yaml", NAMESPACE)
        for name in self.names:
            repository.write(f"clusters/{name}.yaml", KUSTOMIZATION.replace("NAME", name))
            repository.write(f"apps/{name}/app.yaml", APP.replace("NAME", name))

    def set_revision(self, revision):
        for name in self.names:
            self.world.repository.write(f"apps/{name}/config.yaml", CONFIG.replace("NAME", name).replace("REVISION", revision))

    def push(self, message):
        """Seconds from the push until each Kustomization says it is ready at this commit."""
        watch = Watch(self.world.state, "/api/v1/namespaces/kled-system/configmaps")
        watch.start()
        commit = self.world.repository.commit(message)
        begin = time.monotonic()
        self.world.repository.push()
        missing = set(self.names)
        while missing:
            when, line = watch.events.get(timeout=120)
            missing.discard(self._ready_at(json.loads(line)["object"], commit))
        return when - begin

    @staticmethod
    def _ready_at(state, commit):
        """The Kustomization of an application that this state says is ready at `commit`."""
        kept = json.loads(state["data"]["object"])
        status = kept.get("status", {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
        return kept["metadata"]["name"] if ready and commit in status.get("lastAppliedRevision", "") else None


def measure(bin_dir, kustomizations):
    with tempfile.TemporaryDirectory(prefix="kled-bench-", ignore_cleanup_errors=True) as folder:
        world = GitopsWorld(folder, bin_dir)
        try:
            world.repository.push_commit("empty")
            fleet = Fleet(world, kustomizations)
            fleet.lay_out()
            fleet.set_revision("one")
            world.start()
            figures = {}
            with PeakMemory(world.kledd.pid) as memory:
                figures["first"] = {"s": fleet.push("first")}
                fleet.set_revision("two")
                figures["change"] = {"s": fleet.push("change")}
                world.repository.write("README.md", "nothing to apply\n")
                figures["untouched"] = {"s": fleet.push("untouched")}
            figures["kledd, at most"] = memory.peak
            return figures
        finally:
            world.stop()


if __name__ == "__main__":
    benchmark(__doc__, measure, kustomizations=200)
