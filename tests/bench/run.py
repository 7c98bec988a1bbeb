#!/usr/bin/env python3
"""./dev bench [NAME] [--json FILE]: runs the benchmark NAME (all of them without one).

Each benchmark is a program of its own beside this one, with --bin and --json.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def main():
    names = sorted(p.stem for p in HERE.glob("*.py") if p.stem != "run")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=names)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--json", type=pathlib.Path)
    flags, rest = parser.parse_known_args()
    results, status = {}, 0
    for name in [flags.name] if flags.name else names:
        print(f"\n=== {name}", flush=True)
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            status |= subprocess.run([sys.executable, HERE / f"{name}.py", "--bin", flags.bin, "--json", file.name, *rest]).returncode
            text = pathlib.Path(file.name).read_text()
            results[name] = json.loads(text) if text else None
    if flags.json:
        flags.json.write_text(json.dumps(results[flags.name] if flags.name else results, indent=2) + "\n")
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
