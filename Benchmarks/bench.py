#!/usr/bin/env python3
"""Measures contouring by the node as it ships, with real peers on this machine. `make bench` runs it after receipt.py.

One head-and-neck series of 128 slices (an OpenKBP validation patient where ../shared is present, else the head of
`make demo`), seconds and peak memory from the end of its last slice's association to both objects at the archive, and each stage.
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
WORK = LOCAL / "bench-contouring"
NODE = ROOT / ".build/release/medlsam-node"
# Debian's DCMTK leaves Nagle's algorithm on unless told; every peer here is told.
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def free_port():
    """Not of those that connections get (32768 and above): one might have it before the peer listens that it is meant for."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def running(command, title, port, log, *options):
    with open(log, "w") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=ENVIRONMENT)
    try:
        for _ in range(100):
            if subprocess.run(["echoscu", *options, "-aec", title, "127.0.0.1", str(port)], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        else:
            sys.exit(f"bench: {title} does not answer; see {log}")
        yield process
    finally:
        process.terminate()
        process.wait()


def send(folder, title, port):
    """Sends a folder over one association; returns the seconds it took."""
    begun = time.monotonic()
    subprocess.run(["storescu", "-aec", title, "127.0.0.1", str(port), "+sd", str(folder)], check=True, env=ENVIRONMENT)
    return time.monotonic() - begun


def settings(folder, port, destinations="[]"):
    folder.mkdir(parents=True)
    file = folder / "node.yaml"
    file.write_text(f"""
aeTitle: MEDLSAM
host: 127.0.0.1
port: {port}
dataDirectory: data
models: {{manifests: {ROOT}/Models, installed: {LOCAL}/models, runtime: {LOCAL}/openvino, templates: {ROOT}/Models/templates}}
completion: {{idleSeconds: 1, gapSeconds: 3600}}
destinations: {destinations}
""")
    return file


def head_and_neck(folder):
    patient = ROOT.parent / "shared/data/openkbp/validation/pt_236.npz"
    if patient.exists():
        converter = ROOT.parent / "shared/tools/openkbp2dicom.py"
        subprocess.run([sys.executable, converter, patient, folder, "--upsample", "4", "--no-rtstruct"], check=True)
        return "OpenKBP pt_236, 128 slices of 512 x 512"
    subprocess.run([ROOT / ".build/release/convert-invesalius", LOCAL / "demo/Cranium.inv3", folder], check=True)
    return "Cranium.inv3, 108 slices of 256 x 256 (../shared is absent)"


def contouring():
    what = head_and_neck(WORK / "head")
    archive_port, port = free_port(), free_port()
    storage = WORK / "archive"
    storage.mkdir()
    folder = WORK / "journey"
    file = settings(folder, port, f"[{{name: archive, aeTitle: STORESCP, host: 127.0.0.1, port: {archive_port}}}]")
    with running(["storescp", "--bit-preserving", "-od", storage, archive_port], "STORESCP", archive_port, WORK / "archive.log"), \
            running([NODE, "serve", "--config", file], "MEDLSAM", port, WORK / "journey.log") as node:
        send(WORK / "head", "MEDLSAM", port)
        begun = time.monotonic()
        while True:
            jobs = json.loads(subprocess.run([NODE, "jobs", "list", "--json", "--config", file], capture_output=True, check=True).stdout)
            if jobs and jobs[0]["state"] not in ("queued", "running") and jobs[0]["pending"] == 0:
                break
            time.sleep(0.2)
        elapsed = time.monotonic() - begun
        memory = next(int(line.split()[1]) >> 10 for line in open(f"/proc/{node.pid}/status") if line.startswith("VmHWM"))
        show = [NODE, "jobs", "show", str(jobs[0]["id"]), "--json", "--config", file]
        report = json.loads(subprocess.run(show, capture_output=True, check=True).stdout)["report"]
    print(f"contouring: {what}, {os.cpu_count()} cores")
    print(f"contouring: job {jobs[0]['state']}, {len(list(storage.iterdir()))} objects at the archive {elapsed:.1f} s after the last slice")
    print("contouring: " + ", ".join(f"{s['name']} {s['seconds']:.1f} s" for s in report["stages"]))
    print(f"contouring: peak memory worker {report['peakMemoryMegabytes']} MB, serve {memory} MB")


if __name__ == "__main__":
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    contouring()
    shutil.rmtree(WORK)
