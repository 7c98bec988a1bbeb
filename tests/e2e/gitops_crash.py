#!/usr/bin/env python3
"""kill -9 of kledd in the middle of pushes, again and again: in the end the cluster is what Git says,
and pruned was exactly what kled had brought and Git dropped.

    gitops_crash.py --bin build/asan/bin [--rounds 20] [--seed N]

Every few rounds kledd may catch up. Then what Git dropped is gone; what Git named in every commit since the
last time is the very object it was (its uid), so nothing else was taken away in between; what others made is
untouched where Git never names it, and is never taken away where Git names it and drops it again.

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


def by_hand(app):
    """An object that is there before Git names it."""
    return f"{app}-by-hand"


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
        self.since = {}  # the commit from which on each object was always there

    def push_empty(self):
        self._write()
        self.repository.push_commit("nothing but the namespace")

    def change(self):
        self.count += 1
        app = self.chance.choice(APPS)
        if app in self.apps and self.chance.random() < 0.2:
            del self.apps[app]
        else:
            objects = self.apps.setdefault(app, {})
            for _ in range(self.chance.randrange(1, 6)):
                number = self.chance.randrange(13)
                name = f"{app}-{number}" if number < 12 else by_hand(app)
                if name in objects and self.chance.random() < 0.4:
                    del objects[name]
                else:
                    objects[name] = str(self.count)
        wanted = self.wanted()
        self.since = {name: self.since.get(name, self.count) for name in wanted}
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
        """Its uid."""
        status, answer = self.call("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps",
                                   {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": "mine"}})
        if status != 201:
            raise Failure(f"making {name}: {status}: {answer.get('message')}")
        return answer["metadata"]["uid"]


def answers(path):
    """Whether someone listens there: the file of a kledd that was killed stays behind."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    return True


class Check:
    """Raises unless the cluster is what Git says, and nothing was taken away but what Git dropped."""

    def __init__(self, history, cluster):
        self.history, self.cluster = history, cluster
        self.untouched, self.adopted = {}, {}
        self.seen = {}  # name: the commit since which it is there, its uid

    def make_others(self):
        for name in [f"own-{i}" for i in range(3)]:
            self.untouched[name] = self.cluster.make(name)
        for name in map(by_hand, APPS):
            self.adopted[name] = self.cluster.make(name)

    def __call__(self):
        there = self.cluster.config_maps()
        wanted = self.history.wanted()
        brought = {name: item["data"]["value"] for name, item in there.items()
                   if OWNER in item["metadata"].get("labels", {}) and (name in wanted or name not in self.adopted)}
        if brought != wanted:
            missing, extra = wanted.keys() - brought.keys(), brought.keys() - wanted.keys()
            other = {n for n in wanted.keys() & brought.keys() if wanted[n] != brought[n]}
            raise Failure(f"missing {sorted(missing)}, left over {sorted(extra)}, not the last value {sorted(other)}")
        for name, uid in {**self.untouched, **self.adopted}.items():
            if name not in there or there[name]["metadata"]["uid"] != uid:
                raise Lost(f"{name}, which kled did not make, was taken away")
            if name in self.untouched and (there[name]["data"] != {"value": "mine"} or "labels" in there[name]["metadata"]):
                raise Lost(f"{name}, which kled did not make, was changed")
        now = {name: (self.history.since[name], there[name]["metadata"]["uid"]) for name in wanted}
        for name, (since, uid) in now.items():
            if name in self.seen and self.seen[name][0] == since and self.seen[name][1] != uid:
                raise Lost(f"{name} was taken away and made again, though Git always had it")
        self.seen = now
        return True


class Lost(Exception):
    """Something is gone that waiting does not bring back."""


def run(arguments):
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="kled-gitops-crash") as folder:
        folder = pathlib.Path(folder)
        repository = Repository(folder)
        history = History(repository, chance)
        history.push_empty()
        state, port = folder / "state", free_port()
        environment = {**os.environ, "NO_COLOR": "1"}
        kledd = Child("kledd", [arguments.bin / "kledd", "--roles", "api,gitops", "--state", state, "--api", "embedded",
                                "--api-port", port, "--gitops-repo", repository.url, "--gitops-path", "clusters",
                                "--gitops-allow-local-repositories"], folder / "kledd.log", env=environment)
        hook = Child("hook", [arguments.bin / "kled", "--state", state, "gitops", "hook", "install", repository.bare],
                     folder / "hook.log", env=environment)

        def start():
            kledd.start()
            wait_for("kledd's socket", lambda: kledd.check() or answers(state / "kledd.sock"))

        try:
            start()
            hook.start().process.wait()
            cluster = Cluster(Api(port, state / "api/admin.kubeconfig", folder))
            check = Check(history, cluster)
            wait_for("the namespace", lambda: check.make_others() or True, 60)
            slowest, checks = 0, 0
            for number in range(1, arguments.rounds + 1):
                for _ in range(chance.randrange(1, 4)):
                    history.change()
                time.sleep(chance.random() * arguments.within)
                kledd.kill()
                if chance.random() < 0.5:
                    history.change()  # while it is down
                start()
                if chance.random() < 0.2 or number == arguments.rounds:
                    history.change()
                    begin = time.monotonic()
                    wait_for("the cluster to be what Git says", check, 120, 0.1)
                    slowest, checks = max(slowest, time.monotonic() - begin), checks + 1
                if number % 100 == 0:
                    print(f"  {number} kills, {checks} times as Git says", flush=True)
            print(f"{arguments.rounds} kills, {history.count} commits, {len(history.wanted())} objects: {checks} times "
                  f"the cluster became what Git says, at most {slowest:.1f} s after the last push")
        except (Failure, Lost) as failure:
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
