#!/usr/bin/env python3
"""docs/reference/commands.md is what the programs' --help says: writes it, or says what is not true any more.

    reference.py --bin build/release/bin [--check]
"""
import argparse
import difflib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/commands.md"
HEAD = """# Commands

What `--help` prints, command by command; written by `tests/support/reference.py`. Exit statuses: [exit-status.md](exit-status.md).
"""
# In every command's help; said once, at the top of its program.
EVERYWHERE = re.compile(r"^  (-h,--help|--help-all) +\S.*\n", re.MULTILINE)


def help_of(folder, command):
    # Without the environment of who runs this: defaults may come from it.
    environment = {"PATH": os.environ["PATH"], "HOME": "/root"}
    said = subprocess.run([folder / command[0], *command[1:], "--help"], capture_output=True, text=True, check=True,
                          timeout=30, env=environment)
    return "\n".join(line.rstrip() for line in said.stdout.splitlines()).strip() + "\n"


def subcommands(text):
    _, found, names = text.partition("\nSubcommands:\n")
    return re.findall(r"^  ([a-z][a-z-]*)(?: {2,}|$)", names, re.MULTILINE) if found else []


def sections(folder, command):
    text = help_of(folder, command)
    names = subcommands(text)
    if len(command) > 1:
        text = re.sub(r"\nOptions:\n(?=\n|\Z)", "", EVERYWHERE.sub("", text))
    yield f"\n{'#' * min(1 + len(command), 4)} {' '.join(command)}\n\n```\n{text.strip()}\n```\n"
    for name in names:
        yield from sections(folder, [*command, name])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bin", type=pathlib.Path, required=True)
    arguments.add_argument("--check", action="store_true")
    options = arguments.parse_args()
    page = HEAD + "".join(part for program in ("kled", "kledd", "kled-agent")
                          for part in sections(options.bin.resolve(), [program]))
    if not options.check:
        PAGE.write_text(page)
        return 0
    there = PAGE.read_text()
    sys.stdout.writelines(difflib.unified_diff(there.splitlines(True), page.splitlines(True), "docs/reference/commands.md", "what --help says"))
    if there != page:
        print(f"write it again: tests/support/reference.py --bin {options.bin}")
    return int(there != page)


if __name__ == "__main__":
    sys.exit(main())
