#!/usr/bin/env python3
"""A stock one-node Kubernetes in a network namespace of its own, from the programs of build.sh.

    cluster.py up [--control] [--name a]     etcd, API server, controllers, scheduler; then containerd, kubelet, kube-proxy
    cluster.py down [--purge] [--name a]
    cluster.py kubectl [--name a] ARGS...

The namespace `kled-lab-<name>` has no uplink: no packet leaves it, and nothing reaches the cluster
from outside it. Whoever talks to the cluster runs inside: nsenter --net=/run/netns/kled-lab-<name>.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import images  # noqa: E402

NODE_IP, PODS, SERVICES = "10.88.0.1", "10.88.0.0/16", "10.96.0.0/16"


class Cluster:
    def __init__(self, name="a"):
        self.lab = pathlib.Path(os.environ.get("KLED_LAB", pathlib.Path.home() / ".cache/kled/lab"))
        self.bin = self.lab / "bin"
        self.ns = f"kled-lab-{name}"
        self.node = f"node-{name}"
        self.run_dir = self.lab / "run" / self.ns
        self.pki = self.run_dir / "pki"
        self.kubeconfig = self.run_dir / "admin.kubeconfig"
        self.containerd_socket = f"/run/{self.ns}-containerd.sock"

    # ---- running things

    def inside(self, *argv):
        """nsenter, not `ip netns exec`: that would give containerd a mount namespace of its own."""
        return ["nsenter", f"--net=/run/netns/{self.ns}", "--", *map(str, argv)]

    def call(self, *argv, **options):
        return subprocess.run(self.inside(*argv), check=True, capture_output=True, text=True, **options).stdout

    def kubectl(self, *argv, **options):
        return self.call(self.bin / "kubectl", "--kubeconfig", self.kubeconfig, *argv, **options)

    def ctr(self, *argv):
        return subprocess.run(["timeout", "60", "ctr", "-a", self.containerd_socket, "-n", "k8s.io", *argv],
                              capture_output=True, text=True)

    def spawn(self, name, *argv):
        with open(self.run_dir / "log" / f"{name}.log", "ab") as log:
            process = subprocess.Popen(self.inside(*argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)
        (self.run_dir / "pid" / name).write_text(str(process.pid))

    def wait(self, seconds, what, check):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.CalledProcessError, OSError):
                if check() is not False:
                    return
            time.sleep(0.1)
        raise SystemExit(f"lab: timed out waiting for {what}; logs in {self.run_dir}/log")

    # ---- parts

    def network(self):
        if not pathlib.Path(f"/run/netns/{self.ns}").exists():
            subprocess.check_call(["ip", "netns", "add", self.ns])
        with contextlib.suppress(subprocess.CalledProcessError):
            self.call("ip", "link", "add", "cni0", "type", "bridge")
            self.call("ip", "addr", "add", f"{NODE_IP}/16", "dev", "cni0")
        self.call("ip", "link", "set", "lo", "up")
        self.call("ip", "link", "set", "cni0", "up")
        self.call("ip", "route", "replace", SERVICES, "dev", "cni0")  # a route must exist before DNAT
        self.call("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def certificate(self, name, subject, names=""):
        if (self.pki / f"{name}.crt").exists():
            return
        key, request = self.pki / f"{name}.key", self.pki / f"{name}.csr"
        extensions = self.pki / f"{name}.ext"
        extensions.write_text("basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\n"
                              "extendedKeyUsage=serverAuth,clientAuth\n" + (f"subjectAltName={names}\n" if names else ""))
        openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key)
        openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.pki / "ca.crt", "-CAkey", self.pki / "ca.key",
                "-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", self.pki / f"{name}.crt")

    def credentials(self):
        self.pki.mkdir(parents=True, exist_ok=True)
        if not (self.pki / "ca.crt").exists():
            openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", self.pki / "ca.key")
            openssl("req", "-x509", "-new", "-key", self.pki / "ca.key", "-subj", "/CN=lab", "-days", "30",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.pki / "ca.crt")
            openssl("genrsa", "-out", self.pki / "sa.key", "2048")
            openssl("rsa", "-in", self.pki / "sa.key", "-pubout", "-out", self.pki / "sa.pub")
        self.certificate("apiserver", "/CN=kube-apiserver",
                         f"IP:127.0.0.1,IP:{NODE_IP},IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,"
                         "DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local")
        self.certificate("kubelet-client", "/O=system:masters/CN=kubelet-client")
        users = {"admin": "/O=system:masters/CN=admin", "kcm": "/CN=system:kube-controller-manager",
                 "scheduler": "/CN=system:kube-scheduler", "proxy": "/CN=system:kube-proxy",
                 "kubelet": f"/O=system:nodes/CN=system:node:{self.node}"}
        for user, subject in users.items():
            names = f"DNS:{self.node},IP:{NODE_IP},IP:127.0.0.1" if user == "kubelet" else ""
            self.certificate(user, subject, names)
            cluster = {"server": "https://127.0.0.1:6443", "certificate-authority": str(self.pki / "ca.crt")}
            login = {"client-certificate": str(self.pki / f"{user}.crt"), "client-key": str(self.pki / f"{user}.key")}
            self.config(f"{user}.kubeconfig", {
                "apiVersion": "v1", "kind": "Config", "current-context": "lab",
                "clusters": [{"name": "lab", "cluster": cluster}], "users": [{"name": user, "user": login}],
                "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}]})

    def config(self, name, content):
        path = self.run_dir / name
        path.write_text(json.dumps(content))  # JSON is YAML
        return path

    def control_plane(self):
        etcd = "http://127.0.0.1:2379"
        peer = "http://127.0.0.1:2380"
        self.spawn("etcd", self.bin / "etcd", "--data-dir", self.run_dir / "etcd", "--log-level", "warn",
                   "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
                   "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")
        pki = self.pki
        self.spawn("kube-apiserver", self.bin / "kube-apiserver", f"--etcd-servers={etcd}",
                   f"--advertise-address={NODE_IP}", "--bind-address=0.0.0.0", "--secure-port=6443",
                   f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
                   f"--client-ca-file={pki}/ca.crt", f"--kubelet-certificate-authority={pki}/ca.crt",
                   f"--kubelet-client-certificate={pki}/kubelet-client.crt",
                   f"--kubelet-client-key={pki}/kubelet-client.key",
                   "--kubelet-preferred-address-types=InternalIP", "--authorization-mode=Node,RBAC",
                   "--enable-admission-plugins=NodeRestriction",
                   "--service-account-issuer=https://kubernetes.default.svc",
                   f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
                   f"--service-cluster-ip-range={SERVICES}", "--allow-privileged=true")
        self.wait(120, "the API server", lambda: self.kubectl("get", "--raw", "/readyz"))
        login = [f"--{kind}kubeconfig={self.run_dir}/{{0}}.kubeconfig" for kind in ("", "authentication-", "authorization-")]
        self.spawn("kube-controller-manager", self.bin / "kube-controller-manager", *[a.format("kcm") for a in login],
                   "--bind-address=127.0.0.1", f"--client-ca-file={pki}/ca.crt", f"--root-ca-file={pki}/ca.crt",
                   f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
                   f"--service-account-private-key-file={pki}/sa.key", "--use-service-account-credentials=true",
                   "--leader-elect=false", f"--service-cluster-ip-range={SERVICES}", f"--cluster-cidr={PODS}",
                   "--allocate-node-cidrs=false")
        self.spawn("kube-scheduler", self.bin / "kube-scheduler", *[a.format("scheduler") for a in login],
                   "--bind-address=127.0.0.1", "--leader-elect=false")
        # /readyz answers seconds before the first ServiceAccount exists, and no pod starts without it.
        self.wait(120, "the default ServiceAccount",
                  lambda: self.kubectl("-n", "default", "get", "serviceaccount", "default"))

    def node_parts(self):
        run = self.run_dir
        (run / "cni").mkdir(exist_ok=True)
        self.config("cni/10-lab.conflist", {
            "cniVersion": "1.0.0", "name": self.ns, "plugins": [
                {"type": "bridge", "bridge": "cni0", "hairpinMode": True, "ipam": {
                    "type": "host-local", "dataDir": str(run / "ipam"),
                    "ranges": [[{"subnet": PODS, "rangeStart": "10.88.1.1", "rangeEnd": "10.88.250.254", "gateway": NODE_IP}]],
                    "routes": [{"dst": "0.0.0.0/0", "gw": NODE_IP}]}},
                {"type": "portmap", "capabilities": {"portMappings": True}}]})
        # restrict_oom_score_adj: in a sandbox root may lack CAP_SYS_RESOURCE, and runc fails without it.
        (run / "containerd.toml").write_text(f"""version = 2
root = "{run}/containerd"
state = "/run/{self.ns}-containerd"
[grpc]
address = "{self.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "kled.local/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{run}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
""")
        subprocess.run(["mount", "--make-rshared", "/"], capture_output=True)
        self.spawn("containerd", "containerd", "--config", run / "containerd.toml")
        self.wait(60, "containerd", lambda: self.ctr("version").returncode == 0)
        images.write_pause(run / "pause.tar")
        self.import_image(run / "pause.tar")
        (run / "resolv.conf").write_text("nameserver 10.96.0.10\n")
        (run / "podlogs").mkdir(exist_ok=True)
        # Two kubelets below one cgroup would take each other's pods for orphans.
        if not pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
            for controller in pathlib.Path("/sys/fs/cgroup").iterdir():
                if (controller / "tasks").exists():
                    (controller / self.ns).mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                top = pathlib.Path("/sys/fs/cgroup/cpuset")
                if (top / self.ns).exists():
                    (top / self.ns / setting).write_text((top / setting).read_text())
        kubelet = self.config("kubelet.json", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "address": "0.0.0.0",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                               "x509": {"clientCAFile": str(self.pki / "ca.crt")}},
            "authorization": {"mode": "Webhook"}, "tlsCertFile": str(self.pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(self.pki / "kubelet.key"),
            "containerRuntimeEndpoint": "unix://" + self.containerd_socket, "cgroupDriver": "cgroupfs",
            "failCgroupV1": False, "failSwapOn": False, "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local",
            "resolvConf": str(run / "resolv.conf"), "podLogsDir": str(run / "podlogs"), "cgroupRoot": "/" + self.ns,
            "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99})
        self.spawn("kubelet", self.bin / "kubelet", f"--config={kubelet}", f"--kubeconfig={run}/kubelet.kubeconfig",
                   f"--root-dir={run}/kubelet", f"--hostname-override={self.node}", f"--node-ip={NODE_IP}")
        ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        self.wait(120, "the node", lambda: self.kubectl("get", "node", self.node, "-o", ready) == "True")
        proxy = self.config("kube-proxy.json", {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
            "clientConnection": {"kubeconfig": str(run / "proxy.kubeconfig")}, "clusterCIDR": PODS,
            "conntrack": {"maxPerCore": 0, "min": 0}, "hostnameOverride": self.node,
            "metricsBindAddress": "127.0.0.1:10249"})
        self.spawn("kube-proxy", self.bin / "kube-proxy", f"--config={proxy}")

    def import_image(self, path):
        result = self.ctr("image", "import", str(path))
        if result.returncode != 0:
            raise SystemExit(f"lab: cannot import {path}: {result.stderr}")

    # ---- verbs

    def up(self, control_only=False):
        for folder in ("log", "pid", "pki"):
            (self.run_dir / folder).mkdir(parents=True, exist_ok=True)
        self.network()
        self.credentials()
        self.control_plane()
        if not control_only:
            self.node_parts()

    def stop(self, name, number):
        pid_file = self.run_dir / "pid" / name
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            for _ in range(80):
                if not is_running(pid):
                    break
                time.sleep(0.1)
            else:
                os.kill(pid, signal.SIGKILL)
        pid_file.unlink()

    def down(self, purge=False):
        number = signal.SIGKILL if purge else signal.SIGTERM
        for name in ("kube-proxy", "kubelet"):
            self.stop(name, number)
        networks = set()
        if (self.run_dir / "pid" / "containerd").exists():
            for container in self.ctr("container", "ls", "-q").stdout.split():
                networks |= set(re.findall(r"cni-[0-9a-f-]{36}", self.ctr("container", "info", container).stdout))
            for task in self.ctr("task", "ls", "-q").stdout.split():
                self.ctr("task", "rm", "-f", task)
        for name in ("containerd", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            self.stop(name, number)
        subprocess.run(["pkill", "-f", f"containerd-shim.* -address {self.containerd_socket}"])
        mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted(mounts, reverse=True):
            if mount.startswith((str(self.run_dir), f"/run/{self.ns}-containerd")):
                subprocess.run(["umount", "-l", mount], capture_output=True)
        for network in networks | {self.ns}:
            subprocess.run(["ip", "netns", "del", network], capture_output=True)
        for folder in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.ns}"):
            for path, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        shutil.rmtree(f"/run/{self.ns}-containerd", ignore_errors=True)
        if purge:
            shutil.rmtree(self.run_dir, ignore_errors=True)


def is_running(pid):
    try:  # the state stands behind the name in parentheses; a zombie has ended
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def openssl(*argv):
    subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("up", "down", "kubectl"))
    parser.add_argument("--name", default="a")
    parser.add_argument("--control", action="store_true", help="without a node")
    parser.add_argument("--purge", action="store_true", help="delete the state too")
    flags, rest = parser.parse_known_args()
    cluster = Cluster(flags.name)
    if flags.verb == "up":
        cluster.up(flags.control)
        print(f"up: nsenter --net=/run/netns/{cluster.ns} -- {cluster.bin}/kubectl --kubeconfig {cluster.kubeconfig} get nodes")
    elif flags.verb == "down":
        cluster.down(flags.purge)
    else:
        command = cluster.inside(cluster.bin / "kubectl", "--kubeconfig", cluster.kubeconfig, *rest)
        os.execvp(command[0], command)


if __name__ == "__main__":
    main()
