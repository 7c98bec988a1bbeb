#!/usr/bin/env python3
"""kill -9 of kledd, the broker and the agents during pushes, again and again: in the end the cluster and the
devices are what Git says, nothing lost and nothing doubled.

    crash.py --bin build/release/bin [--rounds 20] [--seed N]

All along: no workload has two processes, none is started twice with the same content, no generation goes back.
KLED_SOAK raises the rounds. The seed is printed; the same seed makes the same history, and kills the same
programs after the same pauses.
"""
import argparse
import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.processes import Failure, marked, wait_for  # noqa: E402
from support.world import ROOT, World  # noqa: E402

from api_crash import Api  # noqa: E402
from gitops_crash import Check, Cluster, History, Lost, answers  # noqa: E402

MARK = "KLED_CRASH"  # in the environment of each workload: this run's folder
DEVICES = {"north": {"zone": "north"}, "south": {"zone": "south"}}
PLACEMENTS = {"all": "{}", "north": "{matchLabels: {zone: north}}", "south": "{matchLabels: {zone: south}}",
              "nowhere": "{matchLabels: {zone: moon}}"}
FLEET = ["fish", "bird", "worm"]

# What a device is asked to run: it writes down that it was started, and stays.
WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: fleet
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata:
      labels: {{app: {name}}}
      annotations: {{edge.kled.io/runtime: process}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: main
        command: [sh, -c]
        args: ['echo "$DEVICE $WORKLOAD $VALUE $SECRET" >> "${mark}/started"; exec sleep 100000']
        env:
        - {{name: {mark}, value: {folder}}}
        - {{name: DEVICE, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}
        - {{name: WORKLOAD, value: {name}}}
        - {{name: VALUE, valueFrom: {{configMapKeyRef: {{name: {app}, key: value}}}}}}
        - {{name: SECRET, valueFrom: {{secretKeyRef: {{name: {app}, key: value}}}}}}
"""

SETTINGS = """apiVersion: v1
kind: ConfigMap
metadata: {{name: {app}, namespace: fleet}}
data: {{value: "{value}"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {app}, namespace: fleet}}
stringData: {{value: "secret-{value}"}}
"""

DEPLOYMENT = """apiVersion: edge.kled.io/v1
kind: EdgeDeployment
metadata: {{name: {app}, namespace: flux-system}}
spec:
  interval: 10m
  retryInterval: 1s
  sourceRef: {{kind: GitRepository, name: flux-system}}
  path: fleet/{app}
  placement: {{selector: {selector}}}
"""


class FleetHistory(History):
    """What Git says: applications of the cluster, and of the devices each with a placement and workloads. A value
    is never used twice, so each start of a workload is another line."""

    clusters = "clusters/demo"

    def __init__(self, world, chance):
        self.folder = world.folder
        self.fleet = {}
        super().__init__(world.repository, chance)

    def change(self):
        if self.chance.random() < 0.75:
            self._change_fleet(self.count + 1)
        return super().change()

    def _change_fleet(self, value):
        app = self.chance.choice(FLEET)
        if app in self.fleet and self.chance.random() < 0.15:
            del self.fleet[app]
            return
        held = self.fleet.setdefault(app, {"workloads": {1}})
        held["value"] = value
        held["placement"] = self.chance.choice(["all", "all", "north", "south", "nowhere"])
        number = self.chance.randrange(1, 4)
        held["workloads"] ^= {number}

    def _write(self):
        super()._write()
        tree = self.repository.tree
        for old in tree.glob("fleet/*/*.yaml"):
            old.unlink()
        for kind in ("edgenodes", "edgedeployments"):
            name = f"edge.kled.io_{kind}.yaml"
            self.repository.write(f"{self.clusters}/{name}", (ROOT / "manifests/crds" / name).read_text())
        for app, held in self.fleet.items():
            self.repository.write(f"{self.clusters}/fleet-{app}.yaml",
                                  DEPLOYMENT.format(app=app, selector=PLACEMENTS[held["placement"]]))
            files = {"settings": SETTINGS.format(app=app, value=held["value"])}
            for number in held["workloads"]:
                name = f"{app}-{number}"
                files[name] = WORKLOAD.format(name=name, app=app, mark=MARK, folder=self.folder)
            self.repository.write(f"fleet/{app}/kustomization.yaml",
                                  "resources:\n" + "".join(f"- {name}.yaml\n" for name in files))
            for name, text in files.items():
                self.repository.write(f"fleet/{app}/{name}.yaml", text)

    def wanted_processes(self):
        """(device, workload, value, secret) of all that has to run."""
        return {(device, f"{app}-{number}", str(held["value"]), f"secret-{held['value']}")
                for app, held in self.fleet.items() for number in held["workloads"]
                for device, labels in DEVICES.items() if held["placement"] in ("all", labels["zone"])}


class Hub:
    """What kledd says of the fleet, straight from its socket: asked often."""

    def __init__(self, path):
        self.path = path

    def nodes(self):
        connection = http.client.HTTPConnection("kledd", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        with contextlib.closing(connection):
            connection.sock.settimeout(10)
            connection.sock.connect(str(self.path))
            connection.request("GET", "/v1/edge/nodes")
            return {n["metadata"]["name"]: n["status"] for n in json.loads(connection.getresponse().read())["items"]}


def running(folder):
    """[(device, workload, value, secret)] of the processes that live, by pid."""
    return {pid: tuple(e.get(k) for k in ("DEVICE", "WORKLOAD", "VALUE", "SECRET"))
            for pid, e in marked(MARK, folder).items() if "WORKLOAD" in e}


class Witness:
    """Looks all along, and remembers what must never have been."""

    def __init__(self, folder, hub):
        self.folder, self.hub = folder, hub
        self.wrong = []
        self.highest = collections.defaultdict(int)
        self.looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.05):
            self._look_at_processes()
            self.looks += 1
            if self.looks % 6 == 0:
                with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                    self._look_at_generations()

    def _look_at_processes(self):
        by_workload = collections.defaultdict(list)
        for pid, what in running(self.folder).items():
            by_workload[what[:2]].append(pid)
        for workload, pids in by_workload.items():
            # One of them may have ended while we looked for the other.
            if len(pids) > 1 and len(set(pids) & running(self.folder).keys()) > 1:
                self.wrong.append(f"{workload[1]} had {len(pids)} processes on {workload[0]}")

    def _look_at_generations(self):
        for name, status in self.hub.nodes().items():
            for which in ("desired", "observed"):
                generation = status[which]["generation"]
                if generation < self.highest[name, which]:
                    self.wrong.append(f"{which} generation of {name} went from {self.highest[name, which]} "
                                      f"back to {generation}")
                self.highest[name, which] = generation

    def check(self):
        lines = collections.Counter((self.folder / "started").read_text().splitlines()) \
            if (self.folder / "started").exists() else {}
        twice = [line for line, count in lines.items() if count > 1]
        if twice:
            self.wrong.append(f"started more than once: {twice[:5]}")
        if self.wrong:
            raise Failure("; ".join(self.wrong[:5]))
        return len(lines)


class Run:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.chance = random.Random(arguments.seed)
        self.world = World(folder, arguments.bin)
        self.folder = self.world.folder
        self.history = FleetHistory(self.world, self.chance)
        self.hub = Hub(self.world.state / "kledd.sock")
        self.cluster = None
        self.check = None
        self.kills = 0
        self.slowest = 0.0

    # ---- what must be

    def devices_are_right(self):
        have = collections.Counter(running(self.folder).values())
        wanted = collections.Counter(self.history.wanted_processes())
        if have != wanted:
            raise Failure(f"not running: {sorted((wanted - have).elements())}; running besides: {sorted((have - wanted).elements())}")

    def fleet_is_right(self):
        status, answer = self.cluster.call("GET", "/apis/edge.kled.io/v1/edgenodes")
        if status != 200:
            raise Failure(f"listing EdgeNodes: {status}")
        shown = {n["metadata"]["name"]: n.get("status", {}) for n in answer["items"]}
        for name, node in self.hub.nodes().items():
            if node["observed"]["generation"] != node["desired"]["generation"]:
                raise Failure(f"{name} has generation {node['observed']['generation']} of {node['desired']['generation']}")
            if not node["online"] or (node["phase"] != "Healthy" and node["desired"]["generation"] > 0):
                raise Failure(f"{name} is {node['phase']}, online: {node['online']}: {node['conditions']}")
            if {k: shown.get(name, {}).get(k) for k in ("desired", "observed", "phase")} != \
                    {k: node[k] for k in ("desired", "observed", "phase")}:
                raise Failure(f"EdgeNode {name} does not show what the hub knows")

    def all_is_right(self):
        self.check()
        self.devices_are_right()
        self.fleet_is_right()
        return True

    def settle(self, seconds=150):
        begin = time.monotonic()
        wait_for("cluster and devices to be what Git says", lambda: self.alive() and self.all_is_right(), seconds, 0.1)
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def alive(self):
        for child in self.children():
            child.check()
        return True

    # ---- what happens

    def children(self):
        return [self.world.kledd, self.world.broker, *[d.agent for d in self.world.devices]]

    def round(self, number):
        if number % 10 == 9:
            self.settle()  # the next kill meets programs at rest
        else:
            for _ in range(self.chance.randrange(1, 4)):
                self.history.change()
        victims = self.chance.sample(self.children(), self.chance.randrange(1, 5))
        for victim in victims:
            time.sleep(self.chance.random() * self.arguments.within)
            victim.check()
            victim.kill()
            self.kills += 1
        if self.chance.random() < 0.5:
            self.history.change()  # while they are down
        self.chance.shuffle(victims)
        for victim in victims:
            time.sleep(self.chance.random() * 0.1)
            victim.start()
        if self.world.kledd in victims:
            wait_for("kledd's socket", lambda: self.world.kledd.check() or answers(self.hub.path))

    def start(self):
        self.history.push_empty()
        self.world.start()
        for name, labels in DEVICES.items():
            self.world.add_device(name, labels)
        self.cluster = Cluster(Api(self.world.api_port, self.world.state / "api/admin.kubeconfig", self.folder))
        self.check = Check(self.history, self.cluster)
        wait_for("the namespace", lambda: self.check.make_others() or True, 60)

    def run(self):
        self.start()
        with Witness(self.folder, self.hub) as witness:
            for number in range(self.arguments.rounds):
                self.round(number)
            self.history.change()
            begin = time.monotonic()
            self.settle()
            last = time.monotonic() - begin
            time.sleep(1)
            self.all_is_right()
        starts = witness.check()
        self.world.stop()
        left = running(self.folder)
        if left:
            raise Failure(f"left behind by agents that stopped: {left}")
        print(f"{self.kills} kills in {self.arguments.rounds} rounds, {self.history.count} commits, {starts} starts of "
              f"workloads, {witness.looks} looks: cluster and devices are what Git says {last:.1f} s after the last push "
              f"(at most {self.slowest:.1f} s)")

    def clean_up(self):
        self.world.stop()
        for pid in running(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("KLED_SOAK", "20")))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--within", type=float, default=0.3, help="seconds in which each kill comes")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs after a failure")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {arguments.seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kled-crash-"))
    run = Run(arguments, folder)
    keep = arguments.keep
    try:
        run.run()
        keep = False
    except (Failure, Lost, AssertionError) as failure:
        print(f"FAILED: {failure}\nseed {arguments.seed}, after {run.kills} kills", file=sys.stderr)
        for name, tail in run.world.logs():
            print(f"--- {name}\n{tail}", file=sys.stderr)
        for argv in (["edge", "get", "-o", "yaml"],):
            with contextlib.suppress(Failure, OSError):
                print(f"--- kled {' '.join(argv)}\n{run.world.kled(*argv)}", file=sys.stderr)
        return 1
    finally:
        run.clean_up()
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
