#!/usr/bin/env python3
"""Measures the node as it ships, with real peers on this machine. `make bench` runs it.

Receipt: 300 CT instances of 0.5 MB over one association on loopback, sent by storescu, in turns to `medlsam-node serve` (which
answers once an instance is flushed to disk and recorded) and to `storescp --bit-preserving` (which flushes nothing); medians of 3, and what one flush
costs on this disk.

Contouring: one head-and-neck series of 128 slices (an OpenKBP validation patient where ../shared is present, else the head of
`make demo`), seconds and peak memory from the end of its last slice's association to both objects at the archive, and each stage.
"""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
WORK = LOCAL / "bench"
NODE = ROOT / ".build/release/medlsam-node"
RECEIPT_INSTANCES, RECEIPT_RUNS = 300, 3
# Debian's DCMTK leaves Nagle's algorithm on unless told; every peer here is told.
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(command, title, port, log):
    with open(log, "w") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=ENVIRONMENT)
    try:
        for _ in range(100):
            if subprocess.run(["echoscu", "-aec", title, "127.0.0.1", str(port)], stderr=subprocess.DEVNULL).returncode == 0:
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


def receipt_series(folder):
    """Instances of noise with a gap between slices, so that they are received and never contoured."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
    folder.mkdir(parents=True)
    study, series, frame = (generate_uid() for _ in range(3))
    noise = np.random.default_rng(0)
    for k in range(RECEIPT_INSTANCES):
        d = Dataset()
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.PatientName, d.PatientID, d.Modality, d.ImageType = "BENCH", "BENCH", "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.Rows = d.Columns = 512
        d.PixelSpacing, d.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
        d.ImagePositionPatient = [0, 0, k if k < RECEIPT_INSTANCES // 2 else 5000 + k]
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 1
        d.BitsAllocated, d.BitsStored, d.HighBit, d.RescaleSlope, d.RescaleIntercept = 16, 16, 15, 1, 0
        d.PixelData = noise.integers(-1000, 1000, (512, 512), dtype=np.int16).tobytes()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.save_as(folder / f"{k:04}.dcm", enforce_file_format=True)


def flush_milliseconds(repeats=100):
    """What flushing a new file of an instance's size costs on this disk: the floor of any receipt that loses nothing."""
    content, seconds = os.urandom(512 * 512 * 2), 0.0
    for n in range(repeats):
        with open(WORK / f"flush-{n}", "wb", buffering=0) as file:
            file.write(content)
            begun = time.monotonic()
            os.fsync(file.fileno())
            seconds += time.monotonic() - begun
    return 1000 * seconds / repeats


def receipt():
    print(f"receipt: flushing a file of 0.5 MB takes {flush_milliseconds():.1f} ms on this disk")
    receipt_series(WORK / "receipt")
    seconds = {"medlsam-node": [], "storescp": []}
    for run in range(RECEIPT_RUNS):
        port, folder = free_port(), WORK / f"node-{run}"
        with running([NODE, "serve", "--config", settings(folder, port)], "MEDLSAM", port, WORK / f"node-{run}.log"):
            seconds["medlsam-node"].append(send(WORK / "receipt", "MEDLSAM", port))
        kept = sum(1 for _ in (folder / "data/instances").rglob("*.dcm"))
        assert kept == RECEIPT_INSTANCES, f"{kept} of {RECEIPT_INSTANCES} instances kept"
        port, folder = free_port(), WORK / f"storescp-{run}"
        folder.mkdir()
        command = ["storescp", "--bit-preserving", "-od", folder, port]
        with running(command, "STORESCP", port, WORK / f"storescp-{run}.log"):
            seconds["storescp"].append(send(WORK / "receipt", "STORESCP", port))
    rates = {peer: RECEIPT_INSTANCES / statistics.median(times) for peer, times in seconds.items()}
    for peer, rate in rates.items():
        spread = ", ".join(f"{t:.2f}" for t in seconds[peer])
        print(f"receipt: {peer:12} {rate:6.0f} instances/s  (300 instances in {spread} s)")
    print(f"receipt: ratio {rates['medlsam-node'] / rates['storescp']:.2f}")


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
    receipt()
    contouring()
    shutil.rmtree(WORK)
