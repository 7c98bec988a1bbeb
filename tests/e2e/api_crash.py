#!/usr/bin/env python3
"""kill -9 of kledd in the middle of writes, again and again: what the API acknowledged is there
afterwards, resourceVersions never go back, and a watch goes on or says that it cannot.

    api_crash.py --bin build/asan/bin [--rounds 20] [--seed N]

KLED_SOAK raises the rounds. The seed is printed; the same seed kills at the same moments.
"""
import argparse
import base64
import http.client
import json
import os
import pathlib
import random
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from processes import Child, Failure, free_port, wait_for  # noqa: E402

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
WRITERS = 4


class Api:
    """Requests with the admin's certificate; one connection each for writers and watchers."""

    def __init__(self, port, kubeconfig, directory):
        self.port = port
        self.context = ssl.create_default_context(cadata=self.part(kubeconfig, "certificate-authority-data"))
        for name, key in (("crt", "client-certificate-data"), ("key", "client-key-data")):
            (directory / f"admin.{name}").write_text(self.part(kubeconfig, key))
        self.context.load_cert_chain(directory / "admin.crt", directory / "admin.key")

    @staticmethod
    def part(kubeconfig, key):
        line = next(line for line in kubeconfig.read_text().splitlines() if key in line)
        return base64.b64decode(line.split()[-1]).decode()

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=10)

    @staticmethod
    def call(connection, method, path, body=None):
        headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")


class Ledger:
    """What was acknowledged: name → (number, resourceVersion), or None for a deletion."""

    def __init__(self):
        self.lock = threading.Lock()
        self.known, self.doubtful, self.version = {}, {}, 0

    def acknowledged(self, name, number, version):
        with self.lock:
            self.known[name] = number
            self.version = max(self.version, version)


def write(api, ledger, writer, numbers, stop):
    """One writer owns its names, so the last acknowledged number is the one to find."""
    try:
        connection = api.connect()
        while not stop.is_set():
            name, number = f"w{writer}-{random.Random(numbers[writer]).randrange(20)}", numbers[writer]
            numbers[writer] += 1
            with ledger.lock:
                old = ledger.known.get(name)
                ledger.doubtful[name] = number
            removal = old is not None and number % 7 == 0
            if removal:
                status, body = Api.call(connection, "DELETE", f"{CONFIGMAPS}/{name}")
            elif old is None:
                status, body = Api.call(connection, "POST", CONFIGMAPS,
                                        {"metadata": {"name": name}, "data": {"number": str(number)}})
            else:
                status, body = Api.call(connection, "PATCH", f"{CONFIGMAPS}/{name}", {"data": {"number": str(number)}})
            if status >= 300:
                raise Failure(f"{name}: unexpected {status}: {body.get('message')}")
            version = int(body.get("metadata", {}).get("resourceVersion") or 0)
            ledger.acknowledged(name, None if removal else number, version)
            with ledger.lock:
                del ledger.doubtful[name]
    except (OSError, http.client.HTTPException, ValueError):
        pass  # killed: whether the last write is stored is open


def check(api, ledger):
    """The store against the ledger; the doubtful may be either way, and are settled here."""
    status, body = Api.call(api.connect(), "GET", CONFIGMAPS)
    if status != 200:
        raise Failure(f"list: {status}: {body}")
    version = int(body["metadata"]["resourceVersion"])
    if version < ledger.version:
        raise Failure(f"the resourceVersion went back from {ledger.version} to {version}")
    found = {item["metadata"]["name"]: int(item["data"]["number"]) for item in body["items"]}
    for name in ledger.known.keys() | found.keys() | ledger.doubtful.keys():
        wanted, actual = ledger.known.get(name), found.get(name)
        if actual != wanted and not (name in ledger.doubtful and actual in (ledger.doubtful[name], None)):
            raise Failure(f"{name}: acknowledged {wanted}, found {actual}")
        ledger.known[name] = actual
    ledger.doubtful.clear()
    ledger.version = version
    return version


def watch_resumes(api, version, stored):
    """From `version` on: the change that is made now, or 410; never silence."""
    connection = api.connect()
    connection.request("GET", f"{CONFIGMAPS}?watch=1&resourceVersion={version}")
    answer = connection.getresponse()
    other = api.connect()
    status, _ = Api.call(other, "POST", CONFIGMAPS, {"metadata": {"generateName": "seen-"}, "data": {"number": "0"}})
    event = json.loads(answer.readline())
    if event["type"] == "ERROR":
        if event["object"]["code"] != 410 or stored == version:
            raise Failure(f"watch from {version}, stored {stored}: {event}")
    elif event["type"] != "ADDED" or int(event["object"]["metadata"]["resourceVersion"]) <= version:
        raise Failure(f"watch from {version}: {event}")
    else:
        name = event["object"]["metadata"]["name"]
        Api.call(other, "DELETE", f"{CONFIGMAPS}/{name}")
        return
    items = Api.call(other, "GET", CONFIGMAPS)[1]["items"]
    for item in items:
        if item["metadata"]["name"].startswith("seen-"):
            Api.call(other, "DELETE", f"{CONFIGMAPS}/{item['metadata']['name']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("KLED_SOAK", 20)))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"{options.rounds} rounds, seed {options.seed}")
    chance = random.Random(options.seed)
    ledger, numbers, acknowledged = Ledger(), [w * 1_000_000 for w in range(WRITERS)], 0
    with tempfile.TemporaryDirectory(prefix="kled-crash-") as directory:
        home = pathlib.Path(directory)
        kubeconfig = home / "state/api/admin.kubeconfig"
        for number in range(options.rounds + 1):
            port = free_port()
            kledd = Child("kledd", [options.bin / "kledd", "--roles", "api", "--api", "embedded", "--api-port", port,
                                    "--state", home / "state"], home / "kledd.log").start()

            def ready():
                kledd.check()
                return kubeconfig.exists() and f":{port}\n" in kubeconfig.read_text()
            wait_for("the kubeconfig", ready)
            api = Api(port, kubeconfig, home)

            def answers():
                kledd.check()
                return Api.call(api.connect(), "GET", "/api")[0] == 200
            wait_for("kledd to answer", answers)
            last = ledger.version
            stored = check(api, ledger)
            watch_resumes(api, last or stored, stored)
            check(api, ledger)
            if number == options.rounds:
                kledd.stop()
                break
            stop = threading.Event()
            before = sum(numbers)
            writers = [threading.Thread(target=write, args=(api, ledger, w, numbers, stop)) for w in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(chance.uniform(0.02, 0.4))
            kledd.kill()
            stop.set()
            for writer in writers:
                writer.join()
            acknowledged += sum(numbers) - before - len(ledger.doubtful)
    print(f"{options.rounds} kills, {acknowledged} acknowledged writes, none lost")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")
