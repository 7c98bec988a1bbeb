"""Children that never outlive us, free ports, and waiting with a deadline."""
import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """What a person has to read: one line, no traceback."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, check, seconds=30.0, every=0.02):
    """The first true answer of `check`; a Failure that names `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            answer = check()
            if answer:
                return answer
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, Failure) as error:
            last = error
        time.sleep(every)
    raise Failure(f"timed out after {seconds:.0f} s: {what}" + (f" ({last})" if last else ""))


class Child:
    """A program in the background with its log in a file; killed with its group when we go."""

    def __init__(self, name, argv, log, env=None, before_exec=None):
        self.name, self.argv, self.log = name, [str(a) for a in argv], pathlib.Path(log)
        self.env, self.before_exec = env, before_exec
        self.process = None

    def start(self):
        def prepare():
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if self.before_exec:
                self.before_exec()

        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env, start_new_session=True, preexec_fn=prepare)
        return self

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def check(self):
        if not self.alive():
            raise Failure(f"{self.name} ended with status {self.process.returncode}:\n{self.tail()}")

    def tail(self, lines=15):
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self):
        """SIGKILL to this program alone, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=15):
        if not self.alive():
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def marked(variable, value):
    """The processes that have `variable=value` in their environment: {pid: environment}."""
    wanted = f"{variable}={value}".encode()
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            settings = (entry / "environ").read_bytes().split(b"\0")
            if wanted in settings:
                found[int(entry.name)] = dict(s.decode(errors="replace").split("=", 1) for s in settings if b"=" in s)
    return found


def memory_kib(pid):
    """PSS, private dirty and RSS of a process, in KiB."""
    figures = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        figures[name.rstrip(":")] = int(value)
    return {"pss": figures["Pss"], "private_dirty": figures["Private_Dirty"], "rss": figures["Rss"]}
