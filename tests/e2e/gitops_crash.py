#!/usr/bin/env python3
"""kill -9 of kledd in the middle of pushes, again and again: in the end the cluster is what Git says,
pruned is exactly what kled had brought and Git dropped, and what others made is untouched.

    gitops_crash.py --bin build/asan/bin [--rounds 20] [--seed N]

KLED_SOAK raises the rounds. The seed is printed; the same seed makes the same history and waits as long
before each kill.
"""
import argparse
import os
import pathlib
import random
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.processes import Child, Failure, free_port, wait_for  # noqa: E402
from support.repository import Repository  # noqa: E402

from api_crash import Api  # noqa: E402

NAMESPACE = "web"
APPS = ["red", "green", "blue", "white"]
OWNER = "kustomize.toolkit.fluxcd.io/name"


def config_map(name, value):
    return (f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\n"
            f"data:\n  value: \"{value}\"\n")


def kustomization(app):
    return (f"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: {app}\nspec:\n"
            f"  interval: 10m\n  retryInterval: 1s\n  path: apps/{app}\n  prune: true\n"
            "  sourceRef:\n    kind: GitRepository\n    name: flux-system\n")


class History:
    """What Git says: applications, each with some ConfigMaps."""

    clusters = "clusters"

    def __init__(self, repository, chance):
        self.repository, self.chance = repository, chance
        self.apps = {}
        self.count = 0

    def change(self):
        self.count += 1
        app = self.chance.choice(APPS)
        if app in self.apps and self.chance.random() < 0.2:
            del self.apps[app]
        else:
            objects = self.apps.setdefault(app, {})
            for _ in range(self.chance.randrange(1, 6)):
                name = f"{app}-{self.chance.randrange(12)}"
                if name in objects and self.chance.random() < 0.4:
                    del objects[name]
                else:
                    objects[name] = str(self.count)
        self._write()
        return self.repository.push_commit(f"change {self.count}")

    def _write(self):
        tree = self.repository.tree
        for old in [*tree.glob(f"{self.clusters}/*.yaml"), *tree.glob("apps/*/*.yaml")]:
            old.unlink()
        self.repository.write(f"{self.clusters}/namespace.yaml",
                              f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n")
        for app, objects in self.apps.items():
            self.repository.write(f"{self.clusters}/{app}.yaml", kustomization(app))
            self.repository.write(f"apps/{app}/kustomization.yaml",
                                  "resources:\n" + "".join(f"- {name}.yaml\n" for name in objects)
                                  if objects else "resources: []\n")
            for name, value in objects.items():
                self.repository.write(f"apps/{app}/{name}.yaml", config_map(name, value))

    def wanted(self):
        return {name: value for objects in self.apps.values() for name, value in objects.items()}


class Cluster:
    """What the API has."""

    def __init__(self, api):
        self.api = api

    def call(self, method, path, body=None):
        return Api.call(self.api.connect(), method, path, body)

    def config_maps(self):
        status, answer = self.call("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps")
        if status != 200:
            raise Failure(f"listing ConfigMaps: {status}")
        return {item["metadata"]["name"]: item for item in answer["items"]}

    def make(self, name):
        self.call("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps",
                  {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": "mine"}})


def answers(path):
    """Whether someone listens there: the file of a kledd that was killed stays behind."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    return True


def check(history, cluster, own):
    """Raises unless the cluster is what Git says, and nothing else was touched."""
    there = cluster.config_maps()
    brought = {name: item["data"]["value"] for name, item in there.items()
               if OWNER in item["metadata"].get("labels", {})}
    wanted = history.wanted()
    if brought != wanted:
        missing, extra = wanted.keys() - brought.keys(), brought.keys() - wanted.keys()
        other = {n for n in wanted.keys() & brought.keys() if wanted[n] != brought[n]}
        raise Failure(f"missing {sorted(missing)}, left over {sorted(extra)}, not the last value {sorted(other)}")
    for name in own:
        if there.get(name, {}).get("data", {}).get("value") != "mine":
            raise Failure(f"{name}, which kled did not make, was changed or taken away")


def run(arguments):
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="kled-gitops-crash") as folder:
        folder = pathlib.Path(folder)
        repository = Repository(folder)
        history = History(repository, chance)
        history.change()
        state, port = folder / "state", free_port()
        environment = {**os.environ, "NO_COLOR": "1"}
        kledd = Child("kledd", [arguments.bin / "kledd", "--roles", "api,gitops", "--state", state, "--api", "embedded",
                                "--api-port", port, "--gitops-repo", repository.url, "--gitops-path", "clusters",
                                "--gitops-allow-local-repositories"], folder / "kledd.log", env=environment)
        hook = Child("hook", [arguments.bin / "kled", "--state", state, "gitops", "hook", "install", repository.bare],
                     folder / "hook.log", env=environment)
        try:
            kledd.start()
            wait_for("kledd's socket", lambda: kledd.check() or answers(state / "kledd.sock"))
            hook.start().process.wait()
            cluster = Cluster(Api(port, state / "api/admin.kubeconfig", folder))
            wait_for("the first state", lambda: check(history, cluster, []) is None, 60)
            own = [f"own-{i}" for i in range(3)]
            for name in own:
                cluster.make(name)
            kills = 0
            for _ in range(arguments.rounds):
                for _ in range(chance.randrange(1, 4)):
                    history.change()
                time.sleep(chance.random() * arguments.within)
                kledd.kill()
                kills += 1
                if chance.random() < 0.5:
                    history.change()  # while it is down
                kledd.start()
                wait_for("kledd's socket", lambda: kledd.check() or answers(state / "kledd.sock"))
            history.change()
            begin = time.monotonic()
            wait_for("the cluster to be what Git says", lambda: check(history, cluster, own) is None, 120, 0.1)
            print(f"{kills} kills, {history.count} commits, {len(history.wanted())} objects: "
                  f"the cluster is what Git says {time.monotonic() - begin:.1f} s after the last push")
        except Failure as failure:
            raise Failure(f"{failure}\nseed {arguments.seed}; kledd said:\n{kledd.tail(40)}") from failure
        finally:
            kledd.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("KLED_SOAK", "20")))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--within", type=float, default=0.4, help="seconds after a push in which the kill comes")
    arguments = parser.parse_args()
    arguments.bin = arguments.bin.resolve()
    print(f"seed {arguments.seed}")
    try:
        run(arguments)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
