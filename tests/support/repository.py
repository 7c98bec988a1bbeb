"""A bare Git repository to push to, and the work tree pushed from."""
import os
import pathlib
import shutil
import subprocess

ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
               "GIT_AUTHOR_NAME": "Demo", "GIT_AUTHOR_EMAIL": "demo@localhost",
               "GIT_COMMITTER_NAME": "Demo", "GIT_COMMITTER_EMAIL": "demo@localhost"}


class Repository:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.bare, self.tree = folder / "fleet.git", folder / "work"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", self.bare, cwd=folder)
        self._git("init", "--quiet", "--initial-branch=main", self.tree, cwd=folder)
        self._git("remote", "add", "origin", self.bare)
        self.url = f"file://{self.bare}"

    def _git(self, *argv, cwd=None, check=True):
        result = subprocess.run(["git", *map(str, argv)], cwd=cwd or self.tree, env=ENVIRONMENT,
                                capture_output=True, text=True)
        if check and result.returncode != 0:
            raise RuntimeError(f"git {argv[0]}: {result.stderr}")
        return result.stdout.strip()

    def copy_in(self, source, name):
        shutil.copytree(source, self.tree / name, dirs_exist_ok=True)

    def write(self, name, text):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def replace(self, name, old, new):
        path = self.tree / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    def commit(self, message):
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "-m", message)
        return self._git("rev-parse", "HEAD")

    def push(self, *flags):
        return self._git("push", "--quiet", *flags, "origin", "HEAD:main")

    def push_commit(self, message):
        commit = self.commit(message)
        self.push()
        return commit
