"""Events of the embedded API, with the time at which each arrived."""
import base64
import http.client
import queue
import ssl
import tempfile
import threading
import time

import yaml


class Watch(threading.Thread):
    """Puts (time, text) of each event of a watch on the embedded API into a queue."""

    def __init__(self, state, path):
        super().__init__(daemon=True)
        self.events = queue.Queue()
        config = yaml.safe_load((state / "api/admin.kubeconfig").read_text())
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
