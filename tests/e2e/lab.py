#!/usr/bin/env python3
"""The main flow against a stock Kubernetes: push → pods run, change, prune, drift repaired.

    lab.py [--bin DIR] [--keep]

Needs root and the programs of tests/lab/kubernetes/build.sh.
"""
import argparse
import json
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "lab/kubernetes")]
import images  # noqa: E402
from cluster import Cluster  # noqa: E402
from support.processes import Failure, wait_for  # noqa: E402
from support.world import ROOT, World  # noqa: E402

KUSTOMIZATIONS = "kustomizations.kustomize.toolkit.fluxcd.io"
# The lab has no DNS: Services get fixed addresses, pods know them by /etc/hosts.
ADDRESSES = {"demo-backend": "10.96.1.1", "demo-frontend": "10.96.1.2", "demo-proxy": "10.96.1.3"}


class LabWorld(World):
    """kledd inside the cluster's network namespace, on the cluster's API, without an edge."""

    def __init__(self, folder, bin_dir, cluster):
        self.cluster = cluster
        super().__init__(folder, bin_dir)

    def kledd_command(self):
        return self.cluster.inside(self.bin / "kledd", "--roles", "gitops", "--state", self.state, "--kubeconfig",
                                   self.cluster.kubeconfig, "--gitops-allow-local-repositories")

    def kled(self, *argv, timeout=60):
        return self.run(self.cluster.inside(self.bin / "kled", "--kubeconfig", self.cluster.kubeconfig, "--state",
                                            self.state, *argv), timeout)

    def seed(self):
        self.repository.copy_in(ROOT / "manifests/apps", "apps")
        overlay = "apps/demo-hello/overlays/lab"
        aliases = json.dumps([{"ip": ip, "hostnames": [name]} for name, ip in ADDRESSES.items()])
        patches = [f"- target: {{kind: Deployment}}\n  patch: |\n    - op: add\n      path: /spec/template/spec/hostAliases\n      value: {aliases}\n"]
        patches += [f"- target: {{kind: Service, name: {name}}}\n  patch: |\n    - op: add\n      path: /spec/clusterIP\n      value: {ip}\n"
                    for name, ip in ADDRESSES.items()]
        self.repository.write(f"{overlay}/kustomization.yaml", "resources:\n- ../dev\n- extra.yaml\npatches:\n" + "".join(patches))
        self.repository.write(f"{overlay}/extra.yaml", config_map("extra", "1"))


def config_map(name, value):
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: demo-hello\ndata:\n  value: \"{value}\"\n"


def cron_job(command):
    return ("apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: smoke, namespace: flux-system}\nspec:\n"
            "  schedule: 0 0 1 1 *\n  suspend: true\n  jobTemplate:\n    spec:\n      backoffLimit: 0\n      template:\n"
            "        spec: {restartPolicy: Never, containers: [{name: smoke, image: 'kled.local/demo-backend:1', "
            f"command: [{command}]}}]}}\n")


PIPELINE = """apiVersion: gitops.kled.io/v1
kind: Pipeline
metadata: {name: gate, namespace: flux-system}
spec:
  sourceRef: {name: fleet}
  serviceAccountName: tester
  stages:
  - {name: test, gates: {jobs: [{cronJob: smoke, timeout: 2m}]}}
"""


class Lab:
    def __init__(self, world, cluster):
        self.world, self.cluster = world, cluster

    def get(self, *argv):
        return json.loads(self.cluster.kubectl("get", *argv, "-o", "json"))

    def kustomization(self):
        return self.get(KUSTOMIZATIONS, "demo-hello", "-n", "flux-system")

    def ready_at(self, commit):
        status = self.kustomization().get("status", {})
        ready = next((c["status"] for c in status.get("conditions", []) if c["type"] == "Ready"), "")
        return commit in status.get("lastAppliedRevision", "") and ready == "True"

    def page(self):
        return self.cluster.call("curl", "-sS", "-m", "3", "-H", "Connection: close", f"http://{ADDRESSES['demo-proxy']}/")

    def step(self, what, begin):
        print(f"  ✓ {what:<62}{time.monotonic() - begin:8.2f} s", flush=True)

    def run(self):
        world, cluster = self.world, self.cluster
        begin = time.monotonic()
        cluster.kubectl("apply", "-k", ROOT / "manifests/crds")
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        world.seed()
        for name in ("namespace.yaml", "source.yaml", "demo-hello.yaml"):
            text = (ROOT / "manifests/clusters/dev" / name).read_text()
            text = text.replace("file:///srv/git/fleet.git", world.repository.url).replace("overlays/dev", "overlays/lab")
            if name == "demo-hello.yaml":
                text += "  wait: true\n"
            cluster.kubectl("apply", "-f", "-", input=text)
        world.start_kledd()
        commit = world.repository.push_commit("first")
        wait_for("the first revision to be Ready", lambda: self.ready_at(commit), 180, every=0.2)
        pods = self.get("pods", "-n", "demo-hello")["items"]
        phases = {p["metadata"]["name"]: p["status"]["phase"] for p in pods}
        if len(pods) < 3 or set(phases.values()) != {"Running"}:
            raise Failure(f"pods are not all running: {phases}")
        wait_for("the page", lambda: "<html" in self.page().lower(), 30, every=0.2)
        self.step("push → Ready, pods run, the page is served", begin)

        begin = time.monotonic()
        world.repository.write("apps/demo-hello/overlays/dev/settings.env", "GREETING=Hello\nREVISION=second\n")
        world.repository.write("apps/demo-hello/overlays/lab/extra.yaml", config_map("other", "2"))
        commit = world.repository.push_commit("second")
        wait_for("the second revision to be Ready", lambda: self.ready_at(commit), 180, every=0.2)
        wait_for("the page shows it", lambda: "second" in self.page(), 30, every=0.2)
        names = {o["metadata"]["name"] for o in self.get("configmaps", "-n", "demo-hello")["items"]}
        if "extra" in names or "other" not in names:
            raise Failure(f"prune: ConfigMaps are {sorted(names)}")
        self.step("a change: new pods, and what Git dropped is pruned", begin)

        begin = time.monotonic()
        cluster.kubectl("create", "configmap", "by-hand", "-n", "demo-hello")
        cluster.kubectl("scale", "-n", "demo-hello", "deployment/demo-backend", "--replicas=0")
        cluster.kubectl("delete", "configmap", "other", "-n", "demo-hello")
        cluster.kubectl("patch", "deployment", "demo-frontend", "-n", "demo-hello", "--type=merge", "-p",
                        '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":77}}}}')
        world.kled("gitops", "reconcile", "demo-hello", timeout=180)
        names = {o["metadata"]["name"] for o in self.get("configmaps", "-n", "demo-hello")["items"]}
        grace = self.get("deployment", "demo-frontend", "-n", "demo-hello")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        if "other" not in names or grace == 77:
            raise Failure(f"drift is not repaired: ConfigMaps {sorted(names)}, grace {grace}")
        if "by-hand" not in names:
            raise Failure("an object that kled did not create was pruned")
        told = world.kled("gitops", "logs", "demo-hello")
        if "kubectl-patch had changed it" not in told or "ReconciliationFailed" in told:
            raise Failure(f"who changed what is not told, or a conflict was not tried again: {told}")
        self.step("drift is repaired by a reconcile; what is not ours stays", begin)
        self.tenant()
        self.identity()
        self.gate()

    def tenant(self):
        """A Kustomization that a service account bounds: refused without a right, applied with it."""
        world, cluster, begin = self.world, self.cluster, time.monotonic()
        world.repository.write("tenants/a/kustomization.yaml", "namespace: tenant-a\nresources: [map.yaml]\n")
        world.repository.write("tenants/a/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\n")
        world.repository.push_commit("a tenant")
        cluster.kubectl("create", "namespace", "tenant-a")
        cluster.kubectl("create", "serviceaccount", "deployer", "-n", "flux-system")
        text = (ROOT / "manifests/clusters/dev/demo-hello.yaml").read_text()
        text = text.replace("name: demo-hello", "name: tenant").replace("apps/demo-hello/overlays/dev", "tenants/a")
        cluster.kubectl("apply", "-f", "-", input=text + "  serviceAccountName: deployer\n  retryInterval: 1s\n")

        def ready():
            conditions = self.get(KUSTOMIZATIONS, "tenant", "-n", "flux-system").get("status", {}).get("conditions", [])
            return next(((c["status"], c["message"]) for c in conditions if c["type"] == "Ready"), ("", ""))

        wait_for("the account's rights to be missing", lambda: ready()[0] == "False", 30, every=0.2)
        refused = ready()[1]
        if "system:serviceaccount:flux-system:deployer" not in refused or "forbidden" not in refused:
            raise Failure(f"the tenant is not refused for its account: {ready()}")
        cluster.kubectl("create", "rolebinding", "deployer", "-n", "tenant-a", "--clusterrole=edit",
                        "--serviceaccount=flux-system:deployer")
        wait_for("the tenant to be Ready", lambda: ready()[0] == "True", 30, every=0.2)
        self.get("configmap", "theirs", "-n", "tenant-a")
        self.step("a service account bounds what a Kustomization may do", begin)

    def identity(self):
        """A cluster without a Secret: this one once more, by a token that it issued for the tenant's account."""
        world, cluster, begin = self.world, self.cluster, time.monotonic()
        world.repository.write("tenants/b/kustomization.yaml", "namespace: tenant-b\nresources: [map.yaml]\n")
        world.repository.write("tenants/b/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: by-token}\n")
        world.repository.push_commit("for a cluster by its ConfigMap")
        cluster.kubectl("create", "namespace", "tenant-b")
        text = (ROOT / "manifests/clusters/dev/demo-hello.yaml").read_text()
        text = text.replace("name: demo-hello", "name: far").replace("apps/demo-hello/overlays/dev", "tenants/b")
        cluster.kubectl("apply", "-f", "-", input=text + "  kubeConfig: {configMapRef: {name: far}}\n  retryInterval: 1s\n")

        def ready():
            conditions = self.get(KUSTOMIZATIONS, "far", "-n", "flux-system").get("status", {}).get("conditions", [])
            return next(((c["status"], c["message"]) for c in conditions if c["type"] == "Ready"), ("", ""))

        wait_for("the ConfigMap to be missing", lambda: "ConfigMap flux-system/far does not exist" in ready()[1], 30, every=0.2)
        data = {"provider": "generic", "address": "https://127.0.0.1:6443", "serviceAccountName": "deployer",
                "audiences": "- https://kubernetes.default.svc\n", "ca.crt": (cluster.pki / "ca.crt").read_text()}
        far = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "far", "namespace": "flux-system"}, "data": data}
        cluster.kubectl("apply", "-f", "-", input=json.dumps(far))
        wait_for("the account's rights to be missing", lambda: "forbidden" in ready()[1], 30, every=0.2)
        if "system:serviceaccount:flux-system:deployer" not in ready()[1]:
            raise Failure(f"the token is not the account's: {ready()}")
        cluster.kubectl("create", "rolebinding", "deployer", "-n", "tenant-b", "--clusterrole=edit",
                        "--serviceaccount=flux-system:deployer")
        wait_for("the other cluster's Kustomization to be Ready", lambda: ready()[0] == "True", 30, every=0.2)
        self.get("configmap", "by-token", "-n", "tenant-b")
        self.step("a cluster is reached by tokens of a service account", begin)


    def gate(self):
        """A Pipeline's test: a Job that a service account makes, which may do nothing else, and what its pod says."""
        world, cluster, begin = self.world, self.cluster, time.monotonic()
        cluster.kubectl("create", "serviceaccount", "tester", "-n", "flux-system")
        for text in (cron_job("/bin/true"), PIPELINE):
            cluster.kubectl("apply", "-f", "-", input=text)

        def stage():
            return (self.get("pipelines.gitops.kled.io", "gate", "-n", "flux-system").get("status", {}).get("stages") or [{}])[0]

        def said():
            return stage().get("gates", [{}])[0].get("message", "")

        wait_for("the account's rights to be missing", lambda: "forbidden" in said(), 30, every=0.2)
        if "system:serviceaccount:flux-system:tester" not in said():
            raise Failure(f"the Job is not made as the account: {said()}")
        for name, verbs, resource in (("jobs", "get,list,create,delete", "jobs.batch"), ("templates", "get", "cronjobs.batch")):
            cluster.kubectl("create", "role", name, "-n", "flux-system", f"--verb={verbs}", f"--resource={resource}")
            cluster.kubectl("create", "rolebinding", name, "-n", "flux-system", f"--role={name}",
                            "--serviceaccount=flux-system:tester")
        cluster.kubectl("annotate", "pipelines.gitops.kled.io", "gate", "-n", "flux-system", "reconcile.fluxcd.io/requestedAt=1")
        wait_for("the test to pass", lambda: stage().get("phase") == "Passed", 90, every=0.2)
        passed = stage()["revision"]
        cluster.kubectl("apply", "-f", "-", input=cron_job("/bin/false"))
        world.repository.write("tenants/a/more.yaml", "")
        commit = world.repository.push_commit("one more")
        wait_for("the next one's test to fail", lambda: commit in stage()["revision"] and stage()["phase"] == "Failed", 90, every=0.2)
        if "BackoffLimitExceeded" not in said() or "kubectl logs" not in said():
            raise Failure(f"why the test failed is not said: {said()}")
        cluster.kubectl("apply", "-f", "-", input=cron_job("/bin/true"))
        world.kled("gitops", "promote", "gate", "--retry")
        wait_for("the test to pass this time", lambda: stage()["phase"] == "Passed", 90, every=0.2)
        jobs = self.get("jobs", "-n", "flux-system", "-l", "gitops.kled.io/pipeline=gate")["items"]
        outcomes = sorted((job["metadata"]["annotations"]["gitops.kled.io/revision"] == passed, job["status"].get("succeeded", 0))
                          for job in jobs)
        if outcomes != [(False, 0), (False, 1), (True, 1)]:
            raise Failure(f"the Jobs are not one for each revision and attempt: {outcomes}")
        self.step("a Pipeline's Job: as its account, failed, and once more", begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    flags = parser.parse_args()
    cluster = Cluster("e2e")
    with tempfile.TemporaryDirectory(prefix="kled-lab-", ignore_cleanup_errors=True) as folder:
        cluster.down(purge=True)
        begin = time.monotonic()
        cluster.up()
        for path in images.write_demo(folder, flags.bin):
            cluster.import_image(path)
        print(f"  ✓ {'a stock Kubernetes is up':<62}{time.monotonic() - begin:8.2f} s", flush=True)
        world = LabWorld(folder, flags.bin, cluster)
        try:
            Lab(world, cluster).run()
        except Failure as failure:
            print(f"\nFAILED: {failure}", file=sys.stderr)
            for name, tail in world.logs():
                print(f"--- {name}\n{tail}", file=sys.stderr)
            print(cluster.kubectl("get", "pods,kustomizations,gitrepositories", "-A"), file=sys.stderr)
            return 1
        finally:
            world.kledd.stop()
            if not flags.keep:
                cluster.down(purge=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
