#!/usr/bin/env python3
"""Holds the includes to the layers, and each program's NEEDED libraries to docs/dependencies.md.

usage: layering.py SOURCE_DIR [BIN_DIR]
"""
import pathlib
import re
import subprocess
import sys

# From the top down: a folder may include itself and what stands below it. Features (one line) do
# not include each other. See docs/architecture.md.
LAYERS = [
    ["cli"],
    ["gateway"],
    ["gitops", "edge", "cluster", "sync", "policy"],
    ["apiserver"],
    ["kustomize", "cel"],
    ["kube"],
    ["store", "net"],
    ["crypto"],
    ["base"],
]
RANK = {folder: rank for rank, row in enumerate(LAYERS) for folder in row}

# Headers with a cost or a licence to be everywhere: only these folders may include them.
ONLY_IN = {
    r"boost/beast": {"net"},
    r"git2(\.h|/)": {"gitops"},
    r"mosquitto": {"edge"},
    r"sqlite3\.h": {"store"},
    r"openssl/": {"crypto", "net", "base"},
    r"yaml\.h": {"kube"},
    r"CLI/": {"cli"},
    r"rnp/": {"crypto"},
}


def include_problems(root):
    for folder in RANK:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cc") or not path.is_file():
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = re.match(r'\s*#\s*include\s+(["<])([^">]+)', line)
                if not match:
                    continue
                where = f"{path.relative_to(root)}:{number}"
                kind, target = match.groups()
                if kind == '"':
                    top = target.split("/")[0]
                    if path.name.endswith("_test.cc") and target.startswith("tests/support/"):
                        continue
                    if top not in RANK:
                        yield f"{where}: \"{target}\" does not start at the root of the project"
                    elif top != folder and RANK[top] <= RANK[folder]:
                        yield f"{where}: {folder}/ may not include {top}/"
                    continue
                for pattern, allowed in ONLY_IN.items():
                    if re.match(pattern, target) and folder not in allowed:
                        yield f"{where}: <{target}> belongs to {', '.join(sorted(allowed))} alone"


def needed_problems(root, bin_dir):
    """Rows of docs/dependencies.md: | program | libraries | under the heading 'NEEDED'."""
    text = (root / "docs/dependencies.md").read_text()
    table = {}
    for program, libraries in re.findall(r"^\| `([\w.-]+)` \| (lib.*?) \|$", text, re.M):
        table[program] = set(re.findall(r"lib[\w+.-]+|ld-linux[\w.-]+", libraries))
    for program, allowed in table.items():
        path = bin_dir / program
        if not path.exists():
            continue
        out = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"NEEDED.*\[([^\]]+)\]", out):
            stem = library.split(".so")[0]
            if stem in ("libasan", "libubsan", "libtsan", "ld-linux-x86-64", "ld-linux-aarch64"):
                continue
            if stem not in allowed:
                yield f"{program} needs {stem}, which docs/dependencies.md does not list for it"


def main():
    root = pathlib.Path(sys.argv[1])
    problems = list(include_problems(root))
    if len(sys.argv) > 2:
        problems += needed_problems(root, pathlib.Path(sys.argv[2]))
    print("\n".join(problems) or "the layers hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
