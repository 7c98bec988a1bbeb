"""Container images from files of this machine: no registry, no Docker, no download.

An image here is one layer in a docker-archive tar, which `ctr image import` takes.
"""
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile

PAUSE = r"""
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void leave(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
    signal(SIGINT, leave); signal(SIGTERM, leave); signal(SIGCHLD, reap);
    for (;;) pause();
}
"""


class Layer:
    """Files for an image; every time stamp is zero, so equal content gives an equal digest."""

    def __init__(self):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")
        self._names = set()

    def _entry(self, name, kind, mode, data=b"", link=""):
        name = name.lstrip("/")
        if name in self._names:
            return
        self._names.add(name)
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
        self._tar.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)

    def directory(self, name, mode=0o755):
        self._entry(name, tarfile.DIRTYPE, mode)

    def file(self, name, data, mode=0o644):
        self._entry(name, tarfile.REGTYPE, mode, data)

    def link(self, name, to):
        self._entry(name, tarfile.SYMTYPE, 0o777, link=to)

    def program(self, source, name):
        """A program with the shared libraries it loads, at the paths where it looks for them."""
        self.file(name, pathlib.Path(source).read_bytes(), 0o755)
        out = subprocess.run(["ldd", source], capture_output=True, text=True).stdout
        for word in out.replace("=>", " ").split():
            if word.startswith("/"):
                self.file(word, pathlib.Path(word).resolve().read_bytes(), 0o755)

    def bytes(self):
        self._tar.close()
        return self._buffer.getvalue()


def write_image(path, reference, layer, config):
    data = layer.bytes()
    digest = hashlib.sha256(data).hexdigest()
    settings = json.dumps({
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
    }).encode()
    name = hashlib.sha256(settings).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": [digest + "/layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for entry, content in ((digest + "/layer.tar", data), (name, settings),
                               ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(entry)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))


def base_layer():
    layer = Layer()
    for name in ("bin", "etc", "proc", "sys", "dev", "var", "root", "run"):
        layer.directory(name)
    layer.directory("tmp", 0o1777)
    layer.program("/bin/busybox", "bin/busybox")
    for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if applet != "busybox":
            layer.link("bin/" + applet, "busybox")
    layer.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    layer.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    return layer


def write_pause(path):
    with tempfile.TemporaryDirectory() as folder:
        source, program = f"{folder}/pause.c", f"{folder}/pause"
        pathlib.Path(source).write_text(PAUSE)
        subprocess.check_call(["gcc", "-Os", "-static", "-s", "-o", program, source])
        layer = Layer()
        layer.file("pause", pathlib.Path(program).read_bytes(), 0o755)
    write_image(path, "kled.local/pause:1", layer, {"Entrypoint": ["/pause"], "User": "65535:65535"})


def write_demo(folder, bin_dir):
    """The demo's three images, under the names of its manifests; the paths of their archives."""
    programs = {"demo-backend": f"{bin_dir}/demo-backend", "demo-frontend": f"{bin_dir}/demo-frontend",
                "demo-nginx": "/usr/sbin/nginx"}
    for image, program in programs.items():
        layer = base_layer()
        layer.program(program, "usr/bin/" + pathlib.Path(program).name)
        for name in ("var/log/nginx", "var/lib/nginx"):
            layer.directory(name, 0o1777)
        path = f"{folder}/{image}.tar"
        write_image(path, f"kled.local/{image}:1", layer, {"Env": ["PATH=/usr/bin:/bin"]})
        yield path
