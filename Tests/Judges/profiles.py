"""Judges what destinations of different profiles got of one job, by pydicom.

usage: profiles.py NAME=DIR=KIND,KIND... ...

Each folder must hold objects of just these kinds (SEG, LABELMAP, RTSTRUCT, SR, OVERLAY, SUMMARY, PDF), and every reference of a report to
a segmentation must lead to one that the same destination got. Whatever is wrong ends it with an AssertionError.
"""
import pathlib
import sys

import pydicom
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, RTStructureSetStorage, SegmentationStorage

LabelMapSegmentationStorage = "1.2.840.10008.5.1.4.1.1.66.7"

KINDS = {
    SegmentationStorage: "SEG", LabelMapSegmentationStorage: "LABELMAP", RTStructureSetStorage: "RTSTRUCT",
    Comprehensive3DSRStorage: "SR", EncapsulatedPDFStorage: "PDF"}


def kind(d):
    return KINDS.get(d.SOPClassUID) or ("SUMMARY" if "SUMMARY" in d.SeriesDescription.upper() else "OVERLAY")


for argument in sys.argv[1:]:
    name, folder, kinds = argument.split("=")
    objects = [pydicom.dcmread(f, force=True) for f in pathlib.Path(folder).rglob("*") if f.is_file() and f.name != "index.dat"]
    assert len({d.SOPInstanceUID for d in objects}) == len(objects), f"{name} got an object twice"
    assert sorted({kind(d) for d in objects}) == sorted(kinds.split(",")), f"{name} got {sorted(kind(d) for d in objects)}"
    for d in objects:
        assert kind(d) == "OVERLAY" or sum(kind(o) == kind(d) for o in objects) == 1, f"{name} got two of {kind(d)}"
    segmentations = {d.SOPInstanceUID for d in objects if kind(d) in ("SEG", "LABELMAP")}
    for report in (d for d in objects if kind(d) == "SR"):
        referenced = {
            i.ReferencedSOPInstanceUID for e in report.iterall() if e.keyword == "ReferencedSOPSequence" for i in e.value
            if i.ReferencedSOPClassUID in (SegmentationStorage, LabelMapSegmentationStorage)}
        assert referenced and referenced <= segmentations, f"{name}: the report refers to {referenced}, not to what it got"
    print(name, len(objects))
