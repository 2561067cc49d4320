"""Every reader on every object of every geometry: what others make of our SEG and RTSTRUCT, as Dice with the masks that went in.

usage: results.py NODE [--shared FOLDER] [--table FILE] [--only WORDS]

For each geometry, a CT series (series_cases.py's phantom, or with --shared a real scan) gets masks as a function of patient position: a
body with a cavity, a block, and a ball that overlaps the body. highdicom writes them as a SEG on the CT; `medlsam-node convert` makes our
objects of it, which the readers read. So the way in is judged too: a mask that we misplace while reading is misplaced in every cell.
A last column is the way back: `convert` of our objects to NIfTI, read by nibabel, against the masks.

Exits 1 where a Dice is under what `EXPECTED` and `DIFFERS` say. With --table writes Markdown.
"""
import argparse
import glob
import json
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes
from skimage.draw import polygon2mask

import series_cases

HERE = Path(__file__).resolve().parent
OTHER_PYTHON = HERE.parent.parent / ".local/venv-pydicom2/bin/python"
NAMES = ["Body", "Block", "Ball"]
sitk.ProcessObject_SetGlobalWarningDisplay(False)


def structures(p: np.ndarray) -> np.ndarray:
    """[structure, ...] at patient positions (..., 3): none is symmetric, the first has a cavity, the last overlaps it."""
    x, y, z = np.moveaxis(p, -1, 0)
    outer = ((x - 5) / 40) ** 2 + ((y + 4) / 50) ** 2 + ((z - 3) / 35) ** 2 <= 1
    cavity = ((x + 9) / 15) ** 2 + ((y - 12) / 20) ** 2 + ((z - 3) / 18) ** 2 <= 1
    block = (15 < x) & (x < 45) & (-40 < y) & (y < -10) & (0 < z) & (z < 30)
    ball = ((x - 20) / 16) ** 2 + ((y - 20) / 14) ** 2 + ((z + 12) / 17) ** 2 <= 1
    return np.stack([outer & ~cavity, block, ball])


# MARK: The scan

@dataclass
class Slice:
    """A slice of the CT: where it is, and which frame of which instance."""
    uid: str
    number: int | None
    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray
    size: tuple

    @property
    def normal(self):
        return np.cross(self.orientation[:3], self.orientation[3:])

    def points(self) -> np.ndarray:
        j, i = np.mgrid[0:self.size[0], 0:self.size[1]]
        return self.position + i[..., None] * self.spacing[1] * self.orientation[:3] + j[..., None] * self.spacing[0] * self.orientation[3:]

    def image(self) -> sitk.Image:
        image = sitk.Image(self.size[1], self.size[0], 1, sitk.sitkUInt8)
        image.SetOrigin(self.position.tolist())
        image.SetSpacing([self.spacing[1], self.spacing[0], 1.0])
        image.SetDirection(np.stack([self.orientation[:3], self.orientation[3:], self.normal], axis=1).ravel().tolist())
        return image


def scan(folder: Path) -> list:
    slices = []
    for path in sorted(folder.iterdir()):
        d = pydicom.dcmread(path, stop_before_pixels=True)
        if "PerFrameFunctionalGroupsSequence" not in d:
            slices.append(Slice(d.SOPInstanceUID, None, np.array(d.ImagePositionPatient, float), np.array(d.ImageOrientationPatient, float), np.array(d.PixelSpacing, float), (d.Rows, d.Columns)))
            continue
        shared = d.SharedFunctionalGroupsSequence[0]
        for n, own in enumerate(d.PerFrameFunctionalGroupsSequence):
            def group(name):
                return (own if name in own else shared)[name].value[0]
            slices.append(Slice(d.SOPInstanceUID, n + 1, np.array(group("PlanePositionSequence").ImagePositionPatient, float),
                                np.array(group("PlaneOrientationSequence").ImageOrientationPatient, float), np.array(group("PixelMeasuresSequence").PixelSpacing, float), (d.Rows, d.Columns)))
    return sorted(slices, key=lambda s: float(s.position @ s.normal))


def headers(folder: Path) -> list:
    """A CT's data sets as highdicom wants them: with every type 2 attribute, which anonymised archives leave out."""
    found = [pydicom.dcmread(f) for f in sorted(folder.iterdir())]
    for d in found:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
            if keyword not in d:
                setattr(d, keyword, "")
    return found


def given(folder: Path, slices: list, masks: np.ndarray, path: Path) -> None:
    """The masks as highdicom writes them on the CT."""
    source = headers(folder)
    keys = [(s.uid, s.number) for s in slices]
    order = [keys.index((d.SOPInstanceUID, None)) for d in source] if slices[0].number is None else np.argsort([s.number for s in slices])
    descriptions = [hd.seg.SegmentDescription(
        n + 1, name, codes.SCT.AnatomicalStructure, codes.SCT.Brain, hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        hd.AlgorithmIdentificationSequence("Function", codes.DCM.ArtificialIntelligence, "1.0")) for n, name in enumerate(NAMES)]
    hd.seg.Segmentation(source, masks[:, order].transpose(1, 2, 3, 0).astype(np.uint8), "BINARY", descriptions, series_cases.uid(str(path), "series"), 9,
                        series_cases.uid(str(path), "object"), 1, "judges", "results.py", "1", "1").save_as(path)


# MARK: Readers of SEG

def by_pydicom(path: Path, slices: list) -> np.ndarray:
    """Frame by frame, by the source image that each names."""
    d = pydicom.dcmread(path)
    found = np.zeros((len(NAMES), len(slices), d.Rows, d.Columns))
    keys = [(s.uid, s.number) for s in slices]
    for own, pixels in zip(d.PerFrameFunctionalGroupsSequence, d.pixel_array.reshape(-1, d.Rows, d.Columns)):
        image = own.DerivationImageSequence[0].SourceImageSequence[0]
        k = keys.index((image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")))
        if d.SegmentationType == "LABELMAP":
            for n in range(len(NAMES)):
                found[n, k] = pixels == n + 1
        else:
            found[own.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1, k] = pixels / (d.get("MaximumFractionalValue") or 1)
    return found >= 0.5


def by_highdicom(path: Path, slices: list) -> np.ndarray:
    seg = hd.seg.segread(path)
    options = {"assert_missing_frames_are_empty": True}
    if slices[0].number is None:
        found = seg.get_pixels_by_source_instance([s.uid for s in slices], **options)
    else:
        found = seg.get_pixels_by_source_frame(slices[0].uid, [s.number for s in slices], **options)
    return found.transpose(3, 0, 1, 2) >= 0.5


def at_pixels(images: dict, slices: list) -> np.ndarray:
    """Images of a structure each, at the CT's pixel centres, as ITK maps them."""
    found = np.zeros((len(NAMES), len(slices), *slices[0].size), bool)
    for number, image in images.items():
        for k, s in enumerate(slices):
            found[number - 1, k] = sitk.GetArrayFromImage(sitk.Resample(image, s.image(), sitk.Transform(), sitk.sitkNearestNeighbor, 0))[0] > 0
    return found


def by_dcmqi(path: Path, slices: list) -> np.ndarray:
    with tempfile.TemporaryDirectory() as out:
        run = subprocess.run([Path(sys.executable).with_name("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", out], capture_output=True, text=True, timeout=120)
        images = {int(Path(f).stem): sitk.ReadImage(f) for f in glob.glob(out + "/*.nrrd")}
    if not images:
        raise ValueError((run.stdout + run.stderr).strip().splitlines()[-1])
    if pydicom.dcmread(path, stop_before_pixels=True).SegmentationType == "LABELMAP":
        images = {n + 1: image == n + 1 for image in images.values() for n in range(len(NAMES))} if len(images) == 1 else {n: image == n for n, image in images.items() if n}
    return at_pixels(images, slices)


def by_pydicom_seg(path: Path, slices: list) -> np.ndarray:
    script = """
import sys, pydicom, pydicom_seg, SimpleITK
result = pydicom_seg.SegmentReader().read(pydicom.dcmread(sys.argv[1]))
for n in result.available_segments:
    SimpleITK.WriteImage(result.segment_image(n), f"{sys.argv[2]}/{n}.nrrd")
"""
    with tempfile.TemporaryDirectory() as out:
        run = subprocess.run([OTHER_PYTHON, "-c", script, path, out], capture_output=True, text=True)
        if run.returncode != 0:
            raise ValueError(run.stderr.strip().splitlines()[-1])
        return at_pixels({int(Path(f).stem): sitk.ReadImage(f) for f in glob.glob(out + "/*.nrrd")}, slices)


def by_simpleitk(path: Path, slices: list) -> np.ndarray:
    """GDCM's frames, put where pydicom says that they belong: SimpleITK knows no segments."""
    d = pydicom.dcmread(path)
    frames = sitk.GetArrayFromImage(sitk.ReadImage(path))
    if frames.shape != (d.NumberOfFrames, d.Rows, d.Columns):
        raise ValueError(f"an image of {frames.shape}")
    theirs, mine = frames > 0, d.pixel_array.reshape(frames.shape) > 0
    return np.repeat((theirs == mine).all(axis=(1, 2))[None, :, None], len(NAMES), 0)


# MARK: Readers of RTSTRUCT

def by_contours(path: Path, slices: list) -> np.ndarray:
    """pydicom reads the contours, scikit-image fills them on the image that each names, even-odd."""
    d = pydicom.dcmread(path)
    names = {roi.ROINumber: roi.ROIName for roi in d.StructureSetROISequence}
    keys = [(s.uid, s.number) for s in slices]
    found = np.zeros((len(NAMES), len(slices), *slices[0].size), bool)
    for roi in d.ROIContourSequence:
        for contour in roi.ContourSequence:
            image = contour.ContourImageSequence[0]
            k = keys.index((image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")))
            s = slices[k]
            points = np.array(contour.ContourData, float).reshape(-1, 3) - s.position
            if np.abs(points @ s.normal).max() > 1e-3:
                raise ValueError("a contour leaves its plane")
            pixels = np.stack([points @ s.orientation[3:] / s.spacing[0], points @ s.orientation[:3] / s.spacing[1]], 1)
            found[NAMES.index(names[roi.ReferencedROINumber]), k] ^= polygon2mask(s.size, pixels)
    return found


def by_contour_programs(folder: Path, path: Path, slices: list, masks: np.ndarray) -> dict:
    """plastimatch, platipy, rt-utils and dcmrtstruct2nii by contours.py, which lays out what each can be asked."""
    work = folder / f"programs-{path.parent.name}"
    (work / "ct").mkdir(parents=True)
    for n, f in enumerate(sorted((folder / "ct").iterdir())):
        shutil.copy(f, work / f"ct/CT.{n:04d}.dcm")
    shutil.copy(path, work / "RT.dcm")
    (work / "names").write_text("\n".join(NAMES))
    masks.astype(np.uint8).tofile(work / "masks")
    run = subprocess.run([OTHER_PYTHON, HERE / "contours.py", work], capture_output=True, text=True)
    found = {}
    for line in run.stdout.splitlines():
        words = line.split()
        if len(words) >= 7 and words[2] in NAMES:
            found.setdefault(words[1], {})[words[2]] = float(words[6])
    if not found:
        raise ValueError((run.stderr.strip().splitlines() or ["nothing said"])[-1])
    return {program: [dices.get(name, 0.0) for name in NAMES] for program, dices in found.items()}


# MARK: Judging

READERS = {"pydicom": by_pydicom, "highdicom": by_highdicom, "dcmqi": by_dcmqi, "pydicom-seg": by_pydicom_seg, "SimpleITK": by_simpleitk}
OBJECTS = {"SEG BINARY": ["--objects", "SEG"], "SEG FRACTIONAL": ["--objects", "SEG", "--seg-form", "fractional"],
           "SEG LABELMAP": ["--objects", "SEG", "--seg-form", "labelmap"], "RTSTRUCT keyhole": ["--objects", "RTSTRUCT"],
           "RTSTRUCT xor": ["--objects", "RTSTRUCT", "--holes", "xor"]}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def geometries() -> dict:
    turned, phantom = series_cases.turned, series_cases.phantom
    return {
        "axial, head first": phantom(), "axial, feet first prone": phantom(orientation=series_cases.POSITIONS["FFP"], position="FFP", size=(47, 53)),
        "oblique": phantom(orientation=turned(20, -15, 35)), "sagittal": phantom(orientation=(0, 1, 0, 0, 0, -1)), "coronal": phantom(orientation=(1, 0, 0, 0, 0, -1)),
        "anisotropic": phantom(spacing=(6.5, 2.25), size=(30, 80)), "tilted 12 degrees": phantom(shift=(0, 6 * np.tan(np.radians(12)), 0)),
        "uneven": phantom(steps=[6.0] * 8 + [3.0] * 8), "multi-frame, frames in no order": series_cases.enhanced,
    }


def real() -> dict:
    copied = series_cases.copied
    return {"abdomen, feet first (GE)": copied("abdomen"), "head, tilted 18.5 degrees and uneven (GE)": copied("gantry-tilt"), "planning scan (OpenKBP)": series_cases.planning_scan}


#: Why a reader's Dice may be what it is: (reader, object, geometry) as patterns, the least that is asked then, and who is right.
DIFFERS = [
    ("dcmqi", "SEG .*", "tilted.*|uneven|head, tilted.*", 0, "it makes one ITK image of a SEG, which has one spacing and right angles: slices that lean or lie unevenly have no such image."),
    ("pydicom-seg", "SEG .*", "tilted.*|uneven|head, tilted.*", 0, "as dcmqi: one ITK image, one spacing."),
    ("pydicom-seg", "SEG (FRACTIONAL|LABELMAP)", ".*", 0, "it reads BINARY by segments, FRACTIONAL as an array only, and knows no label map (it is older than they are)."),
    ("SimpleITK", "SEG LABELMAP", ".*", 0, "its GDCM does not know the SOP class (PS3 Supplement 243), and reads no label map, highdicom's neither."),
    ("dcmrtstruct2nii|plastimatch|platipy.*", "RTSTRUCT xor", ".*", 0, "it passes over CLOSEDPLANAR_XOR, so that only structures without holes are there: keyhole is our default for it."),
]
#: What is asked of a Dice otherwise: masks bit for bit, contours nearly.
EXPECTED = {"SEG": 1.0, "RTSTRUCT": 0.98}


def judge(name: str, make, node: Path, shared: Path, work: Path) -> list:
    """A row for each object and reader: (geometry, object, reader, Dice of each structure or why not, fault)."""
    folder = work / re.sub(r"\W+", "-", name)
    make(folder / "ct", shared, name)
    slices = scan(folder / "ct")
    centre = np.mean([s.points().mean((0, 1)) for s in slices], 0)
    masks = np.stack([structures(s.points() - centre) for s in slices], 1)
    given(folder / "ct", slices, masks, folder / "given.dcm")
    rows = []
    axial = slices[0].number is None and np.allclose(slices[0].orientation, [1, 0, 0, 0, 1, 0]) and len({tuple(np.round(b.position - a.position, 3)) for a, b in zip(slices, slices[1:])}) == 1 \
        and np.allclose((slices[1].position - slices[0].position)[:2], 0)
    for kind, options in OBJECTS.items():
        out = folder / kind.replace(" ", "-")
        run = subprocess.run([node, "convert", folder / "given.dcm", "--ct", folder / "ct", "--output", out, *options], capture_output=True, text=True)
        files = sorted(out.glob("*.dcm")) if out.exists() else []
        if run.returncode != 0 or len(files) != 1:
            rows.append(row(name, kind, "convert", run.stderr.strip()))
            continue
        # A label map gives what structures share to the smallest.
        written = pydicom.dcmread(files[0], stop_before_pixels=True).get("SegmentationType")
        if kind.startswith("SEG") and kind != f"SEG {written}":
            rows.append(row(name, kind, "convert", f"written as {written}"))
            continue
        truth = labelled(masks) if written == "LABELMAP" else masks
        readers = READERS if kind.startswith("SEG") else {"pydicom, scikit-image": by_contours}
        for reader, read in readers.items():
            try:
                found = read(files[0], slices)
                dices = [float(found.mean())] * len(NAMES) if reader == "SimpleITK" else [dice(f, t) for f, t in zip(found, truth)]
                rows.append(row(name, kind, reader, dices))
            except Exception as error:  # whatever a reader says is its verdict
                rows.append(row(name, kind, reader, f"not read: {str(error).strip().splitlines()[0][:100]}"))
        if kind.startswith("RTSTRUCT") and axial and (HERE / "contours.py").exists():
            for program, dices in by_contour_programs(folder, files[0], slices, masks).items():
                rows.append(row(name, kind, program, dices))
        rows.append(row(name, kind, "back to NIfTI", back(node, files[0], folder, slices, truth)))
    shutil.rmtree(folder)
    return rows


def labelled(masks: np.ndarray) -> np.ndarray:
    found = masks.copy()
    for n in sorted(range(len(NAMES)), key=lambda n: masks[n].sum()):
        for m in range(len(NAMES)):
            if m != n and masks[m].sum() > masks[n].sum():
                found[m] &= ~masks[n]
    return found


def back(node: Path, path: Path, folder: Path, slices: list, truth: np.ndarray):
    """Our object as NIfTI on the CT's grid, at the CT's pixels."""
    out = folder / ("back-" + path.parent.name)
    run = subprocess.run([node, "convert", path, "--ct", folder / "ct", "--output", out, "--nifti", "masks"], capture_output=True, text=True)
    if run.returncode != 0:
        return run.stderr.strip()
    dices = []
    for n, name in enumerate(NAMES):
        image = nib.load(out / f"{name}.nii.gz")
        data, to_index = np.asanyarray(image.dataobj), np.linalg.inv(np.diag([-1, -1, 1, 1]) @ image.affine)
        found = []
        for s in slices:
            index = np.rint(nib.affines.apply_affine(to_index, s.points()) - 1e-4).astype(int)
            inside = ((index >= 0) & (index < data.shape)).all(-1)
            i, j, k = np.moveaxis(np.clip(index, 0, np.array(data.shape) - 1), -1, 0)
            found.append(inside & (data[i, j, k] > 0))
        dices.append(dice(np.stack(found), truth[n]))
    return dices


def row(geometry: str, kind: str, reader: str, verdict) -> dict:
    made = next((d for d in DIFFERS if re.fullmatch(d[0], reader) and re.fullmatch(d[1], kind) and re.fullmatch(d[2], geometry)), None)
    least = made[3] if made else EXPECTED[kind.split()[0]]
    if reader == "back to NIfTI" and re.search("tilted|uneven", geometry):
        least = 0.9  # on the regular grid that stands for the slices
    fault = None
    if made is None or least > 0:
        fault = verdict if isinstance(verdict, str) else f"Dice {min(verdict):.4f} is under {least}" if min(verdict) < least - 1e-9 else None
    return {"geometry": geometry, "object": kind, "reader": reader, "verdict": verdict, "fault": fault, "why": made[4] if made else None}


def table(rows: list) -> str:
    lines = [
        "# What others read of our objects", "",
        "Written by `make judge-results`; do not edit. Each cell is the least Dice over three structures (one with a cavity, one that overlaps",
        "it) between what a reader makes of our object and the masks that went in, at the CT's pixels. The masks came as a SEG of highdicom's",
        "and went through `medlsam-node convert`. *Back to NIfTI* is our object converted to NIfTI on the grid of the CT.",
        "SimpleITK knows no segments: its cell is the share of frames that it decodes bit for bit. Readers with a number in brackets are explained below.", ""]
    notes = []
    for kind in OBJECTS:
        mine = [r for r in rows if r["object"] == kind]
        if not mine:
            continue
        readers = list(dict.fromkeys(r["reader"] for r in mine))
        lines += [f"## {kind}", "", "| geometry | " + " | ".join(readers) + " |", "|---" * (len(readers) + 1) + "|"]
        for geometry in dict.fromkeys(r["geometry"] for r in mine):
            cells = []
            for reader in readers:
                found = next((r for r in mine if r["reader"] == reader and r["geometry"] == geometry), None)
                if found is None:
                    cells.append("")
                    continue
                text = found["verdict"] if isinstance(found["verdict"], str) else f"{np.floor(min(found['verdict']) * 1e4) / 1e4:.4f}"
                differs = isinstance(found["verdict"], str) or min(found["verdict"]) < EXPECTED[kind.split()[0]] - 1e-9
                if found["why"] and differs:
                    why = (reader, found["why"])
                    if why not in notes:
                        notes.append(why)
                    text = ("not read" if isinstance(found["verdict"], str) else text) + f" [{notes.index(why) + 1}]"
                cells.append(text.replace("|", "\\|"))
            lines.append("| " + " | ".join([geometry, *cells]) + " |")
        lines.append("")
    lines += ["## Where a reader differs, and who is right", ""] + [f"{n}. **{reader}**: {why}" for n, (reader, why) in enumerate(notes, 1)]
    lines += ["", "*Back to NIfTI* of tilted and uneven series is on the regular grid that `medlsam-node volume` writes too, since NIfTI has one",
              "spacing: what lies between two slices there is interpolated, and is not the slices' own pixels any more.",
              "plastimatch, platipy, rt-utils and dcmrtstruct2nii are asked of upright axial series only (Tests/Judges/contours.py says what each can be asked).", "",
              "## Orthanc's DICOMweb", "",
              "Orthanc 1.10.1 with orthanc-dicomweb 1.7, in `make test` by Tests/Judges/dicomweb.py: it stores every object that we make, finds it and its",
              "series (QIDO-RS), returns an equal data set (WADO-RS) and true metadata. It renders captures, FRACTIONAL and BINARY frames, these with a",
              "pixel lit where a bit is set; where rows x columns is no multiple of 8 it refuses single-bit frames with HTTP 400, since a frame then begins",
              "within a byte (PS3.5 8.1.1). Objects without pixels (RTSTRUCT, SR) it does not render."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node", type=Path, help="the program medlsam-node")
    parser.add_argument("--shared", type=Path, help="the folder that holds data/dicom; without it, phantoms only")
    parser.add_argument("--table", type=Path, help="the Markdown file to write")
    parser.add_argument("--only", help="geometries whose name holds this")
    a = parser.parse_args()
    cases = {name: make for name, make in (geometries() | (real() if a.shared else {})).items() if not a.only or a.only in name}
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(2) as pool:
        rows = [r for found in pool.map(lambda c: judge(*c, a.node.resolve(), a.shared, Path(work)), cases.items()) for r in found]
    for r in rows:
        verdict = r["verdict"] if isinstance(r["verdict"], str) else " ".join(f"{d:.4f}" for d in r["verdict"])
        print(f"{'FAULT' if r['fault'] else 'ok':6}{r['geometry']} | {r['object']} | {r['reader']} | {verdict}")
    if a.table:
        a.table.write_text(table(rows))
    faults = sum(r["fault"] is not None for r in rows)
    print(f"{len(rows)} cells, {faults} faults")
    return 1 if faults or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
