#!/usr/bin/env python3
"""`kled build` on trees of growing size, beside `kustomize build` where that program is found.

    tests/bench/build.py --bin build/release/bin [--sizes 10,100,1000,5000] [--runs 5] [--json FILE]

A tree is deterministic: one app is ten resources (a base with a Deployment, Service, ServiceAccount,
Role, RoleBinding, Ingress, HorizontalPodAutoscaler, PodDisruptionBudget and two generators; an
overlay with prefix, labels, image, replicas, both kinds of patch, a generator merge and a
replacement); the cluster's kustomization joins the overlays, with a namespace and common labels.
CPU time is the figure to compare: wall time counts the neighbours too. The peer is
$KLED_KUSTOMIZE, `kustomize` in PATH or in the lab ($KLED_LAB/bin); it is run once for trees over
2000 resources, and --no-large-peer leaves that out.

The last rows are rebuilds by `kled build --watch` after one file of the largest tree changed: a
Deployment, then a value of a ConfigMap whose new hash goes into the objects that use it. The peer
builds everything again.
"""
import argparse
import json
import os
import pathlib
import re
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


def find_peer():
    lab = pathlib.Path(os.environ.get("KLED_LAB", pathlib.Path.home() / ".cache/kled/lab")) / "bin/kustomize"
    return os.environ.get("KLED_KUSTOMIZE") or shutil.which("kustomize") or (str(lab) if lab.exists() else None)


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_incremental(kled, root, cluster, rounds=20):
    """What `kled build --watch` says a rebuild took (median and worst) after each of some changes,
    and its CPU time from the change to the new text; the text is that of a fresh build."""
    with tempfile.TemporaryDirectory(prefix="kled-bench-") as directory:
        output = pathlib.Path(directory) / "out.yaml"
        child = subprocess.Popen([kled, "build", cluster, "--watch", "--output", output],
                                 stderr=subprocess.PIPE, text=True)
        built = lambda: float(re.search(r"objects in ([0-9.]+) ms", child.stderr.readline()).group(1))
        rows = []
        try:
            first = built()
            app = root / "apps" / "app-0003"
            for what, file, text in [("a Deployment", app / "base/deployment.yaml", ("cpu: 500m", "cpu: {}m")),
                                     ("a ConfigMap", app / "production/kustomization.yaml", ("LOG_LEVEL=warn", "LOG_LEVEL={}"))]:
                before = file.read_text(encoding="utf-8")
                times, cpu = [], cpu_of(child.pid)
                for i in range(rounds):
                    time.sleep(0.05)
                    file.write_text(before.replace(text[0], text[1].format(i)), encoding="utf-8")
                    times.append(built())
                cpu = (cpu_of(child.pid) - cpu) / rounds
                same = output.read_bytes() == subprocess.run([kled, "build", cluster], capture_output=True, check=True).stdout
                times.sort()
                rows.append({"changed": what, "first_ms": first, "p50_ms": times[len(times) // 2], "worst_ms": times[-1],
                             "cpu_ms": round(cpu * 1000, 1), "identical": same})
            peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{child.pid}/status").read_text()).group(1))
            for row in rows:
                row["peak_mib"] = round(peak / 1024, 1)
        finally:
            child.kill()
            child.wait()
        return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="where the built programs are")
    parser.add_argument("--sizes", default="10,100,1000,5000", help="resources of each tree")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="write the table there as well")
    parser.add_argument("--no-large-peer", action="store_true", help="kustomize does not build the trees over 2000 resources")
    arguments = parser.parse_args()
    kled = arguments.bin.resolve() / "kled"
    peer = find_peer()
    rows, incremental = [], []
    sizes = sorted(map(int, arguments.sizes.split(",")))
    print(f"{'resources':>9}  {'kled':>28}  {'kustomize':>28}  {'less CPU':>9}")
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="kled-bench-") as directory:
            cluster = make_tree(pathlib.Path(directory), size)
            row = {"resources": size + 1, "kled": measure([kled, "build", cluster], arguments.runs)}
            if peer and not (arguments.no_large_peer and size > 2000):
                row["kustomize"] = measure([peer, "build", cluster], arguments.runs if size <= 2000 else 1)
                same = subprocess.run([kled, "build", cluster], capture_output=True).stdout == \
                    subprocess.run([peer, "build", cluster], capture_output=True).stdout if size <= 1000 else None
                row["identical"] = same
            rows.append(row)
            if size == sizes[-1]:
                incremental = measure_incremental(kled, pathlib.Path(directory), cluster)
        shown = lambda m: f"{m['cpu_s']:8.3f} s {m['wall_s']:8.3f} s {m['peak_mib']:4.0f} MiB" if m else "-"
        times = f"{row['kustomize']['cpu_s'] / max(row['kled']['cpu_s'], 0.001):8.0f}x" if "kustomize" in row else "-"
        other = "" if row.get("identical") is not False else "  OTHER TEXT"
        print(f"{row['resources']:9}  {shown(row['kled']):>28}  {shown(row.get('kustomize')):>28}  {times:>9}{other}", flush=True)
    if not peer:
        print("kustomize was not found: no figures beside")
    print("CPU time, wall time, peak resident memory\n")
    print(f"one file changed in {sizes[-1] + 1} resources, kled build --watch ({incremental[0]['peak_mib']:.0f} MiB)")
    for row in incremental:
        print(f"  {row['changed']:14} p50 {row['p50_ms']:6.1f} ms  worst {row['worst_ms']:6.1f} ms  CPU {row['cpu_ms']:6.1f} ms"
              + ("" if row["identical"] else "  OTHER TEXT"))
    if arguments.json:
        arguments.json.write_text(json.dumps({"bench": "build", "rows": rows, "incremental": incremental}, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row.get("identical") is not False for row in rows + incremental) else 1


if __name__ == "__main__":
    sys.exit(main())
