#!/usr/bin/env python3
"""Files that the real `sops` has encrypted are applied, and their plain text is nowhere on disk but in the API's store.

    sops.py [--bin DIR]

Needs `age` and the sops of `tests/lab/kubernetes/build.sh sops`. Everything that kledd, an agent and a broker
write (caches, archives, databases, logs at level debug, core dumps), command lines and Events are searched for each
secret: as it is, as base64 at each of its three positions, as hex; Git objects and archives unpacked.
"""
import argparse
import base64
import contextlib
import gzip
import os
import pathlib
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.processes import Failure, wait_for  # noqa: E402
from support.world import ROOT, World  # noqa: E402

import yaml  # noqa: E402
from api_crash import Api  # noqa: E402
from gitops_crash import Cluster  # noqa: E402

KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
EDGE = "/apis/edge.kled.io/v1/namespaces/flux-system/edgedeployments"
SOURCES = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories"

# Mistakes in a file that nobody can read, so that no review finds them: {folder: (what is said, {file: its text})}.
# `P` is plain text that must not be said, though whoever parses it or the API server would like to quote it.
MISTAKES = {
    "not-a-number": ("Deployment.apps shop/web", {"web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"
                     "spec: {replicas: P, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}}}\n"}),
    "not-a-label": ("ConfigMap shop/labelled", {"map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: labelled, namespace: shop, labels: {a: 'P!'}}\n"}),
    "not-yaml": ("wrong/not-yaml/broken.txt", {"broken.txt": "a: [P\n  b: }P\n"}),
    "not-an-object": ("wrong/not-an-object/list.yaml", {"list.yaml": "kind: Thing\nvalue: P\n"}),
    "not-a-patch": ("patches[0]", {"patch.txt": "- op: P\n  path: P\n"}),
}


class Sops:
    """The two programs, with a key."""

    def __init__(self, program, folder, name):
        self.program, self.key = program, folder / f"{name}.agekey"
        subprocess.run(["age-keygen", "-o", self.key], check=True, capture_output=True)
        self.recipient = subprocess.run(["age-keygen", "-y", self.key], check=True, capture_output=True, text=True).stdout.strip()

    def encrypt(self, text, kind, *flags):
        return subprocess.run([self.program, "--config", "/dev/null", "encrypt", "--age", self.recipient, "--input-type", kind, "--output-type",
                               "json" if kind == "binary" else kind, *flags, "/dev/stdin"],
                              check=True, capture_output=True, text=True, input=text).stdout

    def secret(self):
        return self.key.read_text().splitlines()[-1]


class Plain:
    """Values that may be nowhere, and how they look in disguise."""

    def __init__(self):
        self.values = {}

    def new(self, name):
        self.values[name] = f"plain-{name}-{secrets.token_hex(8)}"
        return self.values[name]

    def found_in(self, data):
        """The names of those in these bytes."""
        return sorted(name for name, value in self.values.items() if any(form in data for form in self.forms(value.encode())))

    @staticmethod
    def forms(value):
        yield value
        yield value.hex().encode()
        for shift in range(3):  # without the characters that the neighbours have a part in
            whole = base64.b64encode(b"\0" * shift + value)
            yield whole[(0, 2, 3)[shift]:-4]


def contents(path):
    """What a file says, and what it says unpacked."""
    data = path.read_bytes()
    yield data
    with contextlib.suppress(OSError, EOFError, zlib.error):
        yield gzip.decompress(data)
    with contextlib.suppress(zlib.error):
        yield zlib.decompress(data)  # a loose object of Git
    if path.suffix == ".pack":
        yield subprocess.run(["git", "-C", path.parents[2], "cat-file", "--batch-all-objects", "--batch"], check=True, capture_output=True).stdout


class Search:
    """Where plain text is. What lies in memory (tmpfs) is not on disk."""

    def __init__(self, plain, folder):
        self.plain, self.folder, self.disk = plain, folder, os.stat(folder).st_dev
        self.files = 0

    def __call__(self, *roots, apart_from=()):
        hits = {}
        for path in (p for root in roots for p in root.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_symlink() or not path.is_file() or path.stat().st_dev != self.disk:
                    continue
                if any(path.is_relative_to(other) for other in apart_from):
                    continue
                self.files += 1
                for data in contents(path):
                    for name in self.plain.found_in(data):
                        hits.setdefault(str(path.relative_to(self.folder)), set()).add(name)
        return hits


class CommandLines(threading.Thread):
    """Looks at the command lines of all processes, all the time."""

    def __init__(self, plain):
        super().__init__(daemon=True)
        self.plain, self.hits, self.seen, self.over = plain, set(), set(), threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    line = path.read_bytes()
                    if line not in self.seen:
                        self.seen.add(line)
                        self.hits.update((line.split(b"\0")[0].decode(errors="replace"), n) for n in self.plain.found_in(line))

    def stop(self):
        self.over.set()
        self.join()


class SopsWorld(World):
    """In cluster mode, and as a user runs it: without --allow-core-dumps."""

    def __init__(self, folder, bin_dir):
        super().__init__(folder, bin_dir)
        self.agent_flags = []
        self.started_in = self.folder / "cores"
        self.started_in.mkdir()
        self.kledd.before_exec = self.prepare

    def prepare(self):
        os.chdir(self.started_in)
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def kledd_command(self, *flags):
        return [self.bin / "kledd", "--roles", "api,edge,gitops", "--state", self.state, "--api", "embedded", "--api-port", self.api_port,
                "--edge-enrol-listen", f"127.0.0.1:{self.enrol_port}", "--edge-broker", f"127.0.0.1:{self.broker_port}",
                "--gitops-artifacts-listen", "127.0.0.1:0", "--gitops-allow-local-repositories", "-v", *flags]

    def environment(self):
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {**super().environment(), "TMPDIR": str(temporary)}

    def start_kledd(self):
        self.kledd.start()
        wait_for("kledd's socket", lambda: self.kledd.check() or (self.state / "kledd.sock").exists())

    def core(self):
        """Kills kledd as a bug would; the dump it left, if any."""
        self.kledd.process.send_signal(signal.SIGABRT)
        self.kledd.process.wait()
        dumps = list(self.started_in.iterdir())
        return dumps[0] if dumps else None


class Test:
    def __init__(self, folder, bin_dir, program):
        self.folder = pathlib.Path(folder)
        self.world = SopsWorld(folder, bin_dir)
        keys = self.folder / "keys"
        keys.mkdir()
        self.right, self.wrong = Sops(program, keys, "right"), Sops(program, keys, "wrong")
        self.plain = Plain()
        self.plain.values["the key"] = self.right.secret()
        self.plain.values["the other key"] = self.wrong.secret()
        self.search = Search(self.plain, self.folder)
        self.cluster = None

    # ---- the repository

    def write(self):
        repository, new, encrypt = self.world.repository, self.plain.new, self.right.encrypt
        login = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: login, namespace: shop}}\nstringData:\n  password: {new('secret')}\n"
        repository.write("app/secret.yaml", encrypt(login, "yaml", "--encrypted-regex", "^(data|stringData)$"))
        repository.write("app/login.env", encrypt(f"USER=admin\nPASSWORD={new('dotenv')}\n", "dotenv"))
        repository.write("app/token.txt", encrypt(f"the first line\n{new('file')}\nthe last\n", "binary"))
        repository.write("app/config.json", encrypt(f'{{"deep": [{{"token": "{new("json")}"}}]}}', "json"))
        repository.write("app/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
        repository.write("app/kustomization.yaml", """\
resources: [namespace.yaml, secret.yaml]
generatorOptions: {disableNameSuffixHash: true}
secretGenerator:
- {name: env, namespace: shop, envs: [login.env]}
- {name: files, namespace: shop, files: [token.txt, config.json]}
""")
        edge = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: edge, namespace: shop}}\nstringData: {{password: {new('edge')}}}\n"
        repository.write("edge/secret.yaml", encrypt(edge, "yaml", "--encrypted-regex", "^(data|stringData)$"))
        repository.write("edge/work.yaml", """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: work, namespace: shop}
spec:
  selector: {matchLabels: {app: work}}
  template:
    metadata:
      labels: {app: work}
      annotations: {edge.kled.io/runtime: process}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{name: login, secret: {secretName: edge}}]
      containers:
      - name: main
        command: [sh, -c, 'wc -c < "$KLED_ROOT/etc/login/password"; exec sleep 100000']
        volumeMounts: [{name: login, mountPath: /etc/login}]
""")
        repository.write("edge/kustomization.yaml", "resources: [secret.yaml, work.yaml]\n")
        for name, (_, files) in MISTAKES.items():
            for file, text in files.items():
                whole = text.replace("P", new(name))
                # What is not YAML SOPS takes for any file, under whatever name.
                readable = self.is_yaml_mapping(whole)
                repository.write(f"wrong/{name}/{file}", encrypt(whole, "yaml" if readable else "binary"))
            refers = {"not-a-patch": "resources: [../../app/namespace.yaml]\npatches: [{path: patch.txt, target: {kind: Namespace}}]\n"}
            repository.write(f"wrong/{name}/kustomization.yaml", refers.get(name, f"resources: [{', '.join(files)}]\n"))
        altered = encrypt(login.replace("name: login", "name: altered"), "yaml", "--encrypted-regex", "^(data|stringData)$")
        repository.write("wrong/altered/secret.yaml", altered.replace("name: altered", "name: changed"))
        repository.write("wrong/altered/kustomization.yaml", "resources: [secret.yaml]\n")
        repository.push_commit("encrypted")

    @staticmethod
    def is_yaml_mapping(text):
        with contextlib.suppress(yaml.YAMLError):
            return isinstance(yaml.safe_load(text), dict)
        return False

    # ---- the cluster

    def apply(self, collection, body):
        status, answer = self.cluster.call("POST", collection, body)
        if status != 201:
            raise Failure(f"{body['kind']} {body['metadata']['name']}: {status}: {answer.get('message')}")

    def make(self, kind, name, **spec):
        group = {"EdgeDeployment": "edge.kled.io", "GitRepository": "source.toolkit.fluxcd.io"}.get(kind, "kustomize.toolkit.fluxcd.io")
        collection = {"EdgeDeployment": EDGE, "GitRepository": SOURCES}.get(kind, KUSTOMIZATIONS)
        if kind != "GitRepository":
            spec = {"interval": "1h", "retryInterval": "1s", "sourceRef": {"kind": "GitRepository", "name": "fleet"}, **spec}
        self.apply(collection, {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name, "namespace": "flux-system"}, "spec": spec})

    def get(self, path):
        status, answer = self.cluster.call("GET", path)
        if status != 200:
            raise Failure(f"{path}: {status}")
        return answer

    def condition(self, collection, name, kind="Ready"):
        conditions = self.get(f"{collection}/{name}").get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {"status": "", "message": "", "reason": ""})

    def wait_ready(self, collection, name, kind="Ready"):
        def ready():
            now = self.condition(collection, name, kind)
            if now["status"] != "True":
                raise Failure(f"{now['reason']}: {now['message']}")
            return True
        wait_for(f"{name} to be {kind}", ready, 30, every=0.1)

    def value(self, secret, key):
        return base64.b64decode(self.get(f"/api/v1/namespaces/shop/secrets/{secret}")["data"][key]).decode()

    # ---- what is checked

    def set_up(self):
        self.world.start_kledd()
        self.world.broker.start()
        self.cluster = Cluster(Api(self.world.api_port, wait_for("the API", self.kubeconfig), self.folder))
        wait_for("the API to answer", lambda: self.get("/api/v1/namespaces/default"))
        for path in (ROOT / "manifests/crds").glob("*_*.yaml"):
            self.apply("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(path.read_text()))
        self.apply("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})
        for name, sops in (("right", self.right), ("wrong", self.wrong)):
            self.apply("/api/v1/namespaces/flux-system/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "flux-system"},
                                                                 "stringData": {"age.agekey": sops.key.read_text()}})
        shutil.rmtree(self.folder / "keys")  # what is found from here on kled has written
        wait_for("the kinds", lambda: [self.get(c) for c in (KUSTOMIZATIONS, EDGE, SOURCES)])
        self.make("GitRepository", "fleet", url=self.world.repository.url, interval="1h", ref={"branch": "main"})
        self.wait_ready(SOURCES, "fleet")

    def kubeconfig(self):
        path = self.world.state / "api/admin.kubeconfig"
        return path if path.exists() else None

    def expect_applied(self):
        decryption = {"provider": "sops", "secretRef": {"name": "right"}}
        self.make("Kustomization", "app", path="app", prune=True, decryption=decryption)
        self.wait_ready(KUSTOMIZATIONS, "app")
        values = self.plain.values
        for secret, key, wanted in (("login", "password", values["secret"]), ("env", "PASSWORD", values["dotenv"]), ("env", "USER", "admin"),
                                    ("files", "token.txt", f"the first line\n{values['file']}\nthe last\n")):
            if (got := self.value(secret, key)) != wanted:
                raise Failure(f"Secret {secret}: {key} is {got!r}")
        if values["json"] not in self.value("files", "config.json"):
            raise Failure("Secret files: config.json is not the plain text")
        print("  ✓ an encrypted Secret, a dotenv file, a text and a JSON file are applied", flush=True)

    def expect_delivered(self):
        device = self.world.add_device("press", {"zone": "north"})
        device.agent.stop()  # and again where its dump would be seen
        device.agent.before_exec = lambda: (device._enter_cgroup(), self.world.prepare())
        device.agent.start()
        self.make("EdgeDeployment", "work", path="edge", placement={"selector": {}}, decryption={"provider": "sops", "secretRef": {"name": "right"}})
        length = str(len(self.plain.values["edge"]))
        wait_for("the workload to read its secret", lambda: any(
            length in p.read_text(errors="replace").split() for p in (device.state / "logs").rglob("*") if p.is_file()), 60, every=0.2)
        print("  ✓ a device's workload reads an encrypted Secret", flush=True)

    def expect_refusals(self):
        """Each condition names file and reason, and no plain text."""
        cases = [("no-key", "app", None, "BuildFailed", ["is encrypted with SOPS", "spec.decryption"]),
                 ("wrong-key", "app", "wrong", "BuildFailed", ["app/", "SOPS", "key"]),
                 ("no-secret", "app", "absent", "BuildFailed", ["Secret flux-system/absent does not exist"]),
                 ("altered", "wrong/altered", "right", "BuildFailed", ["wrong/altered/secret.yaml", "SOPS"])]
        cases += [(name, f"wrong/{name}", "right", None, [says]) for name, (says, _) in MISTAKES.items()]
        for name, path, key, reason, says in cases:
            more = {"decryption": {"provider": "sops", "secretRef": {"name": key}}} if key else {}
            self.make("Kustomization", name, path=path, prune=True, **more)
        for name, _, _, reason, says in cases:
            failed = wait_for(f"{name} to fail", lambda name=name: (c := self.condition(KUSTOMIZATIONS, name))["status"] == "False" and c, 30, every=0.1)
            message = failed["message"]
            print(f"    {name}: {failed['reason']}: {message}", flush=True)
            for text in says:
                if not any(word in message for word in text.split("|")):
                    raise Failure(f"{name}: does not say {text!r}: {message}")
            if reason and failed["reason"] != reason:
                raise Failure(f"{name}: {failed['reason']}, not {reason}")
        print(f"  ✓ {len(cases)} mistakes are named, with file and reason", flush=True)

    def expect_nothing_said(self):
        """Of Events, conditions and what `kled` prints."""
        said = {"Events": str(self.get("/api/v1/events")), "Kustomizations": str(self.get(KUSTOMIZATIONS)),
                "GitRepositories": str(self.get(SOURCES)), "EdgeDeployments": str(self.get(EDGE)),
                "EdgeNodes": str(self.get("/apis/edge.kled.io/v1/edgenodes")),
                "kled gitops get": self.world.kled("gitops", "get", "-o", "json"), "kled gitops logs": self.world.kled("gitops", "logs")}
        if "is encrypted with SOPS" not in said["Events"]:
            raise Failure("there are no Events")
        hits = {where: names for where, text in said.items() if (names := self.plain.found_in(text.encode()))}
        if hits:
            raise Failure(f"plain text is said by {hits}")
        print(f"  ✓ none of it is said by {', '.join(said)}", flush=True)

    def expect_nothing_written(self, when):
        store = self.world.state / "api"
        # All that was here before kled ran: the repository has cipher text only, and is searched as well.
        hits = self.search(self.folder, apart_from=[store])
        if hits:
            raise Failure(f"{when}: plain text in {', '.join(f'{p} ({sorted(n)})' for p, n in sorted(hits.items()))}")
        there = set().union(*self.search(store).values())
        if missing := {"secret", "dotenv", "file", "json", "the key"} - there:
            raise Failure(f"the search does not find {sorted(missing)} where they are, in the API's store")
        print(f"  ✓ {when}: in none of {self.search.files} files; in the API's store, yes", flush=True)

    def expect_no_core(self):
        if (dump := self.world.core()) is not None:
            raise Failure(f"kledd left a core dump of {dump.stat().st_size} bytes")
        agent = self.world.devices[0].agent
        agent.process.send_signal(signal.SIGABRT)
        agent.process.wait()
        if cores := list(self.world.started_in.iterdir()):
            raise Failure(f"the agent left {cores}")
        print("  ✓ kledd and the agent, killed by SIGABRT, leave no core dump", flush=True)

    def expect_core_when_asked(self):
        """So that the check above can fail."""
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        if pattern.startswith(("|", "/")) or (hard != resource.RLIM_INFINITY and os.geteuid() != 0):
            print(f"  · this machine's core dumps go elsewhere ({pattern}): whether one is written with --allow-core-dumps was not looked at")
            return
        self.world.kledd.argv = [str(a) for a in self.world.kledd_command("--allow-core-dumps")]
        (self.world.state / "kledd.sock").unlink(missing_ok=True)
        self.world.start_kledd()
        wait_for("the API to answer", lambda: self.get("/api/v1/namespaces/default"), 30)
        for name in self.plain.values:
            with contextlib.suppress(KeyError, Failure):
                self.get("/api/v1/namespaces/shop/secrets")
        dump = self.world.core()
        if dump is None:
            raise Failure("with --allow-core-dumps there is none either: the check for one proves nothing")
        found = self.plain.found_in(dump.read_bytes())
        dump.unlink()
        if not found:
            raise Failure("the core dump holds none of the secrets: the check for one proves nothing")
        print(f"  ✓ with --allow-core-dumps there is one, and it holds {len(found)} of the secrets", flush=True)

    def run(self):
        watch = CommandLines(self.plain)
        watch.start()
        self.write()
        self.set_up()
        self.expect_applied()
        self.expect_delivered()
        self.expect_refusals()
        time.sleep(1.5)  # for the Events, which are sent beside the work
        self.expect_nothing_said()
        self.expect_nothing_written("while it runs")
        self.expect_no_core()
        self.expect_nothing_written("after a crash")
        self.expect_core_when_asked()
        watch.stop()
        if watch.hits:
            raise Failure(f"plain text on a command line: {sorted(watch.hits)}")
        print(f"  ✓ on none of {len(watch.seen)} command lines", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    flags = parser.parse_args()
    lab = pathlib.Path(os.environ.get("KLED_LAB", pathlib.Path.home() / ".cache/kled/lab"))
    if not (lab / "bin/sops").exists() or not shutil.which("age-keygen"):
        print("SKIPPED: no sops (tests/lab/kubernetes/build.sh sops builds it) or no age")
        return 0
    with tempfile.TemporaryDirectory(prefix="kled-sops-", ignore_cleanup_errors=True) as folder:
        test = Test(folder, flags.bin, lab / "bin/sops")
        try:
            test.run()
        except (Failure, subprocess.CalledProcessError) as failure:
            print(f"\nFAILED: {failure}\n{getattr(failure, 'stderr', '')}", file=sys.stderr)
            for name, tail in test.world.logs():
                print(f"--- {name}\n{tail}", file=sys.stderr)
            return 1
        finally:
            test.world.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
