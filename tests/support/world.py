"""The whole of kled on one machine: kledd, a broker, a Git repository with the hook, devices."""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.request

from support.processes import Child, Failure, free_port, wait_for
from support.repository import Repository
from support.uplink import Uplink

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Device:
    """A simulated device: an agent with its own state, its own uplink, and little CPU and memory."""

    def __init__(self, world, name, labels, port):
        self.world, self.name, self.labels, self.port = world, name, labels, port
        self.state = world.folder / "devices" / name
        self.state.mkdir(parents=True)
        self.uplink = Uplink(world.broker_port)
        self.cgroup = limit_group(name)
        self.agent = Child(f"kled-agent ({name})",
                           [world.bin / "kled-agent", "run", "--state", self.state, "--enable-process-runtime", "--stop-workloads", *world.agent_flags,
                            "--broker", f"127.0.0.1:{self.uplink.port}"],
                           self.state / "agent.log", env=world.device_environment(self),
                           before_exec=self._enter_cgroup)

    def _enter_cgroup(self):
        for group in self.cgroup:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def join(self):
        token = self.world.kled("edge", "token", "create", "--device", self.name,
                                *[f"--label={k}={v}" for k, v in self.labels.items()]).strip()
        token_file = self.state / "token"
        token_file.write_text(token)
        token_file.chmod(0o600)
        self.world.run([self.world.bin / "kled-agent", "join", "--state", self.state, "--name", self.name,
                        "--token-file", token_file])
        token_file.unlink()

    def page(self, timeout=2):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=timeout) as answer:
            return answer.read().decode()

    def stop(self):
        """Nothing of it is left, also where the agent was killed before it could stop its workloads."""
        self.agent.stop()
        clear_groups(agent_groups(self.name), of=self.state)
        clear_groups(self.cgroup)


def agent_groups(name, fleet="default"):
    """Where the agent puts its workloads' groups."""
    top = pathlib.Path("/sys/fs/cgroup")
    return [top / place / "kled" / f"{fleet}.{name}" for place in ("", "memory", "cpu")]


def clear_groups(groups, of=None):
    """Kills what runs in these groups and those below, and removes them; a Failure when one stays. With `of`, a folder:
    only what has its KLED_ROOT below it, and a group in which others run is left to them."""
    for top in groups:
        below = sorted((p for p in top.glob("**/") if p != top), reverse=True) if top.exists() else []
        for group in [*below, top]:
            wait_for(f"the control group {group} is empty and removed", lambda g=group: remove_group(g, of), 10)


def remove_group(group, of):
    others = False
    with contextlib.suppress(FileNotFoundError):
        others = of is not None and any(p.is_dir() for p in group.iterdir())
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if of and f"\0KLED_ROOT={of}/".encode() not in b"\0" + pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                    others = True
                    continue
                os.kill(int(pid), signal.SIGKILL)
        if not others:
            group.rmdir()
    return others or not group.exists()


def limit_group(name, cpu_share=0.5, memory_mib=256):
    """A cgroup (v2, or v1's cpu and memory) with a device's limits; nothing where we may not."""
    top = pathlib.Path("/sys/fs/cgroup")
    group = f"kled-demo-{os.getpid()}-{name}"
    made = [top / group] if (top / "cgroup.controllers").exists() else [top / "cpu" / group, top / "memory" / group]
    try:
        if (top / "cgroup.controllers").exists():
            path = top / group
            path.mkdir()
            (path / "cpu.max").write_text(f"{int(cpu_share * 100000)} 100000")
            (path / "memory.max").write_text(str(memory_mib << 20))
            return [path]
        cpu, memory = top / "cpu" / group, top / "memory" / group
        cpu.mkdir()
        (cpu / "cpu.cfs_quota_us").write_text(str(int(cpu_share * 100000)))
        memory.mkdir()
        (memory / "memory.limit_in_bytes").write_text(str(memory_mib << 20))
        return [cpu, memory]
    except OSError:
        clear_groups(made)
        return []


class World:
    def __init__(self, folder, bin_dir, kledd_flags=()):
        self.folder, self.bin = pathlib.Path(folder), pathlib.Path(bin_dir).resolve()
        self.state = self.folder / "kledd"
        self.devices = []
        self.broker_port = free_port()
        self.enrol_port = free_port()
        self.api_port = free_port()
        self.repository = Repository(self.folder)
        # Whoever is not root reads the memory's figures of such a process only; a crash leaves something to look at.
        self.agent_flags = ["--allow-core-dumps"]
        self.kledd_flags = ["--allow-core-dumps", *kledd_flags]
        self.kledd = Child("kledd", self.kledd_command(), self.folder / "kledd.log", env=self.environment())
        self.broker = Child("mosquitto", [self.bin / "kled", "--state", self.state, "edge", "broker", "run",
                                          "--port", self.broker_port], self.folder / "broker.log",
                            env=self.environment())

    # ---- what differs between the embedded API and a cluster

    def kledd_command(self):
        return [self.bin / "kledd", "--roles", "api,edge,gitops", "--state", self.state,
                "--api", "embedded", "--api-port", self.api_port,
                "--edge-enrol-listen", f"127.0.0.1:{self.enrol_port}", "--edge-broker", f"127.0.0.1:{self.broker_port}",
                "--gitops-repo", self.repository.url, "--gitops-path", "clusters/demo",
                "--gitops-allow-local-repositories", *self.kledd_flags]

    def environment(self):
        # The demo's programs are found beside kled.
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}:/usr/sbin", "NO_COLOR": "1"}

    def device_environment(self, device):
        return {**self.environment(), "DEVICE": device.name}

    # ---- commands

    def run(self, argv, timeout=60):
        result = subprocess.run([str(a) for a in argv], env=self.environment(), capture_output=True, text=True,
                                timeout=timeout)
        if result.returncode != 0:
            raise Failure(f"{' '.join(map(str, argv[:4]))} … exited with {result.returncode}: {result.stderr.strip()}")
        return result.stdout

    def kled(self, *argv, timeout=60):
        return self.run([self.bin / "kled", "--state", self.state, *argv], timeout)

    def objects(self, *argv):
        return json.loads(self.kled(*argv, "-o", "json"))["items"]

    # ---- life

    def start_kledd(self):
        self.kledd.start()
        wait_for("kledd's socket", lambda: self.kledd.check() or (self.state / "kledd.sock").exists())
        self.kled("gitops", "hook", "install", self.repository.bare)

    def start(self):
        self.start_kledd()
        self.broker.start()

    def add_device(self, name, labels, port=None):
        device = Device(self, name, labels, port or free_port())
        self.devices.append(device)
        device.join()
        device.agent.start()
        return device

    def seed(self):
        """The demo application and what deploys it, as a user's repository would hold them."""
        self.repository.copy_in(ROOT / "manifests/apps", "apps")
        names = []
        for cluster in ("dev", "edge-staging", "edge-production"):
            text = (ROOT / "manifests/clusters" / cluster / "demo-hello.yaml").read_text()
            self.repository.write(f"clusters/demo/{cluster}.yaml", text)
            names.append(f"{cluster}.yaml")
        for kind in ("edgenodes", "edgedeployments"):
            name = f"edge.kled.io_{kind}.yaml"
            self.repository.write(f"clusters/demo/{name}", (ROOT / "manifests/crds" / name).read_text())
            names.append(name)
        for name in ("namespace.yaml", "source.yaml"):
            text = (ROOT / "manifests/clusters/dev" / name).read_text()
            self.repository.write(f"clusters/demo/{name}", re.sub(r"url: .*", f"url: {self.repository.url}", text))
            names.append(name)
        self.repository.write("clusters/demo/kustomization.yaml",
                              "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
                              + "".join(f"- {name}\n" for name in names))

    def stop(self):
        try:
            for device in self.devices:
                device.stop()
        finally:
            for child in (self.kledd, self.broker):
                child.stop()

    def logs(self):
        for child in (self.kledd, self.broker, *[d.agent for d in self.devices]):
            if child.log.exists():
                yield child.name, child.tail(20)
