#!/usr/bin/env python3
"""Two kledd of one cluster, of which one works: the other takes over when that is stopped or killed.

    leaders.py --bin build/release/bin
"""
import argparse
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.judge import judge  # noqa: E402
from support.processes import Child, Failure, free_port, wait_for  # noqa: E402
from support.repository import Repository  # noqa: E402

from api_crash import Api  # noqa: E402
from gitops_crash import Check, Cluster, History, answers  # noqa: E402

LEASES = "/apis/coordination.k8s.io/v1/namespaces/flux-system/leases"


class Pair:
    def __init__(self, programs, folder):
        self.repository = Repository(folder)
        self.history = History(self.repository, random.Random(1))
        self.history.push_empty()
        port = free_port()
        state = folder / "api"
        self.api = Child("api", [programs / "kledd", "--roles", "api", "--state", state, "--api", "embedded",
                                 "--api-port", port], folder / "api.log").start()
        wait_for("the API", lambda: self.api.check() or answers(state / "kledd.sock"))
        kubeconfig = state / "api/admin.kubeconfig"
        self.cluster = Cluster(Api(port, kubeconfig, folder))
        wait_for("the namespace of the lease", lambda: self.cluster.call(
            "POST", "/api/v1/namespaces", {"metadata": {"name": "flux-system"}})[0] in (201, 409))
        self.kledd = {}
        for name in ("one", "two"):
            self.kledd[name] = Child(name, [
                programs / "kledd", "--roles", "gitops", "--state", folder / name, "--kubeconfig", kubeconfig,
                "--gitops-leader-election", "--gitops-repo", self.repository.url, "--gitops-path", "clusters",
                "--gitops-interval", "500ms", "--gitops-allow-local-repositories"], folder / f"{name}.log",
                env={**os.environ, "NO_COLOR": "1"}).start()
        self.check = Check(self.history, self.cluster)

    def lease(self):
        status, answer = self.cluster.call("GET", f"{LEASES}/kled-gitops")
        return answer["spec"] if status == 200 else {}

    def leader(self):
        """The name of the one whose log says that it leads, as the lease does."""
        holder = self.lease().get("holderIdentity")
        for name, kledd in self.kledd.items():
            if holder and kledd.alive() and f"as={holder}" in kledd.log.read_text():
                return name
        return None

    def push(self):
        self.history.change()
        wait_for("the cluster to be what Git says", self.check, 60, 0.1)

    def hand_over(self, how):
        """Ends the leader by `how`; the seconds until the other leads and a push is applied."""
        before = self.leader()
        transitions = self.lease()["leaseTransitions"]
        begin = time.monotonic()
        how(self.kledd[before])
        after = wait_for("the other to lead", self.leader, 60)
        took = time.monotonic() - begin
        if after == before or self.lease()["leaseTransitions"] != transitions + 1:
            raise Failure(f"{before} was ended, {after} leads; {self.lease()}")
        self.push()
        self.kledd[before].start()
        wait_for(f"{before} to wait", lambda: self.kledd[before].log.read_text().rstrip().endswith(
            f"{self.lease()['holderIdentity']} leads; waiting lease=flux-system/kled-gitops"))
        return took

    def logs(self):
        return [(name, kledd.tail()) for name, kledd in self.kledd.items()]

    def stop(self):
        for child in [*self.kledd.values(), self.api]:
            child.stop()


def frozen(kledd):
    """Stopped for longer than the lease lasts, it goes on, and finds that it has lost."""
    os.kill(kledd.pid, signal.SIGSTOP)
    time.sleep(20)
    os.kill(kledd.pid, signal.SIGCONT)
    status = kledd.process.wait(20)
    if status != 7 or " is lost: " not in kledd.tail():
        raise Failure(f"it ended with {status}:\n{kledd.tail()}")


def take_turns(pair):
    wait_for("one to lead", pair.leader)
    wait_for("the namespace", lambda: pair.check.make_others() or True)
    pair.push()
    stopped = pair.hand_over(Child.stop)
    print(f"stopped: the other leads after {stopped:.1f} s")
    if stopped > 6:  # it is looked at every 2 s, and nothing may hold up the end of the first
        raise Failure("a lease that was given back was not taken at once")
    print(f"killed: after {pair.hand_over(Child.kill):.1f} s")
    print(f"frozen for 20 s: it ends, the other leads; seen after {pair.hand_over(frozen):.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kled-leaders") as folder:
        pair = Pair(arguments.bin.resolve(), pathlib.Path(folder))
        return judge(lambda: take_turns(pair), pair.logs, pair.stop)


if __name__ == "__main__":
    sys.exit(main())
