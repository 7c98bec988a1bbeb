#!/usr/bin/env python3
"""One changed object in a large repository: push → applied, by the embedded API.

    tests/bench/large.py --bin build/release/bin [--resources 5000] [--pushes 30] [--json FILE]

The repository is the tree of the benchmark `build`: a Kustomization over --resources resources. Each push changes the
literal of one application's ConfigMap; `applied` is when the new ConfigMap arrives on a watch.
"""
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from bench.build import make_tree  # noqa: E402
from support.figures import PeakMemory, benchmark, idle_memory, percentile  # noqa: E402
from support.gitops_world import GitopsWorld  # noqa: E402
from support.processes import wait_for  # noqa: E402
from support.watch import Watch  # noqa: E402

KUSTOMIZATION = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: all, namespace: flux-system}
spec:
  interval: 1h
  path: cluster
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
"""


def applied(world, commit):
    return any(o["metadata"]["name"] == "all" and commit in o.get("status", {}).get("lastAppliedRevision", "")
               for o in world.objects("gitops", "get"))


def measure(bin_dir, resources, pushes):
    with tempfile.TemporaryDirectory(prefix="kled-bench-", ignore_cleanup_errors=True) as folder:
        world = GitopsWorld(folder, bin_dir)
        try:
            make_tree(world.repository.tree, resources)
            world.repository.write("clusters/all.yaml", KUSTOMIZATION)
            first = world.repository.push_commit("all of it")
            begin = time.monotonic()
            world.start()
            with PeakMemory(world.kledd.pid) as memory:
                wait_for("the first revision", lambda: applied(world, first), 300, every=0.1)
                figures = {"first": {"s": time.monotonic() - begin}}
                overlay = "apps/app-0007/production/kustomization.yaml"
                watch = Watch(world.state, "/api/v1/namespaces/production/configmaps")
                watch.start()
                times, before = [], "LOG_LEVEL=warn"
                for number in range(pushes):
                    mark = f"LOG_LEVEL=level-{number}"
                    world.repository.replace(overlay, before, mark)
                    before = mark
                    commit = world.repository.commit(mark)
                    pushed = time.monotonic()
                    world.repository.push()
                    times.append(watch.seen(mark.removeprefix("LOG_LEVEL=")) - pushed)
                    wait_for("ready", lambda commit=commit: applied(world, commit), 60, every=0.2)
            figures["push → applied"] = {"p50 s": percentile(times, 0.5), "p99 s": percentile(times, 0.99)}
            figures["kledd, at most"] = memory.peak
            figures["kledd, idle"] = idle_memory(world.kledd.pid, 5)
            return figures
        finally:
            world.stop()


if __name__ == "__main__":
    benchmark(__doc__, measure, resources=5000, pushes=30)
