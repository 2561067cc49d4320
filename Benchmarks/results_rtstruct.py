#!/usr/bin/env python3
"""Measures how fast, and in how much memory, masks become an RT Structure Set and are read back, beside rt-utils. `make bench-rtstruct` runs it.

30 structures, each on every one of 300 slices of 512 x 512: wobbling discs and rings, some touching, some hollow. Both writers get the
same masks and the same CT files in one run:

- `measure-structures` (the node's writer and reader): making the object, writing it, and reading it back into masks, which must be equal;
- rt-utils: `add_roi` of every mask and `save`, with pin holes, so that its holes are kept as ours are, and reading each mask back.

Seconds are the processor's, of one thread; peak memory is VmHWM of the process, the masks themselves (a byte a voxel, as rt-utils wants
them too: bool) and the CT included. A table, and JSON with --json. `rows(...)` gives the same to another benchmark.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("MEASURE_STRUCTURES", ROOT / ".build/release/measure-structures"))
PYTHON = ROOT / ".local/venv-pydicom2/bin/python"


def masks(structures, slices, size):
    """A mask a structure, bool [slice, row, column]."""
    import numpy as np
    y, x = np.mgrid[:size, :size].astype(np.float32)
    for n in range(structures):
        mask = np.zeros((slices, size, size), bool)
        radius = size * (0.03 + 0.1 * ((n * 7) % structures) / structures)
        for k in range(slices):
            cx = size / 2 + size * 0.25 * np.cos(n + k / 70)
            cy = size / 2 + size * 0.25 * np.sin(1.7 * n + k / 90)
            angle = np.arctan2(y - cy, x - cx)
            wobble = radius * (1 + 0.15 * np.sin(5 * angle + k / 20) + 0.04 * np.sin(17 * angle + n))
            away = np.hypot(x - cx, y - cy)
            mask[k] = away < wobble
            if n % 3 == 0:
                mask[k] &= away > wobble / 2
        yield mask


def write_ct(folder, slices, size):
    """The least that both read as a CT series."""
    import numpy as np
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    for k in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"2.25.1000{k}"
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        d = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        d.is_little_endian, d.is_implicit_VR = True, False
        d.SOPClassUID, d.SOPInstanceUID, d.Modality = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, "CT"
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "BENCH", "BENCH", "", "O"
        d.PatientAge, d.PatientSize, d.PatientWeight, d.StudyDescription = "060Y", "1.7", "70", ""
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = "2.25.1", "2.25.2", "2.25.3"
        d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber, d.ReferringPhysicianName = "20260101", "080000", "1", "", ""
        d.SeriesNumber, d.InstanceNumber, d.ImageType, d.PositionReferenceIndicator = 1, k + 1, ["ORIGINAL", "PRIMARY", "AXIAL"], ""
        d.Manufacturer, d.InstitutionName, d.ManufacturerModelName, d.SliceThickness = "bench", "bench", "bench", "2"
        d.ImageOrientationPatient, d.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-250, -250, 2 * k]
        d.PixelSpacing, d.SamplesPerPixel, d.PhotometricInterpretation = [0.9765625, 0.9765625], 1, "MONOCHROME2"
        d.Rows, d.Columns, d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = size, size, 16, 16, 15, 0
        d.RescaleSlope, d.RescaleIntercept = "1", "-1024"
        d.PixelData = np.full((size, size), 1024, "<u2").tobytes()
        d.save_as(f"{folder}/CT.{k:04d}.dcm", write_like_original=False)


def peak_megabytes():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def rt_utils(folder, packed, structures, slices, size, out):
    """What the process with rt-utils does."""
    import numpy as np
    from rt_utils import RTStructBuilder
    everything = np.memmap(packed, bool, "r", shape=(structures, slices, size, size))
    start = time.process_time()
    rt = RTStructBuilder.create_new(dicom_series_path=folder)
    loaded = time.process_time()
    for n in range(structures):
        rt.add_roi(mask=np.ascontiguousarray(everything[n].transpose(1, 2, 0)), name=f"Structure_{n + 1}", use_pin_hole=True)
    made = time.process_time()
    rt.save(out)
    saved = time.process_time()
    peak = peak_megabytes()
    again = RTStructBuilder.create_from(dicom_series_path=folder, rt_struct_path=out)
    opened = time.process_time()
    overlap = []
    for n in range(structures):
        found, mask = again.get_roi_mask_by_name(f"Structure_{n + 1}").transpose(2, 0, 1), everything[n]
        overlap.append(2 * (found & mask).sum() / (found.sum() + mask.sum()))
    print(json.dumps({"load": loaded - start, "make": made - loaded, "write": saved - made, "read": time.process_time() - opened,
                      "peak": peak, "size": os.path.getsize(out), "dice": float(min(overlap))}))


def rows(structures=30, slices=300, size=512):
    """Measures both; a dictionary a program."""
    with tempfile.TemporaryDirectory() as scratch:
        packed, folder = scratch + "/masks", scratch + "/ct"
        os.mkdir(folder)
        subprocess.run([PYTHON, __file__, "--make", folder, packed, str(structures), str(slices), str(size)], check=True)
        out = scratch + "/ours.dcm"
        process = subprocess.Popen([PROGRAM, folder, packed, str(structures), out], stdout=subprocess.PIPE, text=True)
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"measure-structures failed: {status}")
        ours = json.loads(text) | {"peak": round(usage.ru_maxrss / 1024), "size": os.path.getsize(out)}
        text = subprocess.run([PYTHON, __file__, "--rt-utils", folder, packed, str(structures), str(slices), str(size), scratch + "/theirs.dcm"],
                              check=True, capture_output=True, text=True).stdout
        return {"medlsam-node": ours, "rt-utils": json.loads(text.splitlines()[-1])}


def main():
    if sys.argv[1:2] == ["--make"]:
        folder, packed, structures, slices, size = sys.argv[2], sys.argv[3], *map(int, sys.argv[4:])
        write_ct(folder, slices, size)
        with open(packed, "wb") as file:
            for mask in masks(structures, slices, size):
                file.write(mask.tobytes())
        return
    if sys.argv[1:2] == ["--rt-utils"]:
        return rt_utils(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7]), sys.argv[7])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structures", type=int, default=30), parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512), parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = rows(options.structures, options.slices, options.size)
    if options.json:
        return print(json.dumps(found, indent=1))
    print(f"{options.structures} structures x {options.slices} slices of {options.size} x {options.size}; seconds of one core")
    print("| | make | write | read | peak MB | file MB | read back |\n|---|---|---|---|---|---|---|")
    for name, row in found.items():
        back = f"{row['differing']} masks differ" if "differing" in row else f"Dice {row['dice']:.4f} at least"
        print(f"| {name} | {row['make']:.2f} | {row['write']:.2f} | {row['read']:.2f} | {row['peak']} | {row['size'] / 1e6:.1f} | {back} |")


if __name__ == "__main__":
    main()
