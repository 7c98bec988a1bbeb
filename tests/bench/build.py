#!/usr/bin/env python3
"""`kled build` on trees of growing size, beside `kustomize build` where that program is found.

    tests/bench/build.py --bin build/release/bin [--sizes 100,1000,5000] [--runs 5] [--json FILE]

A tree is deterministic: one app is ten resources (a base with a Deployment, Service, ServiceAccount,
Role, RoleBinding, Ingress, HorizontalPodAutoscaler, PodDisruptionBudget and two generators; an
overlay with prefix, labels, image, replicas, both kinds of patch, a generator merge and a
replacement); the cluster's kustomization joins the overlays, with a namespace and common labels.
CPU time is the figure to compare: wall time counts the neighbours too. The peer is
$KLED_KUSTOMIZE, or `kustomize` in PATH; it is run once for trees over 2000 resources.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time

BASE = {
    "deployment.yaml": """
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: NAME
        spec:
          replicas: 1
          selector:
            matchLabels:
              app: NAME
          template:
            metadata:
              labels:
                app: NAME
            spec:
              serviceAccountName: NAME
              containers:
              - name: main
                image: registry.example.com/NAME:1.0.0
                ports:
                - name: http
                  containerPort: 8080
                env:
                - name: UPSTREAM
                  value: nowhere
                envFrom:
                - configMapRef:
                    name: NAME-config
                - secretRef:
                    name: NAME-login
                resources:
                  limits:
                    cpu: 500m
                    memory: 256Mi
                readinessProbe:
                  httpGet:
                    path: /healthz
                    port: http
        """,
    "service.yaml": """
        apiVersion: v1
        kind: Service
        metadata:
          name: NAME
        spec:
          selector:
            app: NAME
          ports:
          - name: http
            port: 80
            targetPort: http
        """,
    "account.yaml": """
        apiVersion: v1
        kind: ServiceAccount
        metadata:
          name: NAME
        """,
    "rbac.yaml": """
        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata:
          name: NAME
        rules:
        - apiGroups: [""]
          resources: [configmaps]
          resourceNames: [NAME-config]
          verbs: [get]
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata:
          name: NAME
        roleRef:
          apiGroup: rbac.authorization.k8s.io
          kind: Role
          name: NAME
        subjects:
        - kind: ServiceAccount
          name: NAME
        """,
    "ingress.yaml": """
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: NAME
        spec:
          rules:
          - host: NAME.example.com
            http:
              paths:
              - path: /
                pathType: Prefix
                backend:
                  service:
                    name: NAME
                    port:
                      name: http
        """,
    "scaling.yaml": """
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata:
          name: NAME
        spec:
          minReplicas: 1
          maxReplicas: 5
          scaleTargetRef:
            apiVersion: apps/v1
            kind: Deployment
            name: NAME
        ---
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata:
          name: NAME
        spec:
          minAvailable: 1
          selector:
            matchLabels:
              app: NAME
        """,
    "kustomization.yaml": """
        resources: [deployment.yaml, service.yaml, account.yaml, rbac.yaml, ingress.yaml, scaling.yaml]
        configMapGenerator:
        - name: NAME-config
          literals: [LOG_LEVEL=info, REGION=eu]
        secretGenerator:
        - name: NAME-login
          literals: [user=NAME, password=change-me]
        """,
}

OVERLAY = """
    resources: [../base]
    namePrefix: prod-
    labels:
    - pairs:
        app.kubernetes.io/part-of: NAME
      includeTemplates: true
    images:
    - name: registry.example.com/NAME
      newTag: 2.0.0
    replicas:
    - name: NAME
      count: 3
    configMapGenerator:
    - name: NAME-config
      behavior: merge
      literals: [LOG_LEVEL=warn]
    patches:
    - patch: |-
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: NAME
        spec:
          template:
            spec:
              containers:
              - name: main
                env:
                - name: STAGE
                  value: production
    - target:
        kind: Service
        name: NAME
      patch: |-
        - op: add
          path: /spec/type
          value: ClusterIP
    replacements:
    - source:
        kind: Service
        name: NAME
      targets:
      - select:
          kind: Deployment
          name: NAME
        fieldPaths:
        - spec.template.spec.containers.[name=main].env.[name=UPSTREAM].value
    """


def write(path, text, name=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n").replace("NAME", name), encoding="utf-8")


def make_tree(root, resources):
    """The directory to build, of `resources` resources and one namespace."""
    apps = [f"app-{i:04}" for i in range(resources // 10)]
    for app in apps:
        for file, text in BASE.items():
            write(root / "apps" / app / "base" / file, text, app)
        write(root / "apps" / app / "production" / "kustomization.yaml", OVERLAY, app)
    cluster = root / "cluster"
    write(cluster / "namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: production\n")
    lines = ["namespace: production", "labels:", "- pairs: {cluster: production}", "resources:", "- namespace.yaml"]
    write(cluster / "kustomization.yaml", "\n".join(lines + [f"- ../apps/{app}/production" for app in apps]) + "\n")
    return cluster


def measure(command, runs):
    """Smallest wall and CPU time, largest memory, of some runs."""
    walls, cpus, peaks = [], [], []
    for _ in range(runs):
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))}: status {child.returncode}")
        walls.append(time.perf_counter() - start)
        cpus.append(usage.ru_utime + usage.ru_stime)
        peaks.append(usage.ru_maxrss / 1024)
    return {"cpu_s": round(min(cpus), 4), "wall_s": round(min(walls), 4), "peak_mib": round(max(peaks), 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="where the built programs are")
    parser.add_argument("--sizes", default="10,100,1000,5000", help="resources of each tree")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="write the table there as well")
    arguments = parser.parse_args()
    kled = arguments.bin.resolve() / "kled"
    peer = os.environ.get("KLED_KUSTOMIZE") or shutil.which("kustomize")
    rows = []
    print(f"{'resources':>9}  {'kled':>28}  {'kustomize':>28}  {'less CPU':>9}")
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="kled-bench-") as directory:
            cluster = make_tree(pathlib.Path(directory), size)
            row = {"resources": size + 1, "kled": measure([kled, "build", cluster], arguments.runs)}
            if peer:
                row["kustomize"] = measure([peer, "build", cluster], arguments.runs if size <= 2000 else 1)
                same = subprocess.run([kled, "build", cluster], capture_output=True).stdout == \
                    subprocess.run([peer, "build", cluster], capture_output=True).stdout if size <= 1000 else None
                row["identical"] = same
            rows.append(row)
        shown = lambda m: f"{m['cpu_s']:8.3f} s {m['wall_s']:8.3f} s {m['peak_mib']:4.0f} MiB" if m else "-"
        times = f"{row['kustomize']['cpu_s'] / row['kled']['cpu_s']:8.0f}x" if peer else "-"
        other = "" if row.get("identical") is not False else "  OTHER TEXT"
        print(f"{row['resources']:9}  {shown(row['kled']):>28}  {shown(row.get('kustomize')):>28}  {times:>9}{other}", flush=True)
    if not peer:
        print("kustomize was not found: no figures beside")
    print("CPU time, wall time, peak resident memory")
    if arguments.json:
        arguments.json.write_text(json.dumps({"bench": "build", "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
