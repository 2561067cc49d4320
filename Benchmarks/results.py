#!/usr/bin/env python3
"""Measures how fast, and in how much memory, result objects are written. `make bench-results` runs it.

The same masks for all, on one core, one after the other in one run: 30 structures through all of 300 slices of 512 x 512, so that 9,000
frames hold something. Every writer gets the masks in the form it takes them in and the CT series beside them:

- `measure-results` (this project's writer in a release build): masks in memory, a byte a voxel, to a file on disk;
- highdicom: an array in memory, a byte a voxel, to a file on disk; its source images are read already;
- dcmqi's itkimage2segimage: a compressed NRRD file a structure, to a file on disk. It is a program that reads its own input, so its
  seconds hold that too; `reading` is what ITK (SimpleITK) takes to read the same files, for comparison.

Seconds and CPU seconds are those of making and writing; the peak is the most resident memory of the whole process, and where it can be
told apart, that beyond what the process held before: its input. A table, and JSON with --json.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WRITER = pathlib.Path(os.environ.get("MEASURE_RESULTS", ROOT / ".build/release/measure-results"))

# What the Python contenders share: the same counting as measure-results does.
COUNTING = """
import glob, json, sys, time, warnings
import numpy as np, pydicom
warnings.simplefilter("ignore")
def status(key):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key))
def measured(body):
    open("/proc/self/clear_refs", "w").write("5")
    held, cpu, begun = status("VmRSS"), time.process_time(), time.monotonic()
    body()
    print(json.dumps({"seconds": time.monotonic() - begun, "cpuSeconds": time.process_time() - cpu, "bytesBeyondInput": max(0, status("VmHWM") - held)}))
series, masks, form, out = sys.argv[1:]
source = sorted((pydicom.dcmread(path) for path in glob.glob(series + "/*.dcm")), key=lambda d: d.ImagePositionPatient[2])
pixels = np.fromfile(masks, np.uint8).reshape(-1, len(source), source[0].Rows, source[0].Columns)
"""

HIGHDICOM = COUNTING + """
import highdicom as hd
from pydicom.sr.coding import Code
algorithm = hd.AlgorithmIdentificationSequence("benchmark", Code("123110", "DCM", "Artificial Intelligence"), "1")
segments = [hd.seg.SegmentDescription(n + 1, f"Structure_{n + 1}", Code("91723000", "SCT", "Anatomical Structure"), Code("91609006", "SCT", "Mandible"),
                                      "AUTOMATIC", algorithm, display_color=hd.color.CIELabColor(50, 10, 10)) for n in range(len(pixels))]
pixels = np.ascontiguousarray(pixels.transpose(1, 2, 3, 0))
def body():
    hd.seg.Segmentation(source, pixels, form.upper(), segments, hd.UID(), 1, hd.UID(), 1, "benchmark", "benchmark", "1", "1",
                        max_fractional_value=255).save_as(out)
measured(body)
"""


def make_series(folder, slices, size):
    import pydicom
    from pydicom.data import get_testdata_file
    from pydicom.uid import generate_uid
    import numpy as np
    d = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    d.Rows = d.Columns = size
    d.PixelData = np.zeros((size, size), np.int16).tobytes()
    d.PixelSpacing, d.ImageOrientationPatient = [0.9, 0.9], [1, 0, 0, 0, 1, 0]
    d.SliceThickness = d.SpacingBetweenSlices = 1
    d.remove_private_tags()
    for k in range(slices):
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        d.ImagePositionPatient, d.InstanceNumber, d.SliceLocation = [-230, -230, float(k)], k + 1, float(k)
        d.save_as(folder / f"{k:04}.dcm")


def make_masks(path, nrrd, structures, slices, size):
    """Tubes of all sizes through every slice, which wind and never meet: one a field of a grid."""
    import numpy as np
    import SimpleITK as sitk
    across = int(np.ceil(np.sqrt(structures)))
    field = size / across
    y, x = np.mgrid[:size, :size]
    with open(path, "wb") as file:
        for n in range(structures):
            middle = (np.array(divmod(n, across)) + 0.5) * field
            mask = np.zeros((slices, size, size), np.uint8)
            for k in range(slices):
                turn = 2 * np.pi * (k / slices + n / structures)
                radius = field * (0.15 + 0.2 * n / structures)
                mask[k] = (x - middle[1] - field * 0.1 * np.cos(turn)) ** 2 + (y - middle[0] - field * 0.1 * np.sin(turn)) ** 2 <= radius ** 2
            file.write(mask.tobytes())
            if nrrd:
                image = sitk.GetImageFromArray(mask)
                image.SetSpacing([0.9, 0.9, 1]), image.SetOrigin([-230, -230, 0])
                sitk.WriteImage(image, str(nrrd / f"{n + 1}.nrrd"), True)


def metadata(structures):
    def code(value, scheme, meaning):
        return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}
    return {"ContentCreatorName": "benchmark", "SeriesDescription": "benchmark", "SeriesNumber": "1", "InstanceNumber": "1", "segmentAttributes": [[{
        "labelID": 1, "SegmentDescription": f"Structure_{n + 1}", "SegmentAlgorithmType": "AUTOMATIC", "SegmentAlgorithmName": "benchmark",
        "SegmentedPropertyCategoryCodeSequence": code("91723000", "SCT", "Anatomical Structure"),
        "SegmentedPropertyTypeCodeSequence": code("91609006", "SCT", "Mandible"), "recommendedDisplayRGBValue": [255, 138, 128]}] for n in range(structures)]}


def measured(command):
    """What a process says of itself in its last line, where it does, with its whole time and peak; None where it fails."""
    import time
    begun = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        return None
    result = {"wholeSeconds": time.monotonic() - begun, "peakBytes": usage.ru_maxrss * 1024}
    last = output.strip().splitlines()[-1:] or [""]
    own = json.loads(last[0]) if last[0].startswith("{") else {"seconds": result["wholeSeconds"], "cpuSeconds": usage.ru_utime + usage.ru_stime}
    return result | own


def contenders(work, form):
    series, masks = work / "series", work / "masks.raw"
    result = {"medlsam-node": ([WRITER, series, masks, form, work / "ours.dcm"], work / "ours.dcm"),
              "highdicom": ([sys.executable, "-c", HIGHDICOM, series, masks, form, work / "highdicom.dcm"], work / "highdicom.dcm")}
    if form != "fractional":
        files = sorted((work / "nrrd").glob("*.nrrd"), key=lambda path: int(path.stem))
        result["dcmqi"] = ([pathlib.Path(sys.executable).with_name("itkimage2segimage"), "--inputImageList", ",".join(map(str, files)),
                            "--inputDICOMDirectory", series, "--inputMetadata", work / "metadata.json", "--skip", "1", "--segmentationType", form,
                            "--outputDICOM", work / "dcmqi.dcm"], work / "dcmqi.dcm")
        result["(ITK reads them)"] = ([sys.executable, "-c", "import sys, SimpleITK\nfor f in sys.argv[1:]: SimpleITK.ReadImage(f)", *files], None)
    return result


def agree(paths):
    """Whether the objects of all writers have the same pixels, by pydicom."""
    import numpy as np
    import pydicom
    def content(path):
        d = pydicom.dcmread(path)
        if d.SegmentationType == "LABELMAP":
            keys = [(0, tuple(map(float, f.PlanePositionSequence[0].ImagePositionPatient))) for f in d.PerFrameFunctionalGroupsSequence]
        else:
            keys = [(f.SegmentIdentificationSequence[0].ReferencedSegmentNumber, tuple(map(float, f.PlanePositionSequence[0].ImagePositionPatient)))
                    for f in d.PerFrameFunctionalGroupsSequence]
        length = d.Rows * d.Columns * d.BitsAllocated // 8
        return {key: hash(d.PixelData[n * length:(n + 1) * length]) for n, key in enumerate(keys)}
    first, *others = [content(path) for path in paths]
    return all(first == other for other in others)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--structures", type=int, default=30)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--forms", nargs="+", default=["binary", "labelmap", "fractional"])
    parser.add_argument("--only", nargs="+", help="writers to measure")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-results-") as temporary:
        work = pathlib.Path(temporary)
        (work / "series").mkdir(), (work / "nrrd").mkdir()
        make_series(work / "series", options.slices, options.size)
        make_masks(work / "masks.raw", work / "nrrd", options.structures, options.slices, options.size)
        (work / "metadata.json").write_text(json.dumps(metadata(options.structures)))
        for form in options.forms:
            runs = {}
            for _ in range(options.runs):
                for name, (command, _) in contenders(work, form).items():
                    if not options.only or name in options.only:
                        runs.setdefault(name, []).append(measured(command))
            made = [out for name, (_, out) in contenders(work, form).items() if out and out.exists() and runs.get(name, [None])[0]]
            report(form, runs, rows, agree(made) if len(made) > 1 and options.size ** 2 % 8 == 0 else None)
            for out in made:
                out.unlink()
    if options.json:
        options.json.write_text(json.dumps({"structures": options.structures, "slices": options.slices, "size": options.size,
                                            "cores": 1, "rows": rows}, indent=1))


def report(form, runs, rows, same):
    print(f"{form}: the writers' pixels are {'the same' if same else 'not the same' if same is False else 'not compared'}", flush=True)
    own = None
    for name, results in runs.items():
        if None in results:
            print(f"  {name:17} fails")
            continue
        row = {"form": form, "writer": name, "same": same} | {key: statistics.median(r[key] for r in results) for key in results[0]}
        row["peakBytes"] = max(r["peakBytes"] for r in results)
        rows.append(row)
        own = own or row["seconds"]
        beyond = f"{row['bytesBeyondInput'] / 1e6:6.0f} MB beyond its input, " if "bytesBeyondInput" in row else " " * 29
        print(f"  {name:17} {row['seconds']:8.2f} s, {row['cpuSeconds']:8.2f} s of CPU, {beyond}process {row['wholeSeconds']:7.1f} s and "
              f"{row['peakBytes'] / 1e6:6.0f} MB   {row['seconds'] / own:6.1f} x", flush=True)


if __name__ == "__main__":
    main()
