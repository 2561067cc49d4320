#!/usr/bin/env python3
"""How fast `doctor --data` reads a store, beside sha256sum over the same files; in turns, medians of 3. `make bench-store` runs it.

600 CT instances of 0.5 MB are sent to a node by storescu. Files come from the page cache for all: what is compared is the work, not the disk.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from bench import free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
NODE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".build/release/medlsam-node")
INSTANCES, RUNS, CORES = 600, 3, os.cpu_count()


def write_series(folder):
    study, series = generate_uid(), generate_uid()
    for number in range(INSTANCES):
        ds = pydicom.Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID, ds.Modality = study, series, "BENCH", "CT"
        ds.Rows = ds.Columns = 512
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 15, 1, 0, "MONOCHROME2"
        ds.PixelData = os.urandom(512 * 512 * 2)
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)


def timed(command):
    begun = time.monotonic()
    output = subprocess.run(command, check=True, capture_output=True, text=True, shell=isinstance(command, str)).stdout
    return time.monotonic() - begun, output


with tempfile.TemporaryDirectory(dir=ROOT / ".local") as work:
    work = pathlib.Path(work)
    (work / "ct").mkdir()
    write_series(work / "ct")
    port = free_port()
    settings = work / "node.yaml"
    settings.write_text(f"""aeTitle: MEDLSAM
port: {port}
host: 127.0.0.1
dataDirectory: data
models: {{manifests: m, installed: i, runtime: r, templates: t}}
receiving: {{minimumFreeMegabytes: 0, minimumFreePercent: 0}}
completion: {{idleSeconds: 3600, gapSeconds: 3600}}
""")
    with open(work / "node.log", "w") as log:
        node = subprocess.Popen([NODE, "serve", "-c", settings], stdout=log, stderr=log)
    try:
        while subprocess.run(["echoscu", "127.0.0.1", str(port)], capture_output=True).returncode:
            time.sleep(0.1)
        subprocess.run(["storescu", "127.0.0.1", str(port), "+sd", work / "ct"], check=True, env=os.environ | {"TCP_NODELAY": "1"})
        instances = work / "data/instances"
        megabytes = sum(f.stat().st_size for f in instances.rglob("*.dcm")) / 1e6
        commands = {
            "doctor --data": [NODE, "doctor", "--data", "--json", "-c", settings],
            "sha256sum": f"find '{instances}' -name '*.dcm' -print0 | xargs -0 sha256sum",
            f"sha256sum, {CORES} at once": f"find '{instances}' -name '*.dcm' -print0 | xargs -0 -n 32 -P {CORES} sha256sum",
        }
        speeds = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                seconds, output = timed(command)
                speeds[name].append(megabytes / seconds)
                if name.startswith("doctor"):
                    assert json.loads(output)["instances"] == INSTANCES
    finally:
        node.terminate()
        node.wait()
    print(f"{INSTANCES} instances, {megabytes:.0f} MB, {CORES} cores, beside the running node")
    for name, values in speeds.items():
        print(f"{name:24} {statistics.median(values):7.0f} MB/s   ({', '.join(f'{v:.0f}' for v in values)})")
