#!/usr/bin/env python3
"""A kubectl session against the embedded API, compared with what a stock kube-apiserver answers.

    kubectl_session.py --bin build/release/bin          run kledd and compare with kubectl/session.txt
    kubectl_session.py --record KUBECONFIG              write kubectl/session.txt anew from another API

The transcript was recorded from kube-apiserver 1.34.4 without controllers and without the admission
plugin ServiceAccount, by kubectl 1.34.4. A line `$ ARGS` is one call of kubectl in the folder of the
manifests, `$ NAME& ARGS` one that runs beside the next ones, and `$ NAME.` shows what that one has
printed by its end. What differs from run to run (ages, uids, versions, times) is made equal first.

kubectl: $KLED_KUBECTL, then $KLED_LAB/bin (default ~/.cache/kled/lab), then PATH. Exit status 77:
there is none, nothing was checked.
"""
import argparse
import difflib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent / "support"))
from processes import Child, Failure, wait_for  # noqa: E402

FOLDER = ROOT / "kubectl"
TRANSCRIPT = FOLDER / "session.txt"
SKIPPED = 77

EQUAL = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "TIME"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"(resourceVersion\"?: )\"?\d+\"?", r"\1VERSION"),
    (r"(?<=\s)\d+m?s$", "AGE"),
    (r"(?<=\s)\d+m?s(?=\s)", "AGE"),
    (r"/tmp/(LIVE|MERGED)-\d+/", r"\1/"),
    (r"https://[^/\s]+", "https://SERVER"),
    (r"(?<=\S)  +", " "),  # columns are as wide as what was just made equal
    (r" $", ""),
]


def equalised(text):
    for pattern, replacement in EQUAL:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def find_kubectl():
    lab = pathlib.Path(os.environ.get("KLED_LAB", pathlib.Path.home() / ".cache/kled/lab"))
    candidates = [os.environ.get("KLED_KUBECTL"), str(lab / "bin/kubectl"), shutil.which("kubectl")]
    return next((c for c in candidates if c and os.access(c, os.X_OK)), None)


class Session:
    def __init__(self, kubectl, kubeconfig, home):
        self.kubectl = kubectl
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}
        self.beside = {}

    def call(self, arguments):
        done = subprocess.run([self.kubectl, *shlex.split(arguments)], cwd=FOLDER, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.stdout, done.returncode

    def step(self, command):
        """What the transcript says below `$ command`."""
        if match := re.fullmatch(r"(\w+)& (.*)", command):
            name, arguments = match.groups()
            self.beside[name] = subprocess.Popen([self.kubectl, *shlex.split(arguments)], cwd=FOLDER, env=self.env,
                                                 text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            time.sleep(1.0)  # until its watch is open: nothing tells
            return ""
        if match := re.fullmatch(r"(\w+)\.", command):
            process = self.beside.pop(match.group(1))
            try:
                text, _ = process.communicate(timeout=3)
            except subprocess.TimeoutExpired:
                process.terminate()
                text, _ = process.communicate(timeout=10)
            return equalised(text)
        text, status = self.call(command)
        text = equalised(text)
        if text and not text.endswith("\n"):
            text += "\n"
        return text + (f"[exit {status}]\n" if status else "")

    def close(self):
        for process in self.beside.values():
            process.kill()


def read_transcript():
    """Comments at the top, then (command, expected)."""
    head, steps = "", []
    for line in TRANSCRIPT.read_text().splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append([line[2:].rstrip("\n"), ""])
        elif steps:
            steps[-1][1] += line
        else:
            head += line
    return head, steps


def replay(session, steps):
    failed = 0
    for command, expected in steps:
        actual = session.step(command)
        if actual == expected:
            continue
        failed += 1
        print(f"FAILED $ kubectl {command}")
        print("".join(difflib.unified_diff(expected.splitlines(True), actual.splitlines(True), "stock", "kled")))
    print(f"{len(steps) - failed} of {len(steps)} steps as a stock server answers them")
    return failed


def record(session, head, steps):
    text = head
    for command, _ in steps:
        text += f"$ {command}\n" + session.step(command)
    TRANSCRIPT.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, help="folder of kledd")
    parser.add_argument("--record", type=pathlib.Path, metavar="KUBECONFIG")
    options = parser.parse_args()
    kubectl = find_kubectl()
    if not kubectl:
        print("SKIPPED the kubectl session: no kubectl in $KLED_KUBECTL, PATH or the lab (./dev lab up builds one)")
        return SKIPPED
    head, steps = read_transcript()
    with tempfile.TemporaryDirectory(prefix="kled-kubectl-") as directory:
        home = pathlib.Path(directory)
        if options.record:
            record(Session(kubectl, options.record.resolve(), home), head, steps)
            return 0
        if not options.bin:
            parser.error("--bin or --record is needed")
        state = home / "state"
        kledd = Child("kledd", [options.bin / "kledd", "--roles", "api", "--api", "embedded", "--api-port", "0",
                                "--state", state], home / "kledd.log").start()
        kubeconfig = state / "api/admin.kubeconfig"
        session = Session(kubectl, kubeconfig, home)
        try:
            def ready():
                kledd.check()
                return kubeconfig.exists() and session.call("get --raw /readyz")[1] == 0
            wait_for("kledd to be ready", ready)
            failed = replay(session, steps)
            kledd.check()
            if failed:
                print(kledd.tail())
            return 1 if failed else 0
        finally:
            session.close()
            kledd.stop()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
