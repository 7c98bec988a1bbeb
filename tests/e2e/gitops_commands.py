#!/usr/bin/env python3
"""The commands of GitOps as a user types them, against a kledd whose deployment objects are files of the repository:
what they print, what they change, and how they end.

    gitops_commands.py --bin build/release/bin
"""
import argparse
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_crash import Api  # noqa: E402
from gitops_crash import Cluster  # noqa: E402
from support.gitops_world import GitopsWorld  # noqa: E402
from support.judge import judge  # noqa: E402
from support.processes import Failure, wait_for  # noqa: E402

WRONG, ABSENT, HELD = 2, 3, 4  # docs/reference/exit-status.md

KUSTOMIZATION = """apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: default, annotations: {gitops.kled.io/prune: confirm}}
spec: {interval: 10m, prune: true, path: ./apps,
  sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}
"""
FRESH = """apiVersion: v1
kind: Namespace
metadata: {name: fresh}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, namespace: fresh}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: fresh}
data: {k: v}
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"


def config(name, value):
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: web}}\ndata: {{k: '{value}'}}\n"


class Commands:
    def __init__(self, world):
        self.world = world
        self.cluster = None
        self.checked = 0

    def run(self, *argv, status=0, says=(), not_says=()):
        result = subprocess.run([str(a) for a in (self.world.bin / "kled", "--state", self.world.state, "gitops", *argv)],
                                env=self.world.environment(), capture_output=True, text=True, timeout=60,
                                stdin=subprocess.DEVNULL)
        said = result.stdout + result.stderr
        shown = f"kled gitops {' '.join(map(str, argv))}"
        if result.returncode != status:
            raise Failure(f"{shown}: exit status {result.returncode}, not {status}: {said}")
        for text in [says] if isinstance(says, str) else says:
            if text not in said:
                raise Failure(f"{shown}: does not say {text!r}: {said}")
        for text in [not_says] if isinstance(not_says, str) else not_says:
            if text in said:
                raise Failure(f"{shown}: says {text!r}: {said}")
        self.checked += 1
        return result.stdout

    def value(self, name):
        status, answer = self.cluster.call("GET", f"/api/v1/namespaces/web/configmaps/{name}")
        return answer["data"]["k"] if status == 200 else None

    def holds(self, name, wanted):
        wait_for(f"ConfigMap {name} to be {wanted}", lambda: self.value(name) == wanted)

    def push(self, **values):
        for name, value in values.items():
            if value is None:
                (self.world.repository.tree / f"apps/{name}.yaml").unlink()
            else:
                self.world.repository.write(f"apps/{name}.yaml", config(name, value))
        return self.world.repository.push_commit("change")

    def begin(self):
        repository = self.world.repository
        repository.write("clusters/apps.yaml", KUSTOMIZATION)
        repository.write("apps/ns.yaml", NAMESPACE)
        first = self.push(a="1", b="1")
        self.world.start()
        self.cluster = Cluster(Api(self.world.api_port, self.world.state / "api/admin.kubeconfig", self.world.folder))
        self.holds("a", "1")
        second = self.push(a="2")
        self.holds("a", "2")
        return first, second

    # ---- back to what was there before, and on again

    def rollback(self, first, second):
        self.run("rollback", "apps", says=[first, "pinned to it"])
        self.holds("a", "1")
        third = self.push(a="3")
        self.run("reconcile", "apps", "--with-source", says=first)
        self.holds("a", "1")
        self.run("rollback", "apps", "--to", second[:9], says=second)
        self.holds("a", "2")
        self.run("rollback", "apps", "--to", "0" * 9, status=ABSENT, says=["no revision 000000000 was applied", first])
        self.run("rollback", "apps", "--to", "0" * 40, status=1, says="is not among what was fetched")
        self.holds("a", "2")
        self.run("rollback", "apps", "--undo", says=third, not_says="pinned")
        self.holds("a", "3")
        self.run("rollback", "nothing", status=ABSENT, says="nothing")
        self.run("rollback", "source/flux-system", status=WRONG, says="itself deploys nothing")
        self.run("reconcile", "source/flux-system", "--override-window", status=WRONG, says="itself deploys nothing")
        self.run("promote", "ks/apps", status=WRONG, says="is no Pipeline")
        self.run("rollback", "apps", "--undo", "--to", first, status=WRONG)

    # ---- nothing goes before somebody says so

    def approve(self):
        self.run("approve", "apps", says="nothing waits for an approval")
        self.push(b=None, a="4")
        self.holds("a", "4")
        wait_for("it to say what waits", lambda: "1 not pruned yet" in self.run("get"))
        self.run("approve", "apps", status=WRONG, says=["ConfigMap web/b", "--yes"])
        self.holds("b", "1")
        self.run("approve", "apps", "--yes", says="ConfigMap web/b")
        self.holds("b", None)
        self.run("approve", "apps", says="nothing waits for an approval")
        self.holds("a", "4")

    # ---- looking, and standing still

    def look(self):
        self.run("tree", "apps", says=["Namespace web", "ConfigMap web/a"], not_says="ConfigMap web/b")
        self.run("get", "-o", "name", says="apps")
        self.run("get", "-o", "wide", says="Applied")
        for kind in ("ks", "KS", "Kustomization", "kustomizations", "kustomizations.kustomize.toolkit.fluxcd.io"):
            self.run("get", kind, says="Kustomization/apps", not_says="GitRepository")
            self.run("get", f"{kind}/apps", says="Kustomization/apps")
        self.run("get", "git", says="GitRepository/flux-system", not_says="Kustomization")
        self.run("get", "pods", status=ABSENT, says=["'pods'", "kustomizations (ks)"])
        self.run("get", "pods/apps", status=ABSENT, says=["no kind 'pods'", "kustomizations (ks)"])
        self.run("suspend", "apps")
        self.push(a="5")
        self.run("get", says="Suspended")
        for verb in (("rollback", "apps", "--undo"), ("reconcile", "apps"), ("reconcile", "apps", "--override-window")):
            self.run(*verb, status=HELD, says="Kustomization/default/apps is suspended: `kled gitops resume` it first")
        if self.value("a") != "4":
            raise Failure("what is suspended was changed")
        self.run("resume", "apps")
        self.holds("a", "5")

    # ---- back from what failed, and past commits that change nothing here

    def back_from_failure(self):
        repository = self.world.repository
        self.push(a="6")
        self.holds("a", "6")
        repository.write("README.md", "notes")
        last = repository.push_commit("notes")
        wait_for("a commit that changes nothing to be there", lambda: last[:8] in self.run("get"))
        self.run("rollback", "apps", says="pinned to it")
        self.holds("a", "5")
        self.run("rollback", "apps", "--undo", says=last)
        self.holds("a", "6")
        for name in ("c", "d"):
            repository.write(f"apps/{name}.yaml", config(name, "1").replace("'1'", "1"))  # the API takes no number there
        repository.push_commit("wrong")
        wait_for("it to fail", lambda: "Failed" in self.run("get"))
        self.run("get", says="(+1 line: -o yaml)")
        self.run("get", "ks/apps", "-o", "yaml", says=["web/c", "web/d"])
        self.run("rollback", "apps", says=[last, "pinned to it"])
        self.holds("a", "6")

    # ---- what a folder would change that brings its own namespace and kind

    def differences(self):
        folder = pathlib.Path(self.world.folder) / "fresh"
        folder.mkdir()
        (folder / "all.yaml").write_text(FRESH)
        (folder / "kustomization.yaml").write_text("resources: [all.yaml]\n")
        line = [str(self.world.bin / "kled"), "--state", str(self.world.state), "diff", "-o", "name", str(folder)]
        result = subprocess.run(line, env=self.world.environment(), capture_output=True, text=True, timeout=60)
        made = sorted(line.split()[-1] for line in result.stdout.splitlines() if line.startswith("create "))
        if result.returncode != 1 or made != ["fresh", "fresh/a", "fresh/w", "widgets.example.com"]:
            raise Failure(f"kled diff: exit status {result.returncode}: {result.stdout}{result.stderr}")
        self.checked += 1

    def all(self):
        commits = self.begin()
        self.differences()
        self.rollback(*commits)
        self.approve()
        self.look()
        self.back_from_failure()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="kled-gitops-commands-", ignore_cleanup_errors=True) as folder:
        world = GitopsWorld(folder, arguments.bin)
        commands = Commands(world)
        status = judge(commands.all, world.logs, world.stop)
    if status == 0:
        print(f"{commands.checked} commands of GitOps said and did what they should")
    return status


if __name__ == "__main__":
    sys.exit(main())
