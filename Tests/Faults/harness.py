"""A node that is done harm to, and the peers that send to it: what the fault runs of this folder share."""
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LOCAL = ROOT / ".local"
# Debian's DCMTK leaves Nagle's algorithm on unless told.
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}
CT = "1.2.840.10008.5.1.4.1.1.2"


def free_port():
    """Not of those that connections get (32768 and above): one might have it before the peer listens that it is meant for."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def data_set_digest(path):
    """SHA-256 of what follows the file meta information (PS3.10 7.1), which names the sender."""
    content = pathlib.Path(path).read_bytes()
    return hashlib.sha256(content[144 + struct.unpack("<I", content[140:144])[0]:]).hexdigest()


def make_series(folder, slices, size, patient="FAULTS"):
    """Writes a gap-free CT series of noise; returns {SOP Instance UID: path}, in slice order."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    folder.mkdir(parents=True)
    study, series, frame, files = generate_uid(), generate_uid(), generate_uid(), {}
    for k in range(slices):
        d = Dataset()
        d.SOPClassUID, d.SOPInstanceUID = CT, generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.PatientName, d.PatientID, d.Modality, d.ImageType = patient, patient, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.Rows = d.Columns = size
        d.PixelSpacing, d.ImageOrientationPatient, d.ImagePositionPatient = [1, 1], [1, 0, 0, 0, 1, 0], [0, 0, k]
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 1
        d.BitsAllocated, d.BitsStored, d.HighBit, d.RescaleSlope, d.RescaleIntercept = 16, 16, 15, 1, 0
        d.PixelData = os.urandom(2 * size * size)
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{k:04}.dcm"
        d.save_as(path, enforce_file_format=True)
        files[d.SOPInstanceUID] = path
    return files


class Node:
    """`medlsam-node serve` with a data folder and port of its own.

    Its selection rule contours nothing, so that a complete series costs a row and not a network's minutes: "processed once" is
    then one job a series, refused by that rule, which holds every slice.
    """

    def __init__(self, folder, program, settings="", environment=None, data="data", preload=None):
        self.folder, self.program, self.port = folder, program, free_port()
        self.environment = ENVIRONMENT | (environment or {})
        self.preload, self.process, self.died = preload, None, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / data
        self.settings = folder / "node.yaml"
        self.settings.write_text(f"""
aeTitle: MEDLSAM
host: 127.0.0.1
port: {self.port}
dataDirectory: {data}
models: {{manifests: {ROOT}/Models, installed: none, runtime: none, templates: {ROOT}/Models/templates}}
selection: {{rules: [{{name: none, contour: false}}]}}
{settings or '''receiving: {minimumFreeMegabytes: 1, minimumFreePercent: 0, timeoutSeconds: 10}
completion: {idleSeconds: 0.3, gapSeconds: 3600}'''}
""")

    def start(self, wait=True):
        environment = self.environment | ({"LD_PRELOAD": str(self.preload)} if self.preload else {})
        log = open(self.folder / "node.log", "a")
        self.process = subprocess.Popen([self.program, "serve", "--config", self.settings, "--log-level", "info"], stdout=log, stderr=log, env=environment)
        log.close()
        if wait:
            self.await_port()

    def await_port(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the node ended with {self.process.returncode}; see {self.folder}/node.log")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"the node does not listen; see {self.folder}/node.log")

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL; a node that was dead before has died by itself."""
        if self.process is None:
            return
        if self.process.poll() is not None:
            self.died += 1
        else:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self):
        if not self.is_running():
            self.died += 1
            return None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process = None
        return status

    def rows(self, sql, *arguments):
        database = sqlite3.connect(f"file:{self.data}/node.sqlite?mode=ro", uri=True, timeout=30)
        try:
            return database.execute(sql, arguments).fetchall()
        finally:
            database.close()

    def lost(self, acknowledged):
        """Those of the acknowledged files, {SOP Instance UID: path}, that are not kept as they were sent."""
        kept = {}
        for uid, path in self.rows("SELECT sop_instance_uid, path FROM instance WHERE state = 'current'"):
            kept[uid] = self.data / path
        return [uid for uid, sent in acknowledged.items()
                if uid not in kept or not kept[uid].exists() or data_set_digest(kept[uid]) != data_set_digest(sent)]

    def duplicated(self):
        """Instances kept more than once, series with more than one job, jobs that hold an instance twice."""
        return [row[0] for sql in (
            "SELECT sop_instance_uid FROM instance WHERE state <> 'missing' GROUP BY sop_instance_uid HAVING count(*) > 1",
            "SELECT series.series_uid FROM job JOIN series ON series.id = job.series GROUP BY job.series HAVING count(*) > 1",
        ) for row in self.rows(sql)]

    def findings(self):
        """What `doctor --data` finds wrong."""
        done = subprocess.run([self.program, "doctor", "--data", "--json", "--config", self.settings], capture_output=True, text=True)
        return json.loads(done.stdout)["findings"]

    def is_sound(self):
        return self.rows("PRAGMA integrity_check") == [("ok",)] and not self.rows("PRAGMA foreign_key_check")


class Sender:
    """A DCMTK tool that sends files over one association; `acknowledged` are those answered with success."""

    def __init__(self, tool, port, files, log):
        self.tool, self.files, self.log = tool, files, log
        options = ["-v", "-to", "5", "-ta", "10", "-td", "10", "-aet", tool.upper(), "-aec", "MEDLSAM", "127.0.0.1", str(port)]
        with open(log, "w") as output:
            self.process = subprocess.Popen([tool, *options, *map(str, files.values())], stdout=output, stderr=output, env=ENVIRONMENT)

    def wait(self, seconds=120):
        return self.process.wait(seconds)

    def acknowledged(self):
        uids = list(self.files)
        by_path = {str(path): uid for uid, path in self.files.items()}
        found, current = [], None
        for line in pathlib.Path(self.log).read_text(errors="replace").splitlines():
            if match := re.search(r"Sending file: (.*)", line):
                current = by_path.get(match[1].strip())
            elif self.tool == "dcmsend" and (match := re.search(r"Sending C-STORE Request \(MsgID (\d+)", line)):
                current = uids[(int(match[1]) - 1) % len(uids)]
            elif re.search(r"Received (C-STORE|Store) Response \(Success\)", line) and current:
                found.append(current)
                current = None
        return found


class PythonSender:
    """pynetdicom, in this process."""

    def __init__(self, port, files):
        import threading
        self.port, self.files, self.found = port, files, []
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()

    def send(self):
        from pynetdicom import AE
        from pydicom import dcmread
        from pydicom.uid import ExplicitVRLittleEndian
        entity = AE("PYNETDICOM")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
        entity.add_requested_context(CT, ExplicitVRLittleEndian)
        association = entity.associate("127.0.0.1", self.port, ae_title="MEDLSAM")
        try:
            for uid, path in self.files.items():
                if not association.is_established:
                    return
                if association.send_c_store(dcmread(path)).get("Status") == 0:
                    self.found.append(uid)
        except (RuntimeError, ValueError, OSError):
            pass  # the association broke
        finally:
            association.release() if association.is_established else association.abort()

    def wait(self, seconds=120):
        self.thread.join(seconds)

    def acknowledged(self):
        return list(self.found)


def table(rows):
    """Prints rows of equal keys as columns."""
    keys = list(rows[0])
    widths = [max(len(str(row[key])) for row in [dict(zip(keys, keys)), *rows]) for key in keys]
    for row in [dict(zip(keys, keys)), *rows]:
        print("  ".join(str(row[key]).ljust(width) for key, width in zip(keys, widths)).rstrip())


def shim(name, folder):
    """Builds shims/NAME.c as a library to preload."""
    library = folder / f"{name}.so"
    folder.mkdir(parents=True, exist_ok=True)
    compiler = next(c for c in ("cc", "gcc", "clang") if subprocess.run(["sh", "-c", f"command -v {c}"], capture_output=True).returncode == 0)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, pathlib.Path(__file__).parent / "shims" / f"{name}.c", "-ldl"], check=True)
    return library
