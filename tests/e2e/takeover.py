#!/usr/bin/env python3
"""A cluster run by kledd is taken over by Flux's kustomize-controller, and taken back: nothing is touched at a hand-over.

    takeover.py [--bin DIR] [--keep]

Stock Kubernetes with Flux's own definitions, and a repository in Flux's layout. kledd fetches for both: Flux's
controller reads the archives that kledd serves. Needs root and the programs of
`tests/lab/kubernetes/build.sh all` and `… flux`.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "lab/kubernetes")]
from cluster import Cluster  # noqa: E402
from support.judge import judge  # noqa: E402
from support.processes import Child, Failure, wait_for  # noqa: E402
from support.repository import Repository  # noqa: E402

KINDS = "namespaces,configmaps,secrets,services,serviceaccounts,roles,rolebindings,clusterroles,deployments,statefulsets," \
        "cronjobs,networkpolicies,ingresses,customresourcedefinitions,widgets.example.com"

# git-http-backend(1) as a web server runs it: Flux's definitions take no file:// URL.
GIT_SERVER = """\
import http.server, os, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def run(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environment = {"GIT_PROJECT_ROOT": sys.argv[2], "GIT_HTTP_EXPORT_ALL": "1", "PATH": os.environ["PATH"],
                       "REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query,
                       "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                       "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")}
        out = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True).stdout
        head, _, body = out.partition(b"\\r\\n\\r\\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\\r\\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = run
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

FILES = {
    "clusters/prod/infrastructure.yaml": """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: infrastructure, namespace: flux-system}
spec:
  interval: 1h
  retryInterval: 5s
  timeout: 1m
  path: ./infrastructure
  prune: true
  wait: true
  sourceRef: {kind: GitRepository, name: flux-system}
""",
    "clusters/prod/apps.yaml": """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 1h
  retryInterval: 5s
  timeout: 1m
  path: ./apps/prod
  prune: true
  targetNamespace: apps
  dependsOn: [{name: infrastructure}]
  commonMetadata: {labels: {team: web}}
  images: [{name: registry.example.com/web, newTag: "2.0"}]
  patches:
  - target: {kind: Deployment, name: web}
    patch: |
      - op: add
        path: /spec/template/spec/terminationGracePeriodSeconds
        value: 5
  postBuild:
    substitute: {cluster: prod, replicas: "0"}
    substituteFrom: [{kind: ConfigMap, name: cluster-vars, optional: true}]
  sourceRef: {kind: GitRepository, name: flux-system}
""",
    "infrastructure/namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: apps}\n",
    "infrastructure/crd.yaml": """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}, tags: {type: array, items: {type: string}}}}
""",
    "infrastructure/rbac.yaml": """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: widget-reader}
rules: [{apiGroups: [example.com], resources: [widgets], verbs: [get, list]}]
""",
    "apps/base/kustomization.yaml": """\
resources: [deployment.yaml, service.yaml, widget.yaml, rbac.yaml, more.yaml]
configMapGenerator:
- name: web-config
  literals: ["cluster=${cluster}", "greeting=${greeting:=hello}"]
secretGenerator:
- name: web-login
  literals: ["user=web", "password=example"]
""",
    "apps/base/deployment.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1.0
        envFrom: [{configMapRef: {name: web-config}}]
        ports: [{name: http, containerPort: 8080}]
        resources: {limits: {cpu: "0.5", memory: 64Mi}}
""",
    "apps/base/service.yaml": """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
""",
    "apps/base/rbac.yaml": """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}
subjects: [{kind: ServiceAccount, name: web}]
""",
    # Where the API server writes something else than it was given, or fills much in; without what a controller writes now and then.
    "apps/base/more.yaml": """\
apiVersion: v1
kind: Secret
metadata: {name: plain}
stringData: {token: example}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  replicas: 0
  serviceName: web
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers:
      - {name: store, image: registry.example.com/store:1, env: [{name: A, value: "1"}, {name: EMPTY, value: ""}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: job, image: registry.example.com/job:1}]}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: web.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}}]}
""",
    "apps/base/widget.yaml": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: 3, tags: [a, b]}\n",
    "apps/prod/kustomization.yaml": "resources: [../base, note.yaml]\nnamePrefix: prod-\n",
}


def note(**data):
    lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: note}}\ndata:\n{lines}"


SOURCE = """\
apiVersion: v1
kind: Namespace
metadata: {name: flux-system}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1h, url: "URL", ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1h, retryInterval: 5s, path: ./clusters/prod, prune: true, sourceRef: {kind: GitRepository, name: flux-system}}
"""


class Takeover:
    def __init__(self, folder, bin_dir, cluster):
        self.folder, self.bin, self.cluster = pathlib.Path(folder), pathlib.Path(bin_dir).resolve(), cluster
        self.repository = Repository(self.folder)
        self.kledd = self.flux = self.git = None

    # ---- what runs

    def start_git(self, port=9780):
        self.git = Child("git", self.cluster.inside(sys.executable, "-c", GIT_SERVER, port, self.folder),
                         self.folder / "git.log").start()
        return f"http://127.0.0.1:{port}/{self.repository.bare.name}"

    def start_kledd(self, only_sources):
        flags = ["--gitops-only-sources"] if only_sources else []
        self.kledd = Child("kledd", self.cluster.inside(
            self.bin / "kledd", "--roles", "gitops", "--state", self.folder / "kledd", "--kubeconfig",
            self.cluster.kubeconfig, "--gitops-artifacts-listen", "127.0.0.1:9790",
            *flags), self.folder / "kledd.log").start()

    def start_flux(self):
        environment = {**os.environ, "RUNTIME_NAMESPACE": "flux-system", "KUBECONFIG": str(self.cluster.kubeconfig)}
        self.flux = Child("kustomize-controller", self.cluster.inside(
            self.cluster.bin / "kustomize-controller", "--metrics-addr=:9791", "--health-addr=:9792", "--watch-all-namespaces=true"),
            self.folder / "flux.log", env=environment).start()

    def to_flux(self):
        self.kledd.stop()
        self.start_kledd(only_sources=True)
        self.start_flux()

    def to_kled(self):
        self.flux.stop()
        self.kledd.stop()
        self.start_kledd(only_sources=False)

    def stop(self):
        for child in (self.kledd, self.flux, self.git):
            if child:
                child.stop()

    # ---- what is there

    def get(self, *argv):
        return json.loads(self.cluster.kubectl("get", *argv, "-o", "json"))

    def versions(self):
        """(kind, namespace, name) → (uid, resourceVersion) of all that a Kustomization brought."""
        items = self.get(KINDS, "-A", "-l", "kustomize.toolkit.fluxcd.io/name")["items"]
        return {(i["kind"], i["metadata"].get("namespace", ""), i["metadata"]["name"]):
                (i["metadata"]["uid"], i["metadata"]["resourceVersion"]) for i in items}

    def reconcile(self):
        """Asks for a reconcile of everything, as `flux reconcile` does; returns when each has answered Ready."""
        stamp = str(time.time())
        for kind, names in (("gitrepository", ["flux-system"]), ("kustomization", ["flux-system", "infrastructure", "apps"])):
            # The manager matters: what kubectl's own names hold is taken over, and goes.
            self.cluster.kubectl("annotate", "--overwrite", "--field-manager=flux-client-side-apply", "-n", "flux-system", kind, *names,
                                 f"reconcile.fluxcd.io/requestedAt={stamp}")

            def answered(kind=kind, names=names):
                for item in (self.get(kind, "-n", "flux-system", name) for name in names):
                    status = item.get("status", {})
                    ready = {c["type"]: c["status"] for c in status.get("conditions", [])}
                    if status.get("lastHandledReconcileAt") != stamp or ready.get("Ready") != "True" or "Reconciling" in ready:
                        return False
                return True

            wait_for(f"{kind}s to be reconciled", answered, 120, every=0.3)

    def at(self, commit):
        return all(commit in i.get("status", {}).get("lastAppliedRevision", "") for i in self.get("kustomizations", "-n", "flux-system")["items"])

    def push(self, message):
        commit = self.repository.push_commit(message)
        self.reconcile()
        wait_for(f"{message} to be applied", lambda: self.at(commit), 90, every=0.3)

    # ---- what is checked

    def expect_untouched(self, before, who):
        time.sleep(2)  # what would still be written late
        after = self.versions()
        if len(after) < 18:
            raise Failure(f"there are only {len(after)} objects")
        if before != after:
            changed = {k: (before.get(k), after.get(k)) for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
            raise Failure(f"{who} took over and touched {json.dumps({' '.join(k): v for k, v in changed.items()}, indent=1)}")
        print(f"  ✓ {who} took over: none of {len(after)} objects was touched", flush=True)

    def expect_change_and_prune(self, who, number):
        """A field that goes away, one that comes, and an object that Git drops."""
        self.repository.write("apps/prod/note.yaml", note(**{f"only-{number}": "1", "always": str(number)}))
        self.repository.write("apps/prod/extra.yaml", note(x="1").replace("name: note", f"name: extra-{number}"))
        self.repository.write("apps/prod/kustomization.yaml", "resources: [../base, note.yaml, extra.yaml]\nnamePrefix: prod-\n")
        self.push(f"{who} applies {number}")
        data = self.get("configmap", "prod-note", "-n", "apps")["data"]
        if data != {f"only-{number}": "1", "always": str(number)}:
            raise Failure(f"{who}: the ConfigMap has {data}")
        names = {o["metadata"]["name"] for o in self.get("configmaps", "-n", "apps")["items"]}
        extra = {n for n in names if n.startswith("prod-extra")}
        if extra != {f"prod-extra-{number}"}:
            raise Failure(f"{who}: prune left {sorted(extra)}")
        print(f"  ✓ {who} applies a change, takes away a field and an object", flush=True)

    def run(self):
        kubectl = self.cluster.kubectl
        kubectl("apply", "--server-side", "-f", self.cluster.lab / "flux-crds")
        kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        for name, text in FILES.items():
            self.repository.write(name, text)
        self.repository.write("apps/prod/note.yaml", note(always="0"))
        self.repository.push_commit("first")
        kubectl("apply", "-f", "-", input=SOURCE.replace("URL", self.start_git()))
        self.start_kledd(only_sources=False)
        wait_for("the Kustomizations", lambda: len(self.get("kustomizations", "-n", "flux-system")["items"]) == 3, 60, every=0.3)
        self.reconcile()
        self.expect_change_and_prune("kled", 1)
        for number, (who, hand_over) in enumerate([("Flux", self.to_flux), ("kled", self.to_kled), ("Flux", self.to_flux)], 2):
            before = self.versions()
            hand_over()
            self.reconcile()
            self.expect_untouched(before, who)
            self.expect_change_and_prune(who, number)

    def logs(self):
        return [(c.name, c.tail(30)) for c in (self.kledd, self.flux, self.git) if c]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    flags = parser.parse_args()
    cluster = Cluster("takeover")
    if not (cluster.bin / "kustomize-controller").exists():
        print("SKIPPED: no kustomize-controller; tests/lab/kubernetes/build.sh flux builds it")
        return 0
    cluster.down(purge=True)
    cluster.up(control_only=True)
    with tempfile.TemporaryDirectory(prefix="kled-takeover-", ignore_cleanup_errors=True) as folder:
        takeover = Takeover(folder, flags.bin, cluster)

        def stop():
            takeover.stop()
            if not flags.keep:
                cluster.down(purge=True)
        return judge(takeover.run, takeover.logs, stop)


if __name__ == "__main__":
    sys.exit(main())
