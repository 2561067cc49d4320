#!/usr/bin/env python3
"""Judges RT Structure Sets: four programs that others wrote draw the contours back into masks, which are compared with the node's.

usage: contours.py [--own] FOLDER...   with .local/venv-pydicom2
A folder holds ct/CT.*.dcm (a regular, axial series), RT.dcm, `names` (a ROI name a line) and `masks` (a byte a voxel, [ROI, slice, row,
column], slices along their normal). Prints a line a judge and ROI:

    FOLDER JUDGE ROI ml VOLUME dice DICE holes FILLED/HOLES

DICE is at the source's pixels. HOLES are the mask's voxels outside that lie enclosed in their slice, FILLED those of them drawn inside.

What each judge can be asked, found by reading it and by measuring squares of known place:
- dcmrtstruct2nii 5 (scikit-image's polygon2mask on unrounded points) draws the very pixels; it passes over CLOSEDPLANAR_XOR.
- plastimatch 1.9.4 draws scan lines through pixel centres; several contours of a slice are joined unless --xor-contours is given, with which
  separate holes are holes; it passes over CLOSEDPLANAR_XOR.
- platipy 0.7.2 rounds every point to a whole pixel first (TransformPhysicalPointToIndex), half ones towards higher indices: contours that
  run half way between pixels are moved by half a pixel to the right and down. It passes over a ROI whose first contour is CLOSEDPLANAR_XOR.
- rt-utils 1.2.7 rounds every point to a whole pixel too, half ones to even (numpy.around), counts all pixels that the rounded line
  touches as inside (cv2.fillPoly), swaps the two pixel spacings, and the numbers of rows and columns.
So platipy and rt-utils are asked on a grid of FINE times finer, square pixels over the same space, where rounding is small, and looked at where
the source's pixel centres lie: `platipy`, `rt-utils`. With --own, what they say of the source's own grid is printed too, as `platipy-own` and
`rt-utils-own` (the latter only where its swaps do no harm): those figures measure their rounding.
"""
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import pydicom
import SimpleITK as sitk
from scipy.ndimage import binary_fill_holes

FINE = 8
OWN = "--own" in sys.argv


def dice(a, b):
    return 2 * (a & b).sum() / max(1, a.sum() + b.sum())


class Source:
    def __init__(self, folder):
        self.folder = folder
        slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in glob.glob(folder + "/ct/CT*.dcm")]
        self.slices = sorted(slices, key=lambda d: d.ImagePositionPatient[2])
        first = self.slices[0]
        self.shape = (len(slices), first.Rows, first.Columns)
        self.origin = np.array(first.ImagePositionPatient, float)
        spacing = (self.slices[-1].ImagePositionPatient[2] - self.origin[2]) / (len(slices) - 1)
        self.spacing = np.array([first.PixelSpacing[1], first.PixelSpacing[0], spacing], float)
        self.rt = pydicom.dcmread(folder + "/RT.dcm")
        self.names = open(folder + "/names").read().split("\n")
        self.masks = dict(zip(self.names, np.fromfile(folder + "/masks", np.uint8).reshape(-1, *self.shape) > 0))
        self.contours = {roi.ROIName: [c.ContourSequence for c in self.rt.ROIContourSequence if c.ReferencedROINumber == roi.ROINumber][0]
                         for roi in self.rt.StructureSetROISequence if roi.ROINumber in {c.ReferencedROINumber for c in self.rt.ROIContourSequence}}

    def image(self):
        image = sitk.Image(self.shape[2], self.shape[1], self.shape[0], sitk.sitkUInt8)
        image.SetOrigin(self.origin.tolist())
        image.SetSpacing(self.spacing.tolist())
        return image

    def heights(self, name):
        return sorted({round((float(c.ContourData[2]) - self.origin[2]) / self.spacing[2]) for c in self.contours[name]})

    def fine(self, name):
        """Origin, pixel size and numbers of a finer, square grid around a ROI; and where the source's pixel centres lie on it."""
        points = np.concatenate([np.array(c.ContourData, float).reshape(-1, 3) for c in self.contours[name]])
        size = self.spacing[:2].min() / FINE
        low = points[:, :2].min(0) - 3 * self.spacing[:2]
        count = int(np.ceil((points[:, :2].max(0) - low + 3 * self.spacing[:2]).max() / size))
        columns = np.rint((self.origin[0] + self.spacing[0] * np.arange(self.shape[2]) - low[0]) / size).astype(int)
        rows = np.rint((self.origin[1] + self.spacing[1] * np.arange(self.shape[1]) - low[1]) / size).astype(int)
        return low, size, count, columns, rows

    def sampled(self, fine, count, columns, rows, k, into):
        """Looks at a finer slice where the source's pixel centres lie."""
        x, y = (columns >= 0) & (columns < count), (rows >= 0) & (rows < count)
        into[k][np.ix_(y, x)] = fine[np.ix_(rows[y], columns[x])]


def dcmrtstruct2nii(source):
    from dcmrtstruct2nii.adapters.convert.rtstructcontour2mask import DcmPatientCoords2Mask
    from dcmrtstruct2nii.adapters.input.contours.rtstructinputadapter import RtStructInputAdapter
    for roi in RtStructInputAdapter().ingest(source.folder + "/RT.dcm"):
        yield "dcmrtstruct2nii", roi["name"], sitk.GetArrayFromImage(DcmPatientCoords2Mask().convert(roi["sequence"], source.image(), 0, 1)) > 0


def plastimatch(source):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["plastimatch", "convert", "--input", source.folder + "/RT.dcm", "--referenced-ct", source.folder + "/ct", "--xor-contours",
                        "--output-prefix", out, "--prefix-format", "mha"], check=True, capture_output=True)
        for name in source.contours:
            if not os.path.exists(f"{out}/{name}.mha"):
                yield "plastimatch", name, np.zeros(source.shape, bool)
                continue
            image = sitk.ReadImage(f"{out}/{name}.mha")
            assert np.allclose(image.GetOrigin(), source.origin, atol=1e-3) and image.GetSize() == source.shape[::-1], "not the CT's grid"
            yield "plastimatch", name, sitk.GetArrayFromImage(image) > 0


def platipy(source):
    from platipy.dicom.io.rtstruct_to_nifti import transform_point_set_from_dicom_struct
    for name, mask in zip(*reversed(transform_point_set_from_dicom_struct(source.image(), source.rt))) if OWN else ():
        yield "platipy-own", name, sitk.GetArrayFromImage(mask) > 0
    for roi in source.rt.StructureSetROISequence:
        name = roi.ROIName
        if name not in source.contours:
            continue
        low, size, count, columns, rows = source.fine(name)
        found = np.zeros(source.shape, bool)
        for k in source.heights(name):
            # A slice at a time: the finer grid is large.
            height = source.origin[2] + k * source.spacing[2]
            image = sitk.Image(count, count, 1, sitk.sitkUInt8)
            image.SetOrigin([*low, height]), image.SetSpacing([size, size, source.spacing[2]])
            part = pydicom.Dataset()
            part.StructureSetROISequence = [roi]
            item = pydicom.Dataset()
            item.ReferencedROINumber = roi.ROINumber
            item.ContourSequence = [c for c in source.contours[name] if abs(float(c.ContourData[2]) - height) < source.spacing[2] / 2]
            part.ROIContourSequence = [item]
            drawn, _ = transform_point_set_from_dicom_struct(image, part)
            if drawn:
                source.sampled(sitk.GetArrayFromImage(drawn[0])[0] > 0, count, columns, rows, k, found)
        yield "platipy", name, found


def rt_utils(source):
    from rt_utils import image_helper
    square = source.shape[1] == source.shape[2] and source.spacing[0] == source.spacing[1]
    for name, contours in source.contours.items():
        if OWN and square:
            own = image_helper.create_series_mask_from_contour_sequence(source.slices, contours)
            yield "rt-utils-own", name, own.transpose(2, 0, 1)
        low, size, count, columns, rows = source.fine(name)
        found = np.zeros(source.shape, bool)
        for k in source.heights(name):
            image = pydicom.Dataset()
            image.SOPInstanceUID, image.Rows, image.Columns = source.slices[k].SOPInstanceUID, count, count
            image.ImageOrientationPatient, image.PixelSpacing = [1, 0, 0, 0, 1, 0], [size, size]
            image.ImagePositionPatient = [round(float(low[0]), 6), round(float(low[1]), 6), source.slices[k].ImagePositionPatient[2]]
            fine = image_helper.create_series_mask_from_contour_sequence([image], contours)
            source.sampled(fine[:, :, 0], count, columns, rows, k, found)
        yield "rt-utils", name, found


def main():
    for folder in [argument for argument in sys.argv[1:] if argument != "--own"]:
        source = Source(folder)
        for judge in (dcmrtstruct2nii, plastimatch, platipy, rt_utils):
            for program, name, found in judge(source):
                mask = source.masks[name]
                holes = np.stack([binary_fill_holes(plane) for plane in mask]) & ~mask
                print(folder.rstrip("/").split("/")[-1], program, name, "ml", round(mask.sum() * source.spacing.prod() / 1000, 2),
                      "dice", round(dice(found, mask), 5), "holes", f"{(found & holes).sum()}/{holes.sum()}", flush=True)


if __name__ == "__main__":
    main()
