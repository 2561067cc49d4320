#!/usr/bin/env python3
"""Measures how fast, and in how much memory, a CT series becomes a volume. `make bench-series` runs it.

A series of 1,000 slices of 512 x 512 in each of five transfer syntaxes, made of a real scan (the shared abdomen; where ../shared is
absent, pydicom's own slice, enlarged) whose slices are repeated at new positions, by DCMTK and GDCM tools. In one run, in turns and on
the same folders:

- to a NIfTI file: `medlsam-node volume --nifti`, and dcm2niix;
- to a volume in memory: `medlsam-node volume`, pydicom with the pylibjpeg plugins, and pydicom with GDCM: stored values to Hounsfield
  units in one array, nothing written.

Each is compared with the node's reading to the same end. Medians of the runs, the peak of resident memory (VmHWM) beside the volume's
own bytes, and ratios; a table, and JSON with --json. Files to be read are in the page cache; where the NIfTI files go (--output, by
default beside them) decides how much of the time is the disk's.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NODE = pathlib.Path(os.environ.get("MEDLSAM_NODE", ROOT / ".build/release/medlsam-node"))
ABDOMEN = ROOT.parent / "shared/data/dicom/abdomen"
ENCODE = {
    "uncompressed": None,
    "RLE": ["dcmcrle"],
    "JPEG lossless": ["dcmcjpeg", "+e1"],
    "JPEG-LS": ["gdcmconv", "--jpegls"],
    "JPEG 2000": ["gdcmconv", "--j2k"],
}

PYDICOM = """
import glob, sys, numpy as np, pydicom
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
plugin, folder = sys.argv[1:]
slices = [pydicom.dcmread(path) for path in glob.glob(folder + "/*.dcm")]
slices.sort(key=lambda d: d.ImagePositionPatient[2])
volume = np.empty((len(slices), slices[0].Rows, slices[0].Columns), np.int16)
for k, d in enumerate(slices):
    if plugin and d.file_meta.TransferSyntaxUID.is_compressed:
        d.pixel_array_options(decoding_plugin=plugin)
    np.clip(d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept), -1024, 32767, out=volume[k], casting="unsafe")
    slices[k] = None
"""


def sources():
    """Real slices in explicit VR little endian: (data set, pixels)."""
    import numpy as np
    import pydicom
    from pydicom.data import get_testdata_file
    if ABDOMEN.exists():
        return [pydicom.dcmread(path) for path in sorted(ABDOMEN.glob("*.dcm"))]
    small = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    small.PixelData = np.kron(small.pixel_array, np.ones((4, 4), np.int16)).tobytes()
    small.Rows, small.Columns = 4 * small.Rows, 4 * small.Columns
    return [small]


def make(folder, slices):
    """Each source slice is encoded once, and written as often as it is needed with another position and UID."""
    import pydicom
    from pydicom.uid import generate_uid
    series, study, frame = (generate_uid() for _ in range(3))
    originals = sources()
    for name, encode in ENCODE.items():
        target = folder / name.replace(" ", "-")
        target.mkdir()
        encoded = []
        for n, d in enumerate(originals):
            plain, packed = folder / "plain.dcm", folder / "packed.dcm"
            d.save_as(plain)
            if encode:
                subprocess.run([*encode, plain, packed], check=True, capture_output=True)
            encoded.append(pydicom.dcmread(packed if encode else plain))
        for k in range(slices):
            d = encoded[k % len(encoded)]
            d.SeriesInstanceUID, d.StudyInstanceUID, d.FrameOfReferenceUID = series, study, frame
            d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            d.ImagePositionPatient, d.InstanceNumber, d.SliceThickness = [-200, -200, float(k)], k + 1, 1
            d.ImageOrientationPatient, d.PatientPosition, d.SliceLocation = [1, 0, 0, 0, 1, 0], "HFS", float(k)
            d.save_as(target / f"{k:04}.dcm")
        yield name, target


def measured(command):
    """Seconds, CPU seconds and peak resident memory in bytes of a command; None where it fails."""
    begun = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return (time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024) if status == 0 else None


# What reads to the same end as which of the node's two.
PEERS = {"dcm2niix": "medlsam-node to NIfTI", "pydicom+pylibjpeg": "medlsam-node", "pydicom+GDCM": "medlsam-node"}


def contenders(folder, output):
    python = [sys.executable, "-c", PYDICOM]
    return {
        "medlsam-node to NIfTI": [NODE, "volume", folder, "--nifti", output / "out.nii"],
        "dcm2niix": ["dcm2niix", "-z", "n", "-b", "n", "-w", "1", "-f", "peer", "-o", output, folder],
        "medlsam-node": [NODE, "volume", folder],
        "pydicom+pylibjpeg": [*python, "pylibjpeg", folder],
        "pydicom+GDCM": [*python, "gdcm", folder],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, help="an existing folder for the NIfTI files, such as one in memory")
    options = parser.parse_args()
    volume_bytes = options.slices * 512 * 512 * 2
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-series-") as temporary:
        work = pathlib.Path(temporary)
        for name, folder in make(work, options.slices):
            commands = contenders(folder, options.output or work)
            runs = {peer: [] for peer in commands}
            for _ in range(options.runs):
                for peer, command in commands.items():
                    # To replace a file costs either program the old one's removal, and the node its flush: that is no reading.
                    for old in (options.output or work).glob("*.nii"):
                        old.unlink()
                    runs[peer].append(measured(command))
            for peer, results in runs.items():
                sound = [result for result in results if result]
                if not sound:
                    rows.append({"transferSyntax": name, "reader": peer, "seconds": None})
                    continue
                seconds, cpu, peaks = zip(*sound)
                rows.append({"transferSyntax": name, "reader": peer, "seconds": statistics.median(seconds), "allSeconds": seconds,
                             "cpuSeconds": statistics.median(cpu), "peakBytes": max(peaks), "peakInVolumes": max(peaks) / volume_bytes})
            shutil.rmtree(folder)
            report(rows[-len(runs):])
    if options.json:
        options.json.write_text(json.dumps({"slices": options.slices, "cores": os.cpu_count(), "volumeBytes": volume_bytes, "rows": rows}, indent=1))


def report(rows):
    seconds = {row["reader"]: row["seconds"] for row in rows}
    for row in rows:
        if row["seconds"] is None:
            print(f"{row['transferSyntax']:14} {row['reader']:22} cannot read it", flush=True)
            continue
        own = seconds.get(PEERS.get(row["reader"]))
        ratio = f"  {row['seconds'] / own:6.2f} x the node" if own else ""
        print(f"{row['transferSyntax']:14} {row['reader']:22} {row['seconds']:7.2f} s, {row['cpuSeconds']:7.2f} s of CPU, peak "
              f"{row['peakBytes'] / 2**20:6.0f} MB = {row['peakInVolumes']:.2f} volumes{ratio}", flush=True)


if __name__ == "__main__":
    main()
