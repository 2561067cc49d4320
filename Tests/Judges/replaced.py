"""Judges whether the objects of a superseding job name those that they replace, by readers that are not ours.

usage: replaced.py OLD_SEG OLD_RTSTRUCT NEW_SEG NEW_RTSTRUCT

Whatever is wrong ends it with an AssertionError.
"""
import sys

import highdicom
import pydicom

old_seg, old_rt, new_seg, new_rt = (pydicom.dcmread(path) for path in sys.argv[1:])
assert highdicom.seg.segread(sys.argv[3]).number_of_segments > 0
for old, new in ((old_seg, new_seg), (old_rt, new_rt)):
    assert old.SOPInstanceUID != new.SOPInstanceUID and old.SeriesInstanceUID != new.SeriesInstanceUID
    assert old.StudyInstanceUID == new.StudyInstanceUID

(image,) = new_seg.ReferencedImageSequence
assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == (old_seg.SOPClassUID, old_seg.SOPInstanceUID)
assert image.PurposeOfReferenceCodeSequence[0].CodingSchemeDesignator == "99MEDLSAM"
listed = {series.SeriesInstanceUID: {i.ReferencedSOPInstanceUID for i in series.ReferencedInstanceSequence} for series in new_seg.ReferencedSeriesSequence}
assert listed[old_seg.SeriesInstanceUID] == {old_seg.SOPInstanceUID}, "not in the Common Instance Reference Module"
assert "replaces" in new_seg.ContentDescription and "ReferencedImageSequence" not in old_seg
assert [s.TrackingUID for s in old_seg.SegmentSequence] == [s.TrackingUID for s in new_seg.SegmentSequence]

(predecessor,) = new_rt.PredecessorStructureSetSequence
assert (predecessor.ReferencedSOPClassUID, predecessor.ReferencedSOPInstanceUID) == (old_rt.SOPClassUID, old_rt.SOPInstanceUID)
assert "PredecessorStructureSetSequence" not in old_rt
