"""Judges SEG objects of every form: each reader's pixels against those that were to be written.

usage: segmentation.py JUDGE[,JUDGE...] FOLDER...   judges: highdicom, pydicom, dcmqi; with pydicom 2: pydicom-seg
A folder has SEG.dcm, case.json (origins of the source's slices, their instances and frame numbers, rows, columns, number of segments) and
expected.raw, a byte a pixel: segments, slices, rows, columns.
Prints a line a folder and judge: how many pixels differ, and what else is wrong.
"""
import glob
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk


def by_highdicom(folder, case):
    import highdicom as hd
    seg = hd.seg.segread(folder / "SEG.dcm")
    how = {"rescale_fractional": False, "assert_missing_frames_are_empty": True}
    if case["numbers"][0] is None:
        found = seg.get_pixels_by_source_instance(case["uids"], **how)
    else:
        found = seg.get_pixels_by_source_frame(case["uids"][0], case["numbers"], **how)
    geometry = seg.get_volume_geometry() if case["isRegular"] else None
    wrong = [] if not case["isRegular"] or geometry is not None else ["no volume"]
    return found.transpose(3, 0, 1, 2), wrong


def by_pydicom(folder, case):
    """Frame by frame, by what each says of itself; and every index and reference."""
    d, wrong = pydicom.dcmread(folder / "SEG.dcm"), []
    labels = d.SegmentationType == "LABELMAP"
    found = np.zeros((case["segments"], len(case["uids"]), d.Rows, d.Columns), np.uint8)
    frames = d.pixel_array.reshape(-1, d.Rows, d.Columns)
    places = list(zip(case["uids"], case["numbers"]))
    used = sorted({places.index(place_of(own)) for own in d.PerFrameFunctionalGroupsSequence})
    if len(frames) != d.NumberOfFrames or len(d.PerFrameFunctionalGroupsSequence) != d.NumberOfFrames:
        wrong.append("number of frames")
    for own, pixels in zip(d.PerFrameFunctionalGroupsSequence, frames):
        k = places.index(place_of(own))
        index = [used.index(k) + 1]
        if not labels:
            number = own.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            found[number - 1, k] = pixels
            index.insert(0, number)
        else:
            if "SegmentIdentificationSequence" in own:
                wrong.append("a label map's frame is of a segment")
            for number in range(1, case["segments"] + 1):
                found[number - 1, k] = pixels == number
            if not set(np.unique(pixels)) <= set(range(case["segments"] + 1)):
                wrong.append("a label without a segment")
        values = own.FrameContentSequence[0].DimensionIndexValues
        if (list(values) if isinstance(values, (list, pydicom.multival.MultiValue)) else [values]) != index:
            wrong.append(f"index {values} is not {index}")
        if not np.allclose(own.PlanePositionSequence[0].ImagePositionPatient, case["origins"][k], atol=1e-6):
            wrong.append("position")
        if not pixels.any() and not case["emptyFrames"]:
            wrong.append("an empty frame")
    numbers = [s.SegmentNumber for s in d.SegmentSequence]
    if numbers != list(range(0 if labels else 1, case["segments"] + 1)):
        wrong.append(f"segments {numbers}")
    if case["emptyFrames"] and len(frames) != len(places) * (1 if labels else case["segments"]):
        wrong.append("not every frame")
    return found, wrong


def place_of(own):
    image = own.DerivationImageSequence[0].SourceImageSequence[0]
    return image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")


def on_slices(images, case):
    """ITK images of one segment each, on the source's slices."""
    found, wrong = np.zeros((case["segments"], len(case["uids"]), case["rows"], case["columns"]), np.uint8), []
    for number, image in images:
        array = sitk.GetArrayFromImage(image)
        if array.shape[1:] != found.shape[2:]:
            wrong.append(f"{array.shape} pixels")
            continue
        for n in range(array.shape[0]):
            away = np.linalg.norm(np.array(case["origins"]) - image.TransformIndexToPhysicalPoint((0, 0, n)), axis=1)
            if away.min() > 1e-3 and array[n].any():
                wrong.append("a slice out of place")
            elif away.min() <= 1e-3:
                found[number - 1, away.argmin()] = array[n]
    return found, wrong


def by_dcmqi(folder, case):
    with tempfile.TemporaryDirectory() as out:
        made = subprocess.run([Path(sys.executable).with_name("segimage2itkimage"), "--inputDICOM", folder / "SEG.dcm", "--outputDirectory", out],
                              capture_output=True, text=True, timeout=120)
        files = glob.glob(out + "/*.nrrd")
        if not files:
            return np.zeros(1, np.uint8), ["makes nothing of it: " + (made.stdout + made.stderr)[-300:].replace("\n", " ")]
        images = [(int(Path(f).stem), sitk.ReadImage(f)) for f in files]
    if case["form"] == "labelmap":
        # It makes one image of all, with their numbers.
        images = [(n, images[0][1] == n) for n in range(1, case["segments"] + 1)]
    elif case["form"] == "binary":
        images = [(n, image > 0) for n, image in images]
    return on_slices(images, case)


def by_pydicom_seg(folder, case):
    import pydicom_seg
    result = pydicom_seg.SegmentReader().read(pydicom.dcmread(folder / "SEG.dcm"))
    # Of fractions it makes numbers from 0 to 1.
    factor = 255 if case["form"] == "fractional" else 1
    return on_slices([(n, sitk.Cast(sitk.Round(sitk.Cast(result.segment_image(n), sitk.sitkFloat32) * factor), sitk.sitkUInt8)) for n in result.available_segments], case)


JUDGES = {"highdicom": by_highdicom, "pydicom": by_pydicom, "dcmqi": by_dcmqi, "pydicom-seg": by_pydicom_seg}

for folder in map(Path, sys.argv[2:]):
    case = json.loads((folder / "case.json").read_text())
    expected = np.fromfile(folder / "expected.raw", np.uint8).reshape(case["segments"], len(case["uids"]), case["rows"], case["columns"])
    for judge in sys.argv[1].split(","):
        found, wrong = JUDGES[judge](folder, case)
        differing = (found != expected).sum() if found.shape == expected.shape else f"shape {found.shape}"
        print(folder.name, judge, "differing", differing, "of", expected.astype(bool).sum(), *sorted(set(wrong)), sep="\t")
