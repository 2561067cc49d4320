"""Round trips of other toolkits' SEG through `medlsam-node convert`: theirs -> ours -> NIfTI, voxel for voxel.

usage: convert.py NODE [--shared FOLDER]

highdicom writes BINARY, FRACTIONAL and LABELMAP, with and without empty frames, frames in another order, and parts of the slices; dcmqi's
itkimage2segimage writes BINARY with its own axes. CTs: a turned phantom, a tilted and uneven one; with --shared a real abdomen, a planning
scan with its contours, and a tilted head. Exits 1 where a voxel differs.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes

import results
import series_cases

faults, count = 0, 0


def told(name: str, found, expected) -> None:
    global faults, count
    count += 1
    differing = "shape" if found is None or found.shape != expected.shape else int((found != expected).sum())
    faults += differing != 0
    print(f"{'ok' if differing == 0 else 'FAULT':6}{name}: {differing} of {int(expected.sum())} differ", flush=True)


def convert(node: Path, masks, ct: Path, out: Path, *options) -> None:
    run = subprocess.run([node, "convert", masks, "--ct", ct, "--output", out, *options], capture_output=True, text=True)
    if run.returncode != 0:
        raise ValueError(run.stderr.strip())


def through(node: Path, masks: Path, ct: Path, out: Path, slices: list, names: list, form="binary"):
    """The masks in our SEG, read by highdicom, and as NIfTI of it, in the order of the slices."""
    convert(node, masks, ct, out, "--objects", "SEG", "--seg-form", form)
    path = next(out.glob("SEG*.dcm"))
    ours = results.by_pydicom(path, slices)[:len(names)]
    convert(node, path, ct, out / "back", "--nifti", "masks")
    # NIfTI on the CT's grid: index k is slice k.
    back = np.stack([np.asanyarray(nib.load(out / f"back/{name}.nii.gz").dataobj).transpose(2, 1, 0) > 0 for name in names])
    return ours, back


def judge(node: Path, name: str, make, shared: Path, work: Path) -> None:
    folder = work / re.sub(r"\W+", "-", name)  # dcmqi parts its list of files by commas
    make(folder / "ct", shared, name)
    slices = results.scan(folder / "ct")
    centre = np.mean([s.points().mean((0, 1)) for s in slices], 0)
    masks = np.stack([results.structures(s.points() - centre) for s in slices], 1)
    single = results.labelled(masks)
    source = {d.SOPInstanceUID: d for d in results.headers(folder / "ct")}
    source = [source[s.uid] for s in slices]
    regular = len({tuple(np.round(b.position - a.position, 2)) for a, b in zip(slices, slices[1:])}) == 1 and np.linalg.norm(np.cross((slices[1].position - slices[0].position), slices[0].normal)) < 1e-3

    def highdicom(kind: str, order=None, **options) -> Path:
        pick = list(range(len(slices))) if order is None else order
        given = masks if kind != "LABELMAP" else single
        pixels = given[:, pick].transpose(1, 2, 3, 0)
        pixels = pixels * 0.8 if kind == "FRACTIONAL" else (pixels * [1, 2, 3]).max(-1) if kind == "LABELMAP" else pixels.astype(np.uint8)
        path = folder / f"{kind}-{len(list(folder.glob('*.dcm')))}.dcm"
        descriptions = [hd.seg.SegmentDescription(n + 1, label, codes.SCT.AnatomicalStructure, codes.SCT.Brain, hd.seg.SegmentAlgorithmTypeValues.MANUAL) for n, label in enumerate(results.NAMES)]
        hd.seg.Segmentation([source[k] for k in pick], pixels if kind != "LABELMAP" else pixels.astype(np.uint8), kind, descriptions, series_cases.uid(str(path), 1), 9,
                            series_cases.uid(str(path), 2), 1, "judges", "convert.py", "1", "1", **options).save_as(path)
        return path

    shuffled = list(np.random.default_rng(3).permutation(len(slices)))
    part = list(range(2, len(slices) - 3))
    trials = {"highdicom BINARY": highdicom("BINARY"), "highdicom BINARY with empty frames": highdicom("BINARY", omit_empty_frames=False),
              "highdicom BINARY in another order": highdicom("BINARY", shuffled), "highdicom BINARY of some slices": highdicom("BINARY", part),
              "highdicom FRACTIONAL": highdicom("FRACTIONAL"), "highdicom LABELMAP": highdicom("LABELMAP")}
    if regular:
        trials["dcmqi BINARY"] = dcmqi(folder, slices, masks)
    for trial, path in trials.items():
        expected = single.copy() if "LABELMAP" in trial else masks.copy()
        if "some slices" in trial:
            expected[:, [k for k in range(len(slices)) if k not in part]] = False
        try:
            ours, back = through(node, path, folder / "ct", folder / trial.replace(" ", "-"), slices, results.NAMES)
        except (ValueError, StopIteration) as error:
            print(error)
            ours, back = None, None
        told(f"{name}, {trial}, our SEG", ours, expected)
        # What is tilted or uneven comes back on a regular grid, which is another.
        if regular:
            told(f"{name}, {trial}, back to NIfTI", back, expected)


def dcmqi(folder: Path, slices: list, masks: np.ndarray) -> Path:
    """itkimage2segimage on images whose axes are turned round: it states what it is given."""
    first, step = slices[0], slices[1].position - slices[0].position
    files = []
    for n, mask in enumerate(masks):
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetOrigin(first.position.tolist())
        image.SetSpacing([first.spacing[1], first.spacing[0], float(np.linalg.norm(step))])
        image.SetDirection(np.stack([first.orientation[:3], first.orientation[3:], first.normal], 1).ravel().tolist())
        files.append(str(folder / f"{n}.nrrd"))
        sitk.WriteImage(image, files[-1])

    def code(value, meaning):
        return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}
    meta = {"ContentCreatorName": "Judge", "ClinicalTrialSeriesID": "1", "ClinicalTrialTimePointID": "1", "SeriesDescription": "x", "SeriesNumber": "300", "InstanceNumber": "1",
            "BodyPartExamined": "", "segmentAttributes": [[{
                "labelID": 1, "SegmentDescription": name, "SegmentLabel": name, "SegmentAlgorithmType": "MANUAL", "recommendedDisplayRGBValue": [10 + n, 200, 30],
                "SegmentedPropertyCategoryCodeSequence": code("91723000", "Anatomical Structure"), "SegmentedPropertyTypeCodeSequence": code("12738006", "Brain")}]
                for n, name in enumerate(results.NAMES)]}
    (folder / "meta.json").write_text(json.dumps(meta))
    run = subprocess.run([Path(sys.executable).with_name("itkimage2segimage"), "--inputImageList", ",".join(files), "--inputDICOMDirectory", folder / "ct",
                          "--inputMetadata", folder / "meta.json", "--outputDICOM", folder / "dcmqi.dcm", "--skip"], capture_output=True, text=True)
    if not (folder / "dcmqi.dcm").exists():
        print(run.stdout[-300:], run.stderr[-300:])
    return folder / "dcmqi.dcm"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node", type=Path)
    parser.add_argument("--shared", type=Path, help="the folder that holds data; without it, phantoms only")
    a = parser.parse_args()
    phantom = series_cases.phantom
    cases = {"turned": phantom(orientation=series_cases.turned(20, -15, 35)),
             "tilted and uneven": phantom(shift=(0, 6 * np.tan(np.radians(12)), 0), steps=[6.0] * 8 + [3.0] * 8)}
    if a.shared:
        cases |= results.real()
    with tempfile.TemporaryDirectory() as work:
        for name, make in cases.items():
            judge(a.node.resolve(), name, make, a.shared, Path(work))
    print(f"{count} comparisons, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
