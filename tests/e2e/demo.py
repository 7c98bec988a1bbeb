#!/usr/bin/env python3
"""A git push reaches a cluster and two edge devices, on this machine.

    demo.py [--bin DIR] [--check] [--json FILE]

Starts kledd (embedded API, GitOps, edge hub), a broker, a Git repository with the hook, and two simulated
devices; pushes, changes, takes a device offline and back. --check verifies each step, prints the figures and
ends; without it everything is left running until Ctrl-C.
"""
import argparse
import contextlib
import json
import pathlib
import signal
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.processes import Failure, memory_kib, wait_for  # noqa: E402
from support.world import World  # noqa: E402

STAGING_PORT, PRODUCTION_PORT = 18080, 28080  # where the overlays' proxies listen


class Narrator:
    """Says what happens: bold on a terminal, plain elsewhere."""

    def __init__(self):
        self.colour = sys.stdout.isatty()
        self.started = time.monotonic()
        self.figures = {}

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def step(self, text):
        print(self._paint("1", f"\n▸ {text}"), flush=True)

    def mark(self, text, seconds=None, name=None):
        if name:
            self.figures[name] = round(seconds, 3)
        print(f"  {self._paint('32', '✓')} {text:<58}" + ("" if seconds is None else f"{seconds:8.2f} s"), flush=True)


def condition(item, kind):
    return next((c for c in item.get("status", {}).get("conditions", []) if c["type"] == kind), {})


def check_ports():
    """The devices' proxies listen on ports that the manifests name: better said now than as a timeout."""
    for port in (STAGING_PORT, PRODUCTION_PORT):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise Failure(f"port {port} of this machine is needed for a device's page: {error.strerror}") from error


class Demo:
    def __init__(self, world, narrator):
        self.world, self.say = world, narrator

    # ---- what is known of a revision

    def gitops(self, kind):
        return [o for o in self.world.objects("gitops", "get") if o["kind"] == kind]

    def fetched(self, commit):
        return any(commit in o.get("status", {}).get("artifact", {}).get("revision", "") for o in self.gitops("GitRepository"))

    def applied(self, commit):
        return any(commit in o.get("status", {}).get("lastAppliedRevision", "") for o in self.gitops("Kustomization"))

    def ready(self, commit):
        return all(commit in o.get("status", {}).get("lastAppliedRevision", "") and condition(o, "Ready").get("status") == "True"
                   for o in self.gitops("Kustomization"))

    def serves(self, device, text):
        return text in device.page()

    def phases(self):
        return {n["metadata"]["name"]: n.get("status", {}).get("phase") for n in self.world.objects("edge", "get")}

    # ---- steps

    def follow(self, what, commit, marks, devices, name):
        """From the push on: when each stage had the commit."""
        start = time.monotonic()

        def reached(label, check, every=0.02):
            wait_for(f"{what}: {label}", check, 60, every)
            elapsed = time.monotonic() - start
            self.say.mark(label, elapsed, f"{name}.{label.replace(' ', '_')}")

        reached("fetched", lambda: self.fetched(commit))
        reached("applied", lambda: self.applied(commit))
        for device in devices:
            # The proxy allows ten requests a second.
            reached(f"on {device.name}", lambda d=device: self.serves(d, marks[d.name]), every=0.11)
        reached("ready", lambda: self.ready(commit))

    def set_revision(self, revision):
        for overlay in ("dev", "edge-staging", "edge-production"):
            path = self.world.repository.tree / f"apps/demo-hello/overlays/{overlay}/settings.env"
            lines = [line for line in path.read_text().splitlines() if not line.startswith("REVISION=")]
            path.write_text("\n".join([*lines, f"REVISION={revision}"]) + "\n")

    def push(self, revision, devices, name):
        self.set_revision(revision)
        commit = self.world.repository.commit(f"Revision {revision}")
        pushed = time.monotonic()
        self.world.repository.push()
        self.say.mark(f"git push of {commit[:10]}", time.monotonic() - pushed)
        self.follow(f"revision {revision}", commit, {d.name: revision for d in devices}, devices, name)
        return commit

    def run(self):
        world, say = self.world, self.say
        say.step("Starting kledd (embedded API, GitOps, edge hub), a broker and a Git repository")
        begin = time.monotonic()
        world.seed()
        world.start()
        say.mark("kledd and mosquitto are up", time.monotonic() - begin, "start.kledd")

        say.step("Two devices join with one-time tokens")
        begin = time.monotonic()
        staging = world.add_device("pi-staging", {"environment": "staging"}, STAGING_PORT)
        production = world.add_device("jetson-production", {"environment": "production"}, PRODUCTION_PORT)
        say.mark("enrolled, certificates of their own, agents running", time.monotonic() - begin, "start.devices")

        say.step("git push: the first revision")
        self.push("r1-first", [staging, production], "first")

        say.step("git push: a change in the overlays")
        self.push("r2-changed", [staging, production], "second")

        say.step("The production device loses its network; a push goes on without it")
        production.uplink.cut()
        self.push("r3-offline", [staging], "offline")
        if not self.serves(production, "r2-changed"):
            raise Failure("the device that is offline does not go on with what it had")
        say.mark("the device that is offline still serves the revision before")

        say.step("…and comes back")
        begin = time.monotonic()
        production.uplink.mend()
        wait_for("the device catches up", lambda: self.serves(production, "r3-offline"), 40, every=0.11)
        say.mark("caught up", time.monotonic() - begin, "offline.caught_up")

        say.step("Nothing is pushed: nothing happens")
        generation = {n["metadata"]["name"]: n["status"]["desired"] for n in world.objects("edge", "get")}
        world.kled("gitops", "reconcile", "demo-hello", "--with-source")
        after = {n["metadata"]["name"]: n["status"]["desired"] for n in world.objects("edge", "get")}
        if generation != after:
            raise Failure(f"a reconcile without a change made new generations: {generation} → {after}")
        say.mark("a reconcile without a change reaches no device")

        for child in (world.kledd, world.broker, *[d.agent for d in world.devices]):
            child.check()
            say.figures[f"memory.{child.name}"] = memory_kib(child.pid)


def print_figures(figures):
    print("\nFigures")
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"  {name:<40} PSS {value['pss']} KiB, private dirty {value['private_dirty']} KiB, RSS {value['rss']} KiB")
        else:
            print(f"  {name:<40} {value:8.3f} s")


def invite(world):
    kled = f"{world.bin}/kled --state {world.state}"
    print(f"""
Everything is running. Try, in another terminal:

  {kled} gitops get
  {kled} edge get -o wide
  curl http://127.0.0.1:{STAGING_PORT}/
  kubectl --kubeconfig {world.state}/api/admin.kubeconfig get deployments -A
  cd {world.repository.tree} && sed -i 's/^GREETING=.*/GREETING=Good morning/' apps/demo-hello/overlays/*/settings.env \\
      && git commit -qam 'Greet' && git push origin main

The objects in the embedded API end at Applied: it has no controllers. Ctrl-C stops all of it and cleans up.
""", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin", help="where kled, kledd and kled-agent are")
    parser.add_argument("--check", action="store_true", help="verify, print figures and end")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file")
    flags = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    narrator = Narrator()
    with tempfile.TemporaryDirectory(prefix="kled-demo-", ignore_cleanup_errors=True) as folder:
        world = World(folder, flags.bin)
        try:
            check_ports()
            begin = time.monotonic()
            Demo(world, narrator).run()
            narrator.figures["total"] = round(time.monotonic() - begin, 3)
            print_figures(narrator.figures)
            if flags.json:
                flags.json.write_text(json.dumps(narrator.figures, indent=2) + "\n")
            if not flags.check:
                invite(world)
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
                print("\nstopping …")
        except KeyboardInterrupt:
            print("\nstopping …")
            return 130
        except (Failure, AssertionError) as failure:
            print(f"\nFAILED: {failure}", file=sys.stderr)
            for name, tail in world.logs():
                print(f"--- {name}\n{tail}", file=sys.stderr)
            return 1
        finally:
            world.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
