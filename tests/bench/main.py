#!/usr/bin/env python3
"""The main flow in figures: push → applied, push → on a device, memory, start, sizes.

    tests/bench/main.py --bin build/release/bin [--pushes 30] [--json FILE]

`applied` is when the changed ConfigMap arrives on a watch of the embedded API; `on device` when the device's page
shows the change. Memory is the median of samples of /proc/PID/smaps_rollup while nothing is pushed.
"""
import argparse
import base64
import http.client
import json
import os
import pathlib
import queue
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.processes import memory_kib, wait_for  # noqa: E402
from support.world import World  # noqa: E402


class Watch(threading.Thread):
    """Puts (time, text) of each event of a watch on the embedded API into a queue."""

    def __init__(self, world, path):
        super().__init__(daemon=True)
        self.events = queue.Queue()
        config = yaml.safe_load((world.state / "api/admin.kubeconfig").read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)
        host = cluster["server"].removeprefix("https://")
        self._connection = http.client.HTTPSConnection(host, context=context)
        self._connection.request("GET", path + "?watch=true&timeoutSeconds=3600")
        self._answer = self._connection.getresponse()

    def run(self):
        while line := self._answer.readline():
            self.events.put((time.monotonic(), line.decode()))

    def seen(self, text, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            when, line = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            if text in line:
                return when


def backend():
    """Asked directly: the proxy in front of it limits the rate."""
    with urllib.request.urlopen("http://127.0.0.1:18081/", timeout=2) as answer:
        return answer.read().decode()


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def start_times(program, runs=30):
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run([program, "version"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return times


def idle_memory(pid, samples):
    taken = []
    for _ in range(samples):
        taken.append(memory_kib(pid))
        time.sleep(1)
    return {key: int(statistics.median(s[key] for s in taken)) for key in taken[0]}


def measure(bin_dir, pushes, samples):
    figures = {}
    with tempfile.TemporaryDirectory(prefix="kled-bench-", ignore_cleanup_errors=True) as folder:
        world = World(folder, bin_dir)
        try:
            world.seed()
            world.start()
            world.repository.push_commit("first")
            device = world.add_device("bench", {"environment": "staging"}, 18080)
            wait_for("the first revision on the device", device.page, 60)
            watch = Watch(world, "/api/v1/namespaces/demo-hello/configmaps")
            watch.start()
            applied, on_device = [], []
            for number in range(pushes):
                mark = f"bench-{number}"
                for overlay in ("dev", "edge-staging"):
                    world.repository.write(f"apps/demo-hello/overlays/{overlay}/settings.env", f"GREETING=Hello\nREVISION={mark}\n")
                world.repository.commit(mark)
                begin = time.monotonic()
                world.repository.push()
                applied.append(watch.seen(mark) - begin)
                wait_for(mark, lambda: mark in backend(), 30, every=0.01)
                on_device.append(time.monotonic() - begin)
            figures["push → applied"] = {"p50 s": percentile(applied, 0.5), "p99 s": percentile(applied, 0.99)}
            figures["push → on device"] = {"p50 s": percentile(on_device, 0.5), "p99 s": percentile(on_device, 0.99)}
            time.sleep(3)
            figures["kledd, demo loaded"] = {k + " KiB": v for k, v in idle_memory(world.kledd.pid, samples).items()}
            figures["kled-agent, idle"] = {k + " KiB": v for k, v in idle_memory(device.agent.pid, samples).items()}
        finally:
            world.stop()
    times = start_times(world.bin / "kled")
    figures["kled start"] = {"p50 s": percentile(times, 0.5), "min s": min(times)}
    for program in ("kled", "kledd", "kled-agent"):
        figures[f"size of {program}"] = {"KiB": os.path.getsize(world.bin / program) // 1024}
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--pushes", type=int, default=30)
    parser.add_argument("--samples", type=int, default=10, help="of memory, a second apart")
    parser.add_argument("--json", type=pathlib.Path)
    flags = parser.parse_args()
    figures = measure(flags.bin, flags.pushes, flags.samples)
    for name, values in figures.items():
        print(f"{name:<24}" + "".join(f"{key} {value:>10.4f}   " if isinstance(value, float) else f"{key} {value:>10}   " for key, value in values.items()))
    if flags.json:
        flags.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
