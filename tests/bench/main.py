#!/usr/bin/env python3
"""The main flow in figures: push → applied, push → on a device, memory, start, sizes.

    tests/bench/main.py --bin build/release/bin [--pushes 30] [--json FILE]

`applied` is when the changed ConfigMap arrives on a watch of the embedded API; `on device` when the device's page
shows the change. Memory is the median of samples of /proc/PID/smaps_rollup while nothing is pushed.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.figures import benchmark, idle_memory, percentile  # noqa: E402
from support.processes import wait_for  # noqa: E402
from support.watch import Watch  # noqa: E402
from support.world import World  # noqa: E402


def backend():
    """Asked directly: the proxy in front of it limits the rate."""
    with urllib.request.urlopen("http://127.0.0.1:18081/", timeout=2) as answer:
        return answer.read().decode()


def start_times(program, runs=30):
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run([program, "version"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return times


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
            watch = Watch(world.state, "/api/v1/namespaces/demo-hello/configmaps")
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


if __name__ == "__main__":
    benchmark(__doc__, measure, pushes=30, samples=10)
