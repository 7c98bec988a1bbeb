#!/usr/bin/env python3
"""A Bucket on a real S3 server, which looks at signatures: what is put there comes into the cluster, what is taken out is pruned.

    bucket.py [--bin DIR]

Needs the versitygw of `tests/lab/kubernetes/build.sh s3`, and curl to sign what is written.
"""
import argparse
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_crash import Api  # noqa: E402
from gitops_crash import Cluster  # noqa: E402
from support.gitops_world import GitopsWorld  # noqa: E402
from support.judge import judge  # noqa: E402
from support.processes import Child, Failure, free_port, wait_for  # noqa: E402
from support.world import ROOT  # noqa: E402

import yaml  # noqa: E402

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"
BUCKETS = "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/buckets"
REGION = "eu-central-1"
ODD = "apps/a b+c%2F~\u00e9.yaml"  # what signing escapes in a way of its own


def config(name, value):
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: web}}\ndata: {{k: '{value}'}}\n"


class Storage:
    """One bucket of an S3 server."""

    def __init__(self, folder, program):
        self.access, self.secret = "kled" + secrets.token_hex(4), secrets.token_hex(16)
        self.endpoint = f"127.0.0.1:{free_port()}"
        self.folder, self.url = folder, f"http://{self.endpoint}/deploy"
        self.curl = ["curl", "--silent", "--show-error", "--fail-with-body", "--aws-sigv4", f"aws:amz:{REGION}:s3",
                     "--user", f"{self.access}:{self.secret}", "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        (folder / "s3").mkdir()
        environment = {**os.environ, "ROOT_ACCESS_KEY": self.access, "ROOT_SECRET_KEY": self.secret}
        self.server = Child("versitygw", [program, "--port", self.endpoint, "--region", REGION, "posix", folder / "s3"],
                            folder / "s3.log", env=environment)

    def call(self, method, path, content=None):
        argv = [*self.curl, "--request", method, self.url + urllib.parse.quote(path)]
        if content is not None:
            argv += ["--data-binary", "@-", "--header", "Content-Type: application/octet-stream"]
        result = subprocess.run(argv, input=content, capture_output=True, text=True, timeout=30)
        return None if result.returncode == 0 else f"{method} {path}: {result.stdout}{result.stderr}"

    def must(self, *argv):
        if wrong := self.call(*argv):
            raise Failure(wrong)

    def start(self):
        self.server.start()
        wait_for("the S3 server", lambda: self.call("PUT", "") is None)

    def put(self, key, content):
        self.must("PUT", "/" + key, content)

    def put_many(self, where, count):
        files = self.folder / "many"
        files.mkdir()
        for i in range(count):
            (files / f"{i}.md").write_text(str(i))
        done = subprocess.run([*self.curl, "--upload-file", f"{files}/[0-{count - 1}].md",
                               f"{self.url}/{where}/"], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Failure(f"putting {count} objects: {done.stdout}{done.stderr}")

    def remove(self, key):
        self.must("DELETE", "/" + key)


class BucketWorld(GitopsWorld):
    """In cluster mode: there is no repository."""

    def kledd_command(self):
        return [self.bin / "kledd", "--roles", "api,gitops", "--state", self.state, "--api", "embedded",
                "--api-port", self.api_port, *self.kledd_flags]

    def start_kledd(self):
        self.kledd.start()
        wait_for("kledd's socket", lambda: self.kledd.check() or (self.state / "kledd.sock").exists())


class Walk:
    def __init__(self, world, storage):
        self.world, self.storage = world, storage
        self.cluster = None

    def value(self, name):
        status, answer = self.cluster.call("GET", f"/api/v1/namespaces/web/configmaps/{name}")
        return answer["data"]["k"] if status == 200 else None

    def holds(self, name, wanted):
        wait_for(f"ConfigMap {name} to be {wanted}", lambda: self.value(name) == wanted)

    def ready(self):
        """(status, reason, message) of the Bucket."""
        status, answer = self.cluster.call("GET", BUCKETS + "/deploy")
        if status != 200:
            return None
        found = [c for c in answer.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None

    def make(self, path, body):
        status, answer = self.cluster.call("POST", path, body)
        if status != 201:
            raise Failure(f"POST {path}: {status}: {answer.get('message')}")

    def keys(self, secret):
        return {"accesskey": self.storage.access, "secretkey": secret}

    def begin(self):
        self.storage.start()
        self.storage.put("apps/ns.yaml", NAMESPACE)
        self.storage.put(ODD, config("a", 1))
        self.storage.put("apps/b.yaml", config("b", 1))
        self.storage.put("apps/notes.md", "left out")
        self.world.start()
        self.cluster = Cluster(Api(self.world.api_port, self.world.state / "api/admin.kubeconfig", self.world.folder))
        for path in sorted((ROOT / "manifests/crds").glob("*.yaml")):
            for definition in yaml.safe_load_all(path.read_text()):
                if definition["kind"] == "CustomResourceDefinition":
                    self.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        wait_for("Buckets to be served", lambda: self.cluster.call("GET", BUCKETS)[0] == 200)
        self.make("/api/v1/namespaces/default/secrets",
                  {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": self.keys("not this one")})
        self.make(BUCKETS, {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "Bucket", "metadata": {"name": "deploy"},
                            "spec": {"interval": "1s", "bucketName": "deploy", "endpoint": self.storage.endpoint, "region": REGION,
                                     "insecure": True, "ignore": "*.md", "secretRef": {"name": "s3"}}})
        self.make("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/default/kustomizations",
                  {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "apps"},
                   "spec": {"interval": "10m", "prune": True, "path": "./apps", "sourceRef": {"kind": "Bucket", "name": "deploy"}}})

    def all(self):
        self.begin()
        wait_for("the wrong key to be refused", lambda: (self.ready() or ("",))[0] == "False")
        if self.storage.secret in self.ready()[2] or "SignatureDoesNotMatch" not in self.ready()[2]:
            raise Failure(f"what is said of a wrong key: {self.ready()}")
        status, answer = self.cluster.call("PATCH", "/api/v1/namespaces/default/secrets/s3", {"stringData": self.keys(self.storage.secret)})
        if status != 200:
            raise Failure(f"the right key: {status}: {answer.get('message')}")
        self.holds("a", "1")
        self.holds("b", "1")
        self.storage.put("apps/b.yaml", config("b", 2))
        self.holds("b", "2")
        self.storage.put_many("apps/more", 1100)  # a listing has pages of 1000
        self.storage.put("apps/z.yaml", config("z", 1))
        self.holds("z", "1")
        self.storage.remove(ODD)
        self.holds("a", None)
        self.world.kledd.kill()
        self.storage.put("apps/b.yaml", config("b", 3))
        self.world.start_kledd()
        self.holds("b", "3")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = pathlib.Path(os.environ.get("KLED_LAB", pathlib.Path.home() / ".cache/kled/lab"))
    with tempfile.TemporaryDirectory(prefix="kled-bucket-", ignore_cleanup_errors=True) as folder:
        world = BucketWorld(folder, arguments.bin)
        storage = Storage(pathlib.Path(folder), lab / "bin/versitygw")

        def stop():
            world.stop()
            storage.server.stop()

        status = judge(Walk(world, storage).all, world.logs, stop)
    if status == 0:
        print("a Bucket of a real S3 server was deployed, changed, pruned and found again after a crash")
    return status


if __name__ == "__main__":
    sys.exit(main())
