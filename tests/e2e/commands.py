#!/usr/bin/env python3
"""The commands of the edge as a user types them: what they print, what they say when something is wrong, and
how they end.

    commands.py --bin build/release/bin
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.judge import judge  # noqa: E402
from support.processes import Child, Failure, wait_for  # noqa: E402
from support.world import ROOT, World  # noqa: E402

WRONG, ABSENT, CONFLICT, DENIED, NO_ANSWER = 2, 3, 4, 5, 7  # docs/reference/exit-status.md


class Commands:
    def __init__(self, world):
        self.world = world
        self.checked = 0

    def run(self, *argv, status=0, says=(), not_says=(), program="kled", state=None, **more):
        """Runs it and checks how it ended and what it said; its standard output."""
        flags = ["--state", state or self.world.state] if program == "kled" else []
        line = [self.world.bin / program, *flags, *argv]
        result = subprocess.run([str(a) for a in line], env=self.world.environment(), capture_output=True, text=True,
                                timeout=30, stdin=subprocess.DEVNULL, **more)
        said = result.stdout + result.stderr
        shown = f"{program} {' '.join(map(str, argv))}"
        if result.returncode != status:
            raise Failure(f"{shown}: exit status {result.returncode}, not {status}: {said}")
        for text in [says] if isinstance(says, str) else says:
            if text not in said:
                raise Failure(f"{shown}: does not say {text!r}: {said}")
        for text in not_says:
            if text in said:
                raise Failure(f"{shown}: says {text!r}: {said}")
        if "\x1b" in said:
            raise Failure(f"{shown}: colours where nobody sees them")
        if "a bug in kled" in said:
            raise Failure(f"{shown}: {said}")
        if status != 0 and not result.stderr.strip():
            raise Failure(f"{shown}: says nothing on standard error")
        self.checked += 1
        return result.stdout

    # ---- without a kledd

    def before(self):
        nothing = self.world.folder / "nothing"
        for verb in ("get", "describe x", "token create"):
            self.run("edge", *verb.split(), state=nothing, status=NO_ANSWER, says="is a kledd with the role edge running here?")
        for verb in ("", "get", "describe", "token", "token create", "broker", "broker run"):
            self.run("edge", *verb.split(), "--help", says="Usage:" if verb else "SUBCOMMAND")
        for verb in ("get", "describe", "remove", "token create", "broker run"):
            self.run("edge", *verb.split(), "--help", says="Example")
        self.run("edge", "join", "--help", says=["Usage: kled-agent join", "--token-file"])
        self.run("edge", status=WRONG)
        line = [self.world.bin / "kled", "edge", "nonsense"]
        said = subprocess.run(line, capture_output=True, text=True, timeout=30)
        if said.returncode != WRONG or "nonsense: no such command; kled edge --help lists them" not in said.stderr:
            raise Failure(f"kled edge nonsense: {said}")
        self.run("edge", "get", "--nonsense", status=WRONG, says="--nonsense")
        self.run("edge", "get", "-o", "pdf", status=WRONG, says="pdf")
        self.run("edge", "describe", status=WRONG, says="name")
        self.run(program="kled-agent", status=WRONG)
        version = self.run("version").splitlines()[0]
        for program in ("kled", "kledd", "kled-agent"):
            if self.run("--version", program=program) != version.replace("kled", program, 1) + "\n":
                raise Failure(f"{program} --version is not what kled version says: {version}")
        self.run("run", "--state", nothing, program="kled-agent", status=ABSENT, says=["has not joined a fleet", "kled edge token create"])
        self.run("status", "--state", nothing, program="kled-agent", status=ABSENT, says="has not joined a fleet")

    # ---- who asks for what cannot be

    def mistakes(self):
        folder = self.world.folder
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        self.run("--roles", "api", "--api", "embedded", "--state", folder / "second", "--api-port", port, program="kledd",
                 status=CONFLICT, says=f"{port}: Address already in use")
        taken.close()
        deep = folder / ("x" * 100)
        self.run("--roles", "api", "--api", "embedded", "--state", deep, program="kledd", status=WRONG, says=["at most 107", "--state"])
        if deep.exists():
            raise Failure("a state directory that cannot be used was made")
        self.run("edge", "get", state=deep, status=WRONG, says="at most 107")
        config = folder / "kledd.yaml"
        config.write_text("roles: [api]\ngitops:\n  path: .\n  pathh: .\n")
        self.run("--config", config, program="kledd", status=WRONG, says=f"{config}:4: there is no flag --gitops-pathh", not_says=["INI"])
        secret = folder / "secret"
        secret.write_text("open sesame\n")
        secret.chmod(0o644)
        self.run("--roles", "api,gitops", "--api", "embedded", "--state", folder / "second", "--api-port", "0", "--gitops-repo", folder,
                 "--gitops-webhook-listen", "127.0.0.1:0", "--gitops-webhook-secret-file", secret, program="kledd", status=DENIED,
                 says=str(secret))
        (folder / "top").mkdir()
        (folder / "top/kustomization.yaml").write_text("resources: []\n")
        self.run("build", folder / "top/kustomization.yaml", status=ABSENT, says=["a file; name the directory", str(folder / "top")])
        (folder / "top/kustomization.yaml").write_text("resources: [absent.yaml]\n")
        (folder / "other").mkdir()
        (folder / "other/kustomization.yaml").write_text("resources: [missing.yaml]\n")
        self.run("build", folder / "top", folder / "other", status=WRONG, says=["absent.yaml", "missing.yaml"])
        for verb in ("build", "diff"):
            self.run(verb, "../other", cwd=folder / "top", status=WRONG, says="error: ../other/kustomization.yaml:1: ")
        self.run("build", folder / "top", folder / "other", "--watch", status=WRONG, says="one directory")
        for name in ("top", "other"):
            (folder / name / "kustomization.yaml").write_text(
                f"configMapGenerator:\n- name: {name}\n  options: {{disableNameSuffixHash: true}}\n")
        if self.run("build", folder / "top", folder / "other") != \
                self.run("build", folder / "top") + "---\n" + self.run("build", folder / "other"):
            raise Failure("two directories are not what each of them is")
        text = self.run("build", folder / "other")
        target, link = folder / "real.yaml", folder / "link.yaml"
        target.touch(mode=0o600)
        link.symlink_to(target)
        self.run("build", folder / "other", "--output", link)
        if not link.is_symlink() or target.stat().st_mode & 0o777 != 0o600 or target.read_text() != text:
            raise Failure("--output of a link to a private file did not write to that")
        if self.run("build", folder / "other", "--output", "/dev/stdout") != text:
            raise Failure("--output /dev/stdout did not print")
        names = [item["metadata"]["name"] for item in json.loads(self.run("build", folder / "other", folder / "top", "-o", "json"))["items"]]
        if names != ["other", "top"]:
            raise Failure(f"two directories in the order they were named: {names}")
        agent = folder / "agent"
        agent.mkdir()
        (agent / "agent.json").write_text("{}")
        self.run("edge", "broker", "run", "--print-config", state=agent, status=CONFLICT, says=["kled-agent", "--state"])
        if (agent / "edge/pki").exists():
            raise Failure("certificate authorities were made in an agent's state")
        self.run("edge", "broker", "run", "--print-config", state=folder / "fresh", says=["made new ones", str(folder / "fresh/edge/pki")])
        self.run("edge", "broker", "run", "--print-config", state=folder / "fresh", not_says=["made new ones"])

    # ---- tokens and joining

    def tokens(self):
        self.run("edge", "get", says="no devices yet")
        if json.loads(self.run("edge", "get", "-o", "json"))["items"]:
            raise Failure("a list of no devices has some")
        self.run("edge", "token", "create", "--device", "Not_A_Name", status=WRONG, says="Not_A_Name")
        self.run("edge", "token", "create", "--device", "hub", status=WRONG, says="hub")
        self.run("edge", "token", "create", "--label", "novalue", status=WRONG, says="key=value")
        self.run("edge", "token", "create", "--label", "a b=c", status=WRONG, says="a b")
        self.run("edge", "token", "create", "--label", "a=" + "x" * 64, status=WRONG, says="63")
        self.run("edge", "token", "create", "--ttl", "soon", status=WRONG, says="soon")
        self.run("edge", "token", "create", "--ttl", "0", status=WRONG, says="--ttl 0")
        token = self.run("edge", "token", "create", "--device", "press-4", "--label", "site=hall-2").strip()
        if len(token.split()) != 1:
            raise Failure(f"a token is one word, not: {token}")
        return token

    def join(self, token):
        world = self.world
        file = world.folder / "token"
        file.write_text(token + "\n")
        file.chmod(0o600)
        press, other = world.folder / "press", world.folder / "other"
        self.run("join", "--state", press, program="kled-agent", status=WRONG, says="--token-file")
        self.run("join", "--state", press, "nonsense", program="kled-agent", status=WRONG, says="token")
        self.run("join", "--state", press, "--token-file", world.folder / "absent", program="kled-agent", status=ABSENT, says="absent")
        self.run("join", "--state", press, "--name", "press-5", "--token-file", file, program="kled-agent", status=DENIED,
                 says="is for device press-4")
        if press.exists():
            raise Failure(f"a join that was refused left {sorted(press.iterdir())}")
        # As a user of kled does it: all that follows `join` is kled-agent's.
        self.run("edge", "join", "--state", press, "--token-file", file, says="joined fleet default as press-4")
        self.run("join", "--state", press, "--token-file", file, program="kled-agent", status=CONFLICT, says=["has joined", "--again"])
        self.run("join", "--state", press, "--token-file", file, "--if-needed", program="kled-agent")
        self.run("join", "--state", press, "--token-file", file, "--again", program="kled-agent", says="press-4")
        self.run("join", "--state", other, "--token-file", file, program="kled-agent", status=DENIED, says="was used before")
        self.run("join", "--state", other, "--token-file", file, "--server", "http://127.0.0.1:1", program="kled-agent", status=WRONG,
                 says="https://")
        self.run("join", "--state", other, "--token-file", file, "--server", "https://127.0.0.1:1", program="kled-agent",
                 status=NO_ANSWER, says="127.0.0.1:1")
        if other.exists():
            raise Failure(f"a join that was refused left {sorted(other.iterdir())}")
        if any(p.stat().st_mode & 0o077 for p in press.glob("*.key")):
            raise Failure("keys that others can read")
        self.run("status", "--state", press, program="kled-agent", says=["device:   press-4", "not running"])
        return press

    # ---- looking at the fleet

    def look(self, press):
        self.run("edge", "get", says=["NAME", "press-4", "never"])
        agent = Child("kled-agent", [self.world.bin / "kled-agent", "run", "--state", press], self.world.folder / "agent.log",
                      env=self.world.environment()).start()
        try:
            wait_for("the device is online", lambda: "yes" in self.run("edge", "get", "press-4"))
            lines = self.run("edge", "get").splitlines()
            if len(lines) != 2 or lines[0].split() != ["NAME", "ONLINE", "PHASE", "GENERATION", "SEEN", "WORKLOADS"]:
                raise Failure(f"the table of devices: {lines}")
            self.run("edge", "get", "-o", "wide", says=["LABELS", "site=hall-2", "x86_64" if os.uname().machine == "x86_64" else ""])
            if self.run("edge", "get", "-o", "name") != "edgenode.edge.kled.io/press-4\n":
                raise Failure("-o name")
            one = json.loads(self.run("edge", "get", "press-4", "-o", "json"))
            if one["kind"] != "EdgeNode" or one["metadata"]["labels"] != {"site": "hall-2"} or not one["status"]["online"]:
                raise Failure(f"-o json: {one}")
            self.run("edge", "get", "press-4", "-o", "yaml", says=["kind: EdgeNode\n", "  name: press-4\n"])
            self.run("edge", "get", "-o", "yaml", says="kind: List\n")
            self.run("edge", "describe", "press-4", says=["Labels:      site=hall-2", "Online:      yes", "Ready", "NothingAssigned"])
            for verb in ("get", "describe"):
                self.run("edge", verb, "nobody", status=ABSENT, says=["nobody", "kled edge get"])
            self.run("status", "--state", press, program="kled-agent", says=["running, connected", "phase:    Pending"])
            self.run("run", "--state", press, program="kled-agent", status=CONFLICT, says="another kled-agent is running here")
            self.complete()
        finally:
            agent.stop()
        wait_for("the device is offline", lambda: " no " in self.run("edge", "get", "press-4"))
        self.run("edge", "describe", "press-4", says=["Online:      no", "Offline"])
        self.stop_in_time(press)

    # ---- an agent that is told to end while it starts

    def stop_in_time(self, press):
        def agent():
            return Child("kled-agent", [self.world.bin / "kled-agent", "run", "--state", press, "--stop-workloads"],
                         self.world.folder / "agent.log", env=self.world.environment())

        def has_begun(child):
            return str(press / "agent.db") in [os.path.realpath(f) for f in pathlib.Path(f"/proc/{child.pid}/fd").iterdir()]
        # Its database is held, so that it cannot get on with its start.
        with contextlib.closing(sqlite3.connect(press / "agent.db", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            child = agent().start()
            wait_for("the agent opens its database", lambda: has_begun(child))
            child.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
            holder.execute("ROLLBACK")
        self.ended_well(child)
        for pause in [n / 100 for n in range(12)]:
            child = agent().start()
            wait_for("the agent opens its database", lambda c=child: has_begun(c) or not c.alive())
            time.sleep(pause)
            child.process.send_signal(signal.SIGTERM)
            self.ended_well(child)

    def ended_well(self, child):
        try:
            status = child.process.wait(10)
        except subprocess.TimeoutExpired as late:
            child.process.kill()
            raise Failure(f"kled-agent does not end after SIGTERM:\n{child.tail()}") from late
        if status != 0:
            raise Failure(f"kled-agent ends with status {status} after SIGTERM:\n{child.tail()}")
        self.checked += 1

    # ---- a device that goes

    def remove(self, press):
        world = self.world
        self.run("edge", "remove", status=WRONG, says="name")
        self.run("edge", "remove", "nobody", status=ABSENT, says=["nobody", "kled edge get"])
        wait_for("the device is offline", lambda: " no " in self.run("edge", "get", "press-4"))
        self.run("edge", "remove", "press-4", status=CONFLICT, says=["offline", "--force"])
        agent = Child("kled-agent", [world.bin / "kled-agent", "run", "--state", press], world.folder / "agent.log",
                      env=world.environment()).start()
        try:
            wait_for("the device is online", lambda: "yes" in self.run("edge", "get", "press-4"))
            if self.run("edge", "remove", "press-4", not_says=["warning"]) != "removed press-4\n":
                raise Failure("kled edge remove")
            self.run("edge", "get", says="no devices yet")
            self.run("edge", "remove", "press-4", status=ABSENT)
            wait_for("the connection has ended, and why is said",
                     lambda: "error:    broker" in self.run("status", "--state", press, program="kled-agent", says="offline"))
        finally:
            agent.stop()
        file = world.folder / "token"
        self.run("join", "--state", press, "--token-file", file, "--again", program="kled-agent", status=DENIED, says="not known here")
        file.write_text(self.run("edge", "token", "create", "--device", "press-4"))
        self.run("join", "--state", press, "--token-file", file, "--again", program="kled-agent", says="press-4")
        agent.start()
        try:
            wait_for("it is a device again", lambda: "yes" in self.run("edge", "get", "press-4"))
        finally:
            agent.stop()

    # ---- the broker

    def broker(self):
        file = self.run("edge", "broker", "run", "--print-config", "--port", str(self.world.broker_port)).strip()
        text = pathlib.Path(file).read_text()
        for line in ("require_certificate true", "allow_anonymous false", f"listener {self.world.broker_port} 127.0.0.1"):
            if line not in text.splitlines():
                raise Failure(f"{file} has no line {line!r}")
        self.run("edge", "broker", "run", "--user", "nobody-has-this-name", "--print-config", status=ABSENT, says="nobody-has-this-name")

    # ---- completions

    def complete(self):
        script = self.world.folder / "completion.bash"
        script.write_text(self.run("completion", "bash"))
        cases = {"ed": "edge", "edge ": "token", "edge token ": "create", "edge token create --l": "--label",
                 "edge get --out": "--output", "edge describe pr": "press-4", "edge broker run --print": "--print-config",
                 "edge get -o ": "wide", "edge remove ": "press-4", "build --reorder ": "legacy", "build -o ": "name"}
        # Where the value of a flag belongs, no flag is offered.
        never = {"edge get -o ": "--output", "build --reorder ": "--offline", "edge token create --ttl ": "--device",
                 "gitops logs -o ": "wide"}
        for typed, wanted in [*cases.items(), *[(t, None) for t in never if t not in cases]]:
            words = ["kled", *typed.split(), *([""] if typed.endswith(" ") else [])]
            program = (f'source "{script}"; COMP_WORDS=({" ".join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _kled; '
                       'printf "%s\\n" "${COMPREPLY[@]}"')
            result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=30,
                                    env={**self.world.environment(), "KLED_STATE": str(self.world.state)})
            offered = result.stdout.split()
            if wanted and wanted not in offered:
                raise Failure(f"bash completes {typed!r} to {offered}, without {wanted}: {result.stderr}")
            if never.get(typed) in offered:
                raise Failure(f"bash completes {typed!r} to {offered}, with {never[typed]}")
            self.checked += 1
        for shell in ("zsh", "fish"):
            file = self.world.folder / f"completion.{shell}"
            file.write_text(self.run("completion", shell, says="kled __complete"))
            if shutil.which(shell):
                subprocess.run([shell, "-n", str(file)], check=True, timeout=30)
        if shutil.which("fish"):
            for typed, wanted in {"edge ": "token", "edge get -o ": "wide", "edge describe pr": "press-4", "build ma": "manifests/"}.items():
                result = subprocess.run(["fish", "-N", "-c", f"source {file}; complete -C 'kled {typed}'"],
                                        capture_output=True, text=True, timeout=30, cwd=ROOT,
                                        env={**self.world.environment(), "KLED_STATE": str(self.world.state)})
                if wanted not in result.stdout.split():
                    raise Failure(f"fish completes {typed!r} to {result.stdout.split()}, without {wanted}: {result.stderr}")
                self.checked += 1

    # ---- what ships

    def shipped(self):
        analyse = shutil.which("systemd-analyze")
        for unit in sorted((ROOT / "manifests/edge").glob("*.service")):
            text = unit.read_text()
            for word in ("/usr/bin/kled-agent run", "/usr/bin/kled --state"):
                if word in text:
                    break
            else:
                raise Failure(f"{unit}: starts nothing of ours")
            if analyse:
                copy = self.world.folder / unit.name
                copy.write_text(text.replace("/usr/bin/kled", f"{self.world.bin}/kled"))
                result = subprocess.run([analyse, "verify", str(copy)], capture_output=True, text=True, timeout=60)
                wrong = [line for line in result.stderr.splitlines() if unit.name in line]
                if wrong:
                    raise Failure(f"{unit}: {wrong}")
        folder = self.world.folder / "shipped"
        shutil.copytree(ROOT / "manifests/edge", folder)
        (folder / "kustomization.yaml").write_text("resources: [broker.yaml]\n")
        self.run("build", folder, says=["kind: Deployment", "name: kled-broker", "port: 8883"])

    def all(self):
        self.before()
        world = self.world
        world.kledd.start()
        wait_for("kledd's socket", lambda: world.kledd.check() or (world.state / "kledd.sock").exists())
        self.broker()
        world.broker.start()
        press = self.join(self.tokens())
        self.look(press)
        self.remove(press)
        self.mistakes()
        self.shipped()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="kled-commands-", ignore_cleanup_errors=True) as folder:
        world = World(folder, arguments.bin, ["--edge-offline-after", "1s"])
        commands = Commands(world)
        status = judge(commands.all, world.logs, world.stop)
    if status == 0:
        print(f"{commands.checked} commands said and ended as they should")
    return status


if __name__ == "__main__":
    sys.exit(main())
