"""Judges results against the source's own pixels, by pydicom, highdicom and SimpleITK: nothing of the node takes part.

usage: geometry.py FOLDER...   each with CT.*.dcm or one multi-frame image, SEG.dcm, RTSTRUCT.dcm
Prints a line a folder: Dice of SEG, of the SEG as dcmqi's segimage2itkimage makes an ITK image of it, and of RTSTRUCT with the phantom's
block (300 HU, in the patient's left), and how much is misplaced.
"""
import glob
import subprocess
import sys
import tempfile
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from skimage.draw import polygon2mask


def frames_of(path):
    """(key, hounsfield, position, orientation, spacing) of every slice of a file; the key is what a result must reference."""
    d = pydicom.dcmread(path)
    if "PerFrameFunctionalGroupsSequence" not in d:
        hu = d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)
        yield (d.SOPInstanceUID, None), hu, d.ImagePositionPatient, d.ImageOrientationPatient, d.PixelSpacing
        return
    shared = d.SharedFunctionalGroupsSequence[0]

    def group(own, name):
        return (own if name in own else shared)[name].value[0]

    for n, (own, pixels) in enumerate(zip(d.PerFrameFunctionalGroupsSequence, d.pixel_array)):
        scale = group(own, "PixelValueTransformationSequence")
        yield ((d.SOPInstanceUID, n + 1), pixels * float(scale.RescaleSlope) + float(scale.RescaleIntercept),
               group(own, "PlanePositionSequence").ImagePositionPatient, group(own, "PlaneOrientationSequence").ImageOrientationPatient,
               group(own, "PixelMeasuresSequence").PixelSpacing)


def plane(hu, position, orientation, spacing):
    """The slice as SimpleITK holds it, so that its mapping between pixels and patient is ITK's."""
    image = sitk.GetImageFromArray(hu[None])
    a, b = np.array(orientation[:3], float), np.array(orientation[3:], float)
    image.SetOrigin([float(v) for v in position])
    image.SetSpacing([float(spacing[1]), float(spacing[0]), 1.0])
    image.SetDirection(np.stack([a, b, np.cross(a, b)], axis=1).ravel().tolist())
    return image


def dice(a, b):
    return 2 * (a & b).sum() / max(1, a.sum() + b.sum())


def by_dcmqi(folder, source, keys):
    """The SEG's pixels at the source's pixel centres, by way of dcmqi and ITK; None where dcmqi makes no image of it."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([Path(sys.executable).with_name("segimage2itkimage"), "--inputDICOM", folder + "/SEG.dcm", "--outputDirectory", out],
                       capture_output=True, timeout=60)
        images = glob.glob(out + "/*.nrrd")
        if len(images) != 1:
            return None
        image = sitk.ReadImage(images[0])
    found = []
    for key in keys:
        hu, *rest = source[key]
        found.append(sitk.GetArrayFromImage(sitk.Resample(image, plane(hu, *rest), sitk.Transform(), sitk.sitkNearestNeighbor, 0))[0] > 0)
    return np.stack(found)


for folder in sys.argv[1:]:
    source = {}
    for path in glob.glob(folder + "/CT*.dcm"):
        source.update({key: (hu, *rest) for key, hu, *rest in frames_of(path)})
    keys = list(source)
    truth = np.stack([source[k][0] == 300 for k in keys])
    left = np.concatenate([[plane(*source[k]).TransformIndexToPhysicalPoint((int(i), int(j), 0))[0]
                            for j, i in zip(*np.nonzero(t))] for k, t in zip(keys, truth) if t.any()])
    misplaced = 0

    seg = hd.seg.segread(folder + "/SEG.dcm")
    found = np.zeros_like(truth)
    shared = seg.SharedFunctionalGroupsSequence[0]
    for own, pixels in zip(seg.PerFrameFunctionalGroupsSequence, np.atleast_3d(seg.pixel_array).reshape(-1, seg.Rows, seg.Columns)):
        image = own.DerivationImageSequence[0].SourceImageSequence[0]
        key = (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))
        _, position, orientation, spacing = source[key]
        measures = (own if "PixelMeasuresSequence" in own else shared).PixelMeasuresSequence[0]
        misplaced += not (np.allclose(own.PlanePositionSequence[0].ImagePositionPatient, position, atol=1e-3)
                          and np.allclose(shared.PlaneOrientationSequence[0].ImageOrientationPatient, orientation, atol=1e-3)
                          and np.allclose(measures.PixelSpacing, spacing))
        found[keys.index(key)] |= pixels.astype(bool)

    drawn = np.zeros_like(truth)
    rt = pydicom.dcmread(folder + "/RTSTRUCT.dcm")
    series = rt.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    referenced = set()
    for item in series:
        numbers = item.get("ReferencedFrameNumber")
        for n in [numbers] if numbers is None or isinstance(numbers, int) else numbers:
            referenced.add((item.ReferencedSOPInstanceUID, n))
    misplaced += referenced != set(keys)
    for contour in rt.ROIContourSequence[0].ContourSequence:
        image = contour.ContourImageSequence[0]
        key = (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))
        itk = plane(*source[key])
        points = [itk.TransformPhysicalPointToContinuousIndex(p) for p in np.array(contour.ContourData, float).reshape(-1, 3).tolist()]
        # Off its plane by more than the thousandth of a millimetre that Contour Data is written to.
        misplaced += any(abs(p[2]) > 1e-3 for p in points)
        drawn[keys.index(key)] ^= polygon2mask(truth.shape[1:], [(p[1], p[0]) for p in points])
    converted = by_dcmqi(folder, source, keys)
    print(folder.split("/")[-1], "seg", round(dice(found, truth), 4), "dcmqi", -1 if converted is None else round(dice(converted, truth), 4), "rtstruct", round(dice(drawn, truth), 4), "misplaced", misplaced,
          "left", bool(len(left) and left.min() > 0))
