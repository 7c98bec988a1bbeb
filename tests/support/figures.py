"""What the benchmarks make of their samples."""
import argparse
import json
import pathlib
import statistics
import threading
import time

from support.processes import memory_kib


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def idle_memory(pid, samples):
    taken = []
    for _ in range(samples):
        taken.append(memory_kib(pid))
        time.sleep(1)
    return {key: int(statistics.median(s[key] for s in taken)) for key in taken[0]}


class PeakMemory:
    """The largest PSS and private memory of a process while this is entered, ten samples a second."""

    def __init__(self, pid):
        self.pid, self.peak = pid, {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self):
        while not self._done.wait(0.1):
            for name, kib in memory_kib(self.pid).items():
                self.peak[f"{name} KiB"] = max(kib, self.peak.get(f"{name} KiB", 0))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


def print_figures(figures, width=28):
    for name, values in figures.items():
        cells = (f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items())
        print(f"{name:<{width}}" + "   ".join(cells))


def benchmark(description, measure, **counts):
    """A benchmark's main: flags --bin, --json and one for each count; prints what `measure` found.

    `counts` are the keyword arguments of `measure` besides the folder of the programs, with their defaults.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="where the built programs are")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there as well")
    for name, default in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    flags = parser.parse_args()
    figures = measure(flags.bin, **{name: getattr(flags, name) for name in counts})
    print_figures(figures)
    if flags.json:
        flags.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
