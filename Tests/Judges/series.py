"""Reads each case of series_cases.py with dcm2niix, SimpleITK (GDCM) and `medlsam-node volume`, and compares what they make of it.

Compared after both were turned to the nearest RAS axes: dimensions, the places of the corner voxels, and every Hounsfield unit, held to
-1024 and up as medlsam-node holds them. Exits 1 when one differs where the case does not say why it may, prints a line a case, and
with --table writes the whole as Markdown.
"""
import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

import series_cases

TRUTH_TOLERANCE_HU = 4  # mean; the coarsest scale of a phantom is 8 HU a step
RESAMPLED_TOLERANCE_HU = 12  # mean, where a volume is resampled: the phantom's block has edges of 700 HU
CORNER_TOLERANCE_MM = 0.02  # NIfTI holds places as 32-bit floats, DICOM positions often with few decimals
AIR = -1024  # medlsam-node's floor
UID = re.compile(r"\b\d+(\.\d+){4,}\b")

sitk.ProcessObject_SetGlobalWarningDisplay(False)


@dataclass
class Reading:
    """What one reader made of a folder: volumes, and what it said."""
    volumes: list
    said: str = ""


def canonical(image: nib.Nifti1Image):
    turned = nib.as_closest_canonical(image)
    return turned, np.asanyarray(turned.dataobj)


def differences(ours: nib.Nifti1Image, theirs: nib.Nifti1Image) -> list:
    (a, x), (b, y) = canonical(ours), canonical(theirs)
    if x.shape != y.shape[:3] or y.ndim > 3:
        return [f"dimensions {shape(theirs)}"]
    found = []
    corners = np.array([[i, j, k, 1] for i in (0, x.shape[0] - 1) for j in (0, x.shape[1] - 1) for k in (0, x.shape[2] - 1)]).T
    apart = np.abs((a.affine @ corners - b.affine @ corners)[:3]).max()
    if apart > CORNER_TOLERANCE_MM:
        found.append(f"places off by {apart:.2f} mm")
    y = np.clip(np.round(y), AIR, 32767)
    off = np.abs(x.astype(int) - y.astype(int))
    if off.max() > 0:
        found.append(f"{100 * np.mean(off > 0):.2g} % of voxels off by up to {off.max()} HU")
    return found


def error(image: nib.Nifti1Image) -> float:
    """The mean difference to what the phantom is made of, well inside of it, in HU."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in image.shape[:3]], indexing="ij"), -1)
    p = nib.affines.apply_affine(np.diag([-1, -1, 1, 1]) @ image.affine, index)
    inside = (np.abs(p) < [50, 60, 35]).all(-1)
    if image.ndim != 3 or not inside.any():
        return np.inf
    return float(np.abs(np.asanyarray(image.dataobj)[inside] - series_cases.hounsfield(p[inside])).mean())


def fidelity(image: nib.Nifti1Image, folder: Path) -> float:
    """The mean difference to the slices' own pixels at their own places, away from air, in HU: for scans of which no truth is known."""
    random, found = np.random.default_rng(1), []
    data, to_index = np.asanyarray(image.dataobj).astype(float), np.linalg.inv(np.diag([-1, -1, 1, 1]) @ image.affine)
    for path in sorted(folder.iterdir()):
        d = pydicom.dcmread(path)
        hu = d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)
        j, i = np.argwhere(hu > -300)[random.integers(0, (hu > -300).sum(), 2000)].T
        a, b = np.array(d.ImageOrientationPatient[:3]), np.array(d.ImageOrientationPatient[3:])
        p = np.array(d.ImagePositionPatient) + i[:, None] * d.PixelSpacing[1] * a + j[:, None] * d.PixelSpacing[0] * b
        sampled = map_coordinates(data, nib.affines.apply_affine(to_index, p).T, order=1, mode="nearest")
        found.append(np.abs(sampled - hu[j, i]).mean())
    return float(np.mean(found))


def shape(image) -> str:
    zooms = " x ".join(f"{z:.4g}" for z in image.header.get_zooms()[:3])
    return f"{' x '.join(map(str, image.shape))}, {zooms} mm"


def dcm2niix(folder: Path, out: Path) -> Reading:
    out.mkdir()
    run = subprocess.run(["dcm2niix", "-b", "n", "-z", "n", "-f", "v", "-o", out, folder], capture_output=True, text=True, errors="replace")
    files = sorted(out.glob("*.nii"))
    # What it straightened (tilt) or spaced evenly stands beside what it did not.
    straight = [f for f in files if "_Eq" in f.name] or [f for f in files if "_Tilt" in f.name] or files
    said = [line for line in run.stdout.splitlines() if re.match("(Warning|Error|Unable|Unsupported|Gantry)", line)]
    return Reading([nib.load(f) for f in straight], "; ".join(dict.fromkeys(said)))


def simpleitk(folder: Path, _out: Path) -> Reading:
    reader, volumes = sitk.ImageSeriesReader(), []
    try:
        for uid in reader.GetGDCMSeriesIDs(str(folder)):
            files = reader.GetGDCMSeriesFileNames(str(folder), uid)
            reader.SetFileNames(files)
            image = sitk.ReadImage(files[0]) if len(files) == 1 else reader.Execute()
            if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
                return Reading([], f"{image.GetDimension()} dimensions, {image.GetNumberOfComponentsPerPixel()} values a pixel")
            m = np.eye(4)
            m[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
            m[:3, 3] = image.GetOrigin()
            volumes.append(nib.Nifti1Image(sitk.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float64), np.diag([-1, -1, 1, 1]) @ m))
    except RuntimeError as error:
        return Reading([], str(error).strip().splitlines()[-1])
    return Reading(volumes)


def ours(node: Path, folder: Path, out: Path) -> Reading:
    out.mkdir()
    run = subprocess.run([node, "volume", folder, "--nifti", out / "v.nii.gz"], capture_output=True, text=True)
    if run.returncode != 0:
        return Reading([], UID.sub("...", run.stderr.strip().removeprefix("medlsam-node: ")))
    line = json.loads(run.stdout)
    return Reading([nib.load(out / "v.nii.gz")], UID.sub("...", " ".join(line["warnings"])))


def judge(case, node: Path, shared: Path, work: Path) -> dict:
    """A row of the table, with the `fault` that fails the run, if any."""
    folder = work / case.name.replace(" ", "-")
    case.make(folder / "dicom", shared, case.name)
    mine = ours(node, folder / "dicom", folder / "ours")
    row = {"case": case.name, "source": case.source, "notes": [], "fault": None}
    agree, read_by = 0, {}
    for name, read in {"dcm2niix": dcm2niix, "SimpleITK": simpleitk}.items():
        theirs = read(folder / "dicom", folder / name)
        unread = "" if theirs.volumes else f"not read: {UID.sub('...', theirs.said) or 'nothing said'}"
        if not theirs.volumes and case.original:
            case.original(folder / f"{name}-original", shared, case.name)
            theirs = read(folder / f"{name}-original", folder / f"{name}-of-original")
            unread += "; of the original: "
        read_by[name] = theirs.volumes
        several = f"{len(theirs.volumes)} volumes: " if len(theirs.volumes) > 1 else ""
        row[name] = unread + several + "; ".join(map(shape, theirs.volumes))
        if not theirs.volumes or not mine.volumes:
            continue
        # Several of theirs: the one that is most like ours.
        found = min((differences(mine.volumes[0], v) for v in theirs.volumes), key=len)
        if found:
            row[name] += f" (differs: {', '.join(found)})"
        else:
            agree += 1
            row[name] += " (one is ours)" if len(theirs.volumes) > 1 else ""
        if bool(found) != (name in case.differs):
            row["fault"] = f"{name}: {', '.join(found) or 'agrees, though the case says why it must not'}"
        elif found:
            row["notes"].append(f"{name}: {case.differs[name]}")
    if mine.volumes and (case.is_phantom or row["notes"]):
        measure = error if case.is_phantom else lambda image: fidelity(image, folder / "dicom") if image.ndim == 3 else np.inf
        off = measure(mine.volumes[0])
        if case.is_phantom and off > (RESAMPLED_TOLERANCE_HU if case.differs else TRUTH_TOLERANCE_HU):
            row["fault"] = f"off by {off:.1f} HU from the phantom in the mean"
        others = {name: min(map(measure, volumes)) for name, volumes in read_by.items() if volumes and name in case.differs}
        if row["notes"]:
            told = "what the phantom is made of" if case.is_phantom else "the slices' own pixels at their own places"
            row["notes"].append(f"Mean error against {told}: {off:.1f} HU ours" + "".join(f", {e:.1f} {name}" for name, e in others.items() if e < np.inf) + ".")
        if any(e < off - 0.5 for e in others.values()):
            row["fault"] = row["fault"] or f"another reader is nearer to the truth: {others} against {off:.1f} HU"
    if mine.volumes:
        row["ours"] = shape(mine.volumes[0]) + (f"; {mine.said}" if mine.said else "")
        if case.refused is not None:
            row["fault"] = "was to be refused"
        elif agree == 0 and not case.differs:
            row["fault"] = row["fault"] or "no judge could read it"
    else:
        row["ours"] = f"refused: {mine.said}"
        if case.refused is None or case.refused not in mine.said:
            row["fault"] = "was to be read" if case.refused is None else f"was to be refused for: {case.refused}"
    shutil.rmtree(folder)
    row["notes"] = " ".join(row["notes"])
    return row


def table(rows: list) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", " ")
    lines = [
        "# Every CT: what other readers say, and what we say", "",
        "Written by `make judge-series`; do not edit. A reader whose cell says no more than a volume's dimensions and spacing makes the very",
        "volume that we make: the same dimensions, every corner within "
        f"{CORNER_TOLERANCE_MM} mm, every Hounsfield unit equal (after both are held to {AIR} and up).",
        "The judges are dcm2niix of Debian 12 and SimpleITK (GDCM). Where dcm2niix straightens or spaces evenly, that file is compared.", "",
        "| case | source | dcm2niix | SimpleITK | medlsam-node |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(cell(row[k]) for k in ["case", "source", "dcm2niix", "SimpleITK", "ours"]) + " |" for row in rows]
    lines += ["", "## Where we differ, and why", ""]
    lines += [f"- **{row['case']}**: {row['notes']}" for row in rows if row["notes"]]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node", type=Path, help="the program medlsam-node")
    parser.add_argument("--shared", type=Path, help="the folder that holds data/dicom; without it, the quick phantoms only")
    parser.add_argument("--converter", type=Path, help="the program convert-invesalius")
    parser.add_argument("--head", type=Path, help="Cranium.inv3")
    parser.add_argument("--table", type=Path, help="the Markdown file to write")
    parser.add_argument("--only", help="cases whose name holds this")
    a = parser.parse_args()
    cases = (series_cases.real(a.converter, a.head) if a.shared else []) + series_cases.phantoms()
    cases = [c for c in cases if (not a.only or a.only in c.name) and not (c.slow and not a.shared)]
    # One after the other: a run that used SimpleITK from two threads once ended with a damaged heap, after its last line.
    with tempfile.TemporaryDirectory() as work:
        rows = [judge(c, a.node.resolve(), a.shared, Path(work)) for c in cases]
    for row in rows:
        print(f"{'FAULT' if row['fault'] else 'ok':6}{row['case']}: {row['fault'] or row['ours']}")
    if a.table:
        a.table.write_text(table(rows))
    faults = [r for r in rows if r["fault"]]
    print(f"{len(rows)} cases, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
