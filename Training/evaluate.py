"""Judges what the node returns: folders of CT and clinical RT Structure Set in, a table a structure out.

`python Training/evaluate.py NODE OUT CASE...` runs `NODE segment CASE --output OUT/name` for each case folder (skipped
where OUT/name/SEG.dcm is there already), reads the SEG back and compares it with the clinic's contours on the CT's grid.
Judged are the objects, as highdicom and pydicom read them (Tests/requirements.txt); nothing of the node's own code takes part.
"""

import argparse
import json
import subprocess
from collections import defaultdict
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from skimage.draw import polygon2mask


def read_case(folder):
    """The CT's slices by SOP Instance UID, as ({uid: k}, affine of (column, row, k) to mm, shape), and the structure set."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.glob("*.dcm"))]
    slices = [h for h in headers if h.Modality == "CT"]
    slices.sort(key=lambda h: np.dot(h.ImagePositionPatient, np.cross(h.ImageOrientationPatient[:3], h.ImageOrientationPatient[3:])))
    first, last = (np.array(h.ImagePositionPatient, float) for h in (slices[0], slices[-1]))
    along_row, along_column = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    row_spacing, column_spacing = map(float, slices[0].PixelSpacing)
    axes = np.column_stack([along_row * column_spacing, along_column * row_spacing, (last - first) / (len(slices) - 1)])
    shape = (len(slices), slices[0].Rows, slices[0].Columns)
    return {h.SOPInstanceUID: k for k, h in enumerate(slices)}, axes, first, shape, next(h for h in headers if h.Modality == "RTSTRUCT")


def drawn_masks(structure_set, axes, origin, shape):
    """The clinic's contours as masks [k, row, column] by ROI name; contours in one slice cancel where they overlap."""
    names = {roi.ROINumber: roi.ROIName for roi in structure_set.StructureSetROISequence}
    masks, inverse = {}, np.linalg.inv(axes)
    for roi in structure_set.ROIContourSequence:
        mask = masks.setdefault(names[roi.ReferencedROINumber], np.zeros(shape, bool))
        for contour in roi.get("ContourSequence", []):
            index = (np.reshape(contour.ContourData, (-1, 3)).astype(float) - origin) @ inverse.T
            mask[int(round(index[0, 2]))] ^= polygon2mask(shape[1:], index[:, [1, 0]])
    return masks


def returned_masks(path, slice_of, shape):
    """The SEG's segments as masks by label."""
    segmentation = highdicom.seg.segread(path)
    masks = {}
    for number in segmentation.segment_numbers:
        stack = segmentation.get_pixels_by_source_instance(
            list(slice_of), segment_numbers=[number], assert_missing_frames_are_empty=True)[..., 0]
        masks[segmentation.get_segment_description(number).segment_label] = stack.astype(bool).reshape(shape)
    return masks


def judged(found, drawn, axes):
    """Dice, IoU of the two masks' boxes, and the mean distance of these boxes' walls (mm)."""
    step = np.linalg.norm(axes, axis=0)[::-1]
    boxes = [np.array([index.min(1), index.max(1) + 1]) * step for index in map(np.array, (np.nonzero(found), np.nonzero(drawn)))]
    shared = np.prod(np.maximum(np.minimum(boxes[0][1], boxes[1][1]) - np.maximum(boxes[0][0], boxes[1][0]), 0))
    sizes = [np.prod(box[1] - box[0]) for box in boxes]
    dice = 2 * np.sum(found & drawn) / (found.sum() + drawn.sum())
    return dice, shared / (sum(sizes) - shared), np.abs(boxes[0] - boxes[1]).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node", help="the command, for instance .build/release/medlsam-node")
    parser.add_argument("out", type=Path)
    parser.add_argument("cases", type=Path, nargs="+")
    options = parser.parse_args()
    scores, missed = defaultdict(list), defaultdict(list)
    for case in options.cases:
        out = options.out / case.name
        if not (out / "SEG.dcm").exists():
            subprocess.run([options.node, "segment", str(case), "--output", str(out)], check=True, stdout=subprocess.DEVNULL)
        slice_of, axes, origin, shape, structure_set = read_case(case)
        found = returned_masks(out / "SEG.dcm", slice_of, shape)
        for structure in json.loads((out / "report.json").read_text())["structures"]:
            drawn = drawn_masks(structure_set, axes, origin, shape).get(structure["name"])
            if drawn is None or not drawn.any():
                continue
            if structure["state"] == "segmented":
                scores[structure["name"]].append(judged(found[structure["name"]], drawn, axes))
            else:
                missed[structure["name"]].append(case.name)
    print(f"{'structure':16}{'given out':>10}{'withheld':>10}{'Dice':>8}{'box IoU':>9}{'WD mm':>7}")
    for name in sorted(scores | missed):
        means = np.mean(scores[name], 0) if scores[name] else [np.nan] * 3
        print(f"{name:16}{len(scores[name]):10}{len(missed[name]):10}{means[0]:8.2f}{means[1]:9.2f}{means[2]:7.1f}")


if __name__ == "__main__":
    main()
