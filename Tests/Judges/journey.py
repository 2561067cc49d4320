"""Judges what came back to an archive, by readers that are not ours.

usage: journey.py CT_DIR SEG RTSTRUCT

Reads the SEG by highdicom and the RTSTRUCT by pydicom, holds both against the CT they were made from and against each other,
and prints the volume of each segment in ml as JSON. Whatever is wrong ends it with an AssertionError.
"""
import json
import pathlib
import sys

import highdicom
import numpy as np
import pydicom
from skimage.draw import polygon2mask

ct_dir, seg_path, rt_path = sys.argv[1:]
ct = [d for d in (pydicom.dcmread(f) for f in pathlib.Path(ct_dir).rglob("*.dcm")) if d.Modality == "CT"]
ct.sort(key=lambda d: float(d.ImagePositionPatient[2]))
uids = [d.SOPInstanceUID for d in ct]
first = ct[0]
seg = highdicom.seg.segread(seg_path)
rt = pydicom.dcmread(rt_path)


def same_patient_and_study(d):
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert d.get(keyword) == first.get(keyword), f"{d.Modality}: {keyword} is not the source's"
    assert d.SeriesInstanceUID != first.SeriesInstanceUID
    assert "auto" in d.SeriesDescription.lower(), d.SeriesDescription


same_patient_and_study(seg)
same_patient_and_study(rt)

# The segmentation.
assert seg.segmentation_type == highdicom.seg.SegmentationTypeValues.BINARY
assert seg.FrameOfReferenceUID == first.FrameOfReferenceUID
assert (seg.Rows, seg.Columns) == (first.Rows, first.Columns)
assert list(seg.segment_numbers) == list(range(1, seg.number_of_segments + 1))
referenced = {i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
assert referenced == set(uids), "the SEG does not reference every source image"
masks = seg.get_pixels_by_source_instance(uids, combine_segments=False, ignore_spatial_locations=False, assert_missing_frames_are_empty=True) > 0
labels = [seg.get_segment_description(n).segment_label for n in seg.segment_numbers]
for n in seg.segment_numbers:
    assert seg.get_segment_description(n).algorithm_identification is not None or \
        seg.get_segment_description(n).algorithm_type.value == "AUTOMATIC"
spacing = [float(v) for v in first.PixelSpacing]
depth = abs(float(ct[1].ImagePositionPatient[2]) - float(first.ImagePositionPatient[2]))
volumes = {label: float(masks[..., i].sum() * spacing[0] * spacing[1] * depth / 1000) for i, label in enumerate(labels)}

# The structure set.
assert rt.ApprovalStatus == "UNAPPROVED"
assert len(rt.StructureSetLabel) <= 16
study = rt.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
assert {i.ReferencedSOPInstanceUID for i in study.RTReferencedSeriesSequence[0].ContourImageSequence} == set(uids)
assert rt.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == first.FrameOfReferenceUID
names = {roi.ROINumber: roi.ROIName for roi in rt.StructureSetROISequence}
origin = np.array([float(v) for v in first.ImagePositionPatient])
contoured = {}
for roi in rt.ROIContourSequence:
    mask = np.zeros(masks.shape[:3], bool)
    for contour in roi.get("ContourSequence", []):
        raw = contour["ContourData"].value
        assert all(len(str(v)) <= 16 for v in raw)
        points = np.array([float(v) for v in raw]).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints >= 3
        k = uids.index(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
        assert np.allclose(points[:, 2], float(ct[k].ImagePositionPatient[2]), atol=0.01), "a contour lies off its image plane"
        rows_columns = (points[:, [1, 0]] - origin[[1, 0]]) / spacing
        mask[k] ^= polygon2mask(mask.shape[1:], rows_columns)
    contoured[names[roi.ReferencedROINumber]] = mask
for i, label in enumerate(labels):
    if masks[..., i].any():
        a, b = masks[..., i], contoured[label]
        dice = 2 * (a & b).sum() / (a.sum() + b.sum())
        assert dice > 0.99, f"{label}: SEG and RTSTRUCT agree only to Dice {dice:.3f}"
assert any(volumes.values()), "nothing was segmented"
print(json.dumps(volumes))
