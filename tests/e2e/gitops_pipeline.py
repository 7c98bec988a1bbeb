#!/usr/bin/env python3
"""A push through the six stages of manifests/clusters/pipeline, as its users see it: CI says what it built, a smoke test
runs, fails and runs again, devices get it, somebody lets it into production.

    gitops_pipeline.py --bin build/release/bin
"""
import argparse
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_crash import Api  # noqa: E402
from demo import PRODUCTION_PORT, STAGING_PORT, check_ports  # noqa: E402
from gitops_crash import Cluster  # noqa: E402
from support.judge import judge  # noqa: E402
from support.processes import Failure, wait_for  # noqa: E402
from support.world import ROOT, World  # noqa: E402

ABSENT, WRONG = 3, 2  # docs/reference/exit-status.md
STAGES = ["commit", "build", "test", "staging", "edge-staging", "edge-production"]
EXAMPLE = ROOT / "manifests/clusters/pipeline"
JOBS = "/apis/batch/v1/namespaces/flux-system/jobs"


PATHS = {"CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
         "Namespace": "/api/v1/namespaces",
         "GitRepository": "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories",
         "Kustomization": "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations",
         "EdgeDeployment": "/apis/edge.kled.io/v1/namespaces/flux-system/edgedeployments",
         "CronJob": "/apis/batch/v1/namespaces/flux-system/cronjobs",
         "Pipeline": "/apis/gitops.kled.io/v1/namespaces/flux-system/pipelines"}


class PipelineWorld(World):
    """Its deployment objects are of the API, where also the hub says how the devices are."""

    def kledd_command(self):
        command = super().kledd_command()
        for flag in ("--gitops-repo", "--gitops-path"):
            at = command.index(flag)
            del command[at:at + 2]
        return command

    def seed(self):
        self.repository.copy_in(ROOT / "manifests/apps", "apps")

    def example(self):
        """The example's objects, with shorter waits and no windows: nobody knows when this runs."""
        for name in ("namespace", "source", "demo-hello", "smoke", "pipeline"):
            text = (EXAMPLE / f"{name}.yaml").read_text()
            if name == "source":
                text = re.sub(r"url: .*", f"url: {self.repository.url}", text)
            if name == "pipeline":
                text = re.sub(r"soak: \w+", "soak: 1s", text)
                text, windows = re.subn(r"\n      windows:\n(      [- ] .*\n?)+", "\n", text)
                assert windows == 1, "the example's windows"
            yield from re.split(r"^---$", text, flags=re.MULTILINE)

    def set_revision(self, name):
        for overlay in ("dev", "edge-staging", "edge-production"):
            path = self.repository.tree / f"apps/demo-hello/overlays/{overlay}/settings.env"
            lines = [line for line in path.read_text().splitlines() if not line.startswith("REVISION=")]
            path.write_text("\n".join([*lines, f"REVISION={name}"]) + "\n")

    def push(self, name):
        self.set_revision(name)
        return self.repository.push_commit(name)


class PipelineRun:
    def __init__(self, world):
        self.world = world
        self.cluster = None
        self.checked = 0
        self.begin = time.monotonic()

    def gitops(self, *argv, status=0, says=()):
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
        self.checked += 1
        return result.stdout

    # ---- what a user sees

    def stages(self):
        """name → (revision, phase, what waits), from the table."""
        rows = self.gitops("get", "pipeline/demo-hello", says="STAGE").splitlines()
        table = next(i for i, row in enumerate(rows) if row.startswith("STAGE"))
        starts = [rows[table].index(column) for column in ("STAGE", "REVISION", "PHASE", "SINCE", "WAITING", "MESSAGE")]
        cells = [[row[a:b].strip() for a, b in zip(starts, [*starts[1:], None])] for row in rows[table + 1:]]
        return {c[0]: (c[1], c[2], c[4]) for c in cells}

    def reaches(self, stage, commit, phase, seconds=60):
        shown = f"main@sha1:{commit[:8]}"
        try:
            wait_for(f"{commit[:8]} is {phase} in {stage}",
                     lambda: self.stages().get(stage, ())[:2] == (shown, phase), seconds, every=0.2)
        except Failure as failure:
            raise Failure(f"{failure}\n{self.gitops('get', 'pipeline/demo-hello')}") from failure
        print(f"  {time.monotonic() - self.begin:6.1f} s  {shown} is {phase} in {stage}", flush=True)

    def waits(self, stage, commit):
        wait_for(f"{commit[:8]} waits for {stage}", lambda: self.stages()[stage][2] == f"main@sha1:{commit[:8]}", every=0.2)

    def say_of(self, check, commit, outcome):
        """As CI does it with `kubectl annotate --overwrite`."""
        status, answer = self.cluster.call("PATCH", f"{PATHS['Pipeline']}/demo-hello",
                                           {"metadata": {"annotations": {f"gitops.kled.io/check.{check}": f"{commit}={outcome}"}}})
        if status != 200:
            raise Failure(f"annotating the Pipeline: {status}: {answer.get('message')}")

    # ---- as `kubectl apply -k` does it

    def apply(self, text):
        kind = re.search(r"^kind: (\w+)$", text, re.MULTILINE).group(1)
        name = re.search(r"^  name: (\S+)$", text, re.MULTILINE).group(1)

        def applied():
            connection = self.cluster.api.connect()
            connection.request("PATCH", f"{PATHS[kind]}/{name}?fieldManager=user&force=true", text,
                               {"Content-Type": "application/apply-patch+yaml"})
            answer = connection.getresponse()
            said = answer.read().decode()
            if answer.status not in (200, 201):
                raise Failure(f"{answer.status}: {said}")
            return True

        wait_for(f"{kind} {name} to be applied", applied, 20, every=0.1)

    # ---- the cluster's Job controller, which the embedded API has not

    def jobs(self, commit):
        _, answer = self.cluster.call("GET", f"{JOBS}?labelSelector=gitops.kled.io/pipeline%3Ddemo-hello")
        return [job for job in answer["items"]
                if job["metadata"]["annotations"]["gitops.kled.io/revision"] == f"main@sha1:{commit}"]

    def job(self, commit, count):
        """The newest of `count`."""
        wait_for(f"Job {count} of {commit[:8]}", lambda: len(self.jobs(commit)) == count, 40)
        job = max(self.jobs(commit), key=lambda one: int(one["metadata"]["resourceVersion"]))
        if not re.fullmatch(r"demo-hello-smoke-staging-[0-9a-f]{16}", job["metadata"]["name"]):
            raise Failure(f"a Job has the name {job['metadata']['name']}")
        return job

    def end(self, job, condition, reason=""):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ended = {"type": condition, "status": "True", "reason": reason, "lastTransitionTime": now, "lastProbeTime": now}
        status, answer = self.cluster.call("PATCH", f"{JOBS}/{job['metadata']['name']}/status",
                                           {"status": {"conditions": [ended]}})
        if status != 200:
            raise Failure(f"ending {job['metadata']['name']}: {status}: {answer.get('message')}")

    # ---- one after the other

    def start(self):
        world = self.world
        world.seed()
        first = world.push("r1")
        world.start()
        self.devices = [world.add_device("pi-staging", {"environment": "staging"}, STAGING_PORT),
                        world.add_device("jetson-production", {"environment": "production"}, PRODUCTION_PORT)]
        self.cluster = Cluster(Api(world.api_port, world.state / "api/admin.kubeconfig", world.folder))
        for definition in sorted((ROOT / "manifests/crds").glob("*_*.yaml")):
            self.apply(definition.read_text())
        for text in world.example():
            self.apply(text)
        return first

    def to_staging(self, commit):
        wait_for("the Pipeline", lambda: "commit" in self.stages())
        self.reaches("commit", commit, "Passed")
        self.reaches("build", commit, "Progressing")
        self.say_of("build", commit, "success")
        self.reaches("test", commit, "Progressing")
        self.say_of("test", commit, "success")
        self.reaches("staging", commit, "Progressing")

    def serves(self, device, text):
        wait_for(f"{device.name} serves {text}", lambda: text in device.page(), 60, every=0.15)

    def first_revision(self, commit):
        staging, production = self.devices
        self.to_staging(commit)
        job = self.job(commit, 1)
        told = ["demo-hello", f"Job flux-system/{job['metadata']['name']} has not ended yet"]
        wait_for("the Job to be told of", lambda: self.gitops("get", "pipelines", says=told))
        self.gitops("promote", "demo-hello", "--retry", says="no Job that it made has failed")
        self.end(job, "Failed", "BackoffLimitExceeded")
        self.reaches("staging", commit, "Failed")
        self.gitops("get", "pipeline/demo-hello", says=["BackoffLimitExceeded", f"kubectl logs -n flux-system job/{job['metadata']['name']}"])
        self.gitops("promote", "demo-hello", "--retry", says=["(attempt 2)", "CronJob flux-system/demo-hello-smoke"])
        again = self.job(commit, 2)
        if again["metadata"]["name"] == job["metadata"]["name"]:
            raise Failure("the next attempt is the Job of the one before")
        self.end(again, "Complete")
        self.reaches("staging", commit, "Passed")
        self.serves(staging, "r1")
        self.reaches("edge-staging", commit, "Passed")
        self.waits("edge-production", commit)
        self.gitops("promote", "demo-hello", status=WRONG, says=["needs an approval", "--yes"])
        self.gitops("promote", "demo-hello", "--stage", "edge-staging", "--yes", status=WRONG, says="has no gate `approval`")
        self.gitops("promote", "demo-hello", "--stage", "nowhere", "--yes", status=ABSENT, says="there is no stage 'nowhere'")
        self.gitops("promote", "demo-hello", "--yes", says=[commit, "into edge-production"])
        self.serves(production, "r1")
        self.reaches("edge-production", commit, "Passed")
        self.gitops("get", "pipelines", says=f"main@sha1:{commit} passed all stages")

    def second_revision(self):
        staging, production = self.devices
        commit = self.world.push("r2")
        self.to_staging(commit)
        # Nothing of it is lost, nor done twice, where kledd ends meanwhile.
        job = self.job(commit, 1)
        self.world.kledd.kill()
        self.world.kledd.start()
        wait_for("kledd again", lambda: "demo-hello" in self.gitops("get", "pipelines"), 30, every=0.2)
        self.end(job, "Complete")
        self.serves(staging, "r2")
        self.reaches("edge-staging", commit, "Passed")
        if len(self.jobs(commit)) != 1:
            raise Failure("a start made another Job of a revision that had one")
        self.waits("edge-production", commit)
        if "r1" not in production.page():
            raise Failure("production has what nobody let in")
        self.gitops("promote", "demo-hello", "--stage", "edge-production", "--yes", says="into edge-production")
        self.serves(production, "r2")
        self.reaches("edge-production", commit, "Passed")
        if list(self.stages()) != STAGES or any(row[1] != "Passed" for row in self.stages().values()):
            raise Failure(f"not all six stages passed: {self.stages()}")

    def all(self):
        self.first_revision(self.start())
        self.second_revision()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="kled-pipeline-", ignore_cleanup_errors=True) as folder:
        world = PipelineWorld(folder, arguments.bin)
        run = PipelineRun(world)

        def check():
            check_ports()
            run.all()
        status = judge(check, world.logs, world.stop)
    if status == 0:
        print(f"two revisions went through {len(STAGES)} stages; {run.checked} commands said what they should")
    return status


if __name__ == "__main__":
    sys.exit(main())
