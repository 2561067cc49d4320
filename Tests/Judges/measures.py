"""Judges a measurement report by readers that are not ours, and its numbers by numpy on the masks.

usage: measures.py FOLDER

FOLDER holds SR.dcm, what it must say in expected.json, and masks: one byte a pixel, structure after structure. CT slices are in
FOLDER/ct, SEG.dcm is there when the report refers to one. Whatever is wrong ends it with an AssertionError.
"""
import json
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from pydicom.sr.codedict import codes

folder = Path(sys.argv[1])
expected = json.loads((folder / "expected.json").read_text())
report = highdicom.sr.srread(folder / "SR.dcm")
assert type(report) is highdicom.sr.Comprehensive3DSR, type(report)
content = report.content
assert isinstance(content, highdicom.sr.MeasurementReport)
(observer,) = content.get_observer_contexts()
assert observer.observer_type == codes.DCM.Device
assert observer.observer_identifying_attributes.manufacturer_name == "medlsam-node project"


def slices():
    """Hounsfield units of the frames that the masks lie on, positions along the normal, spacing: as pydicom reads them."""
    frames = []
    for path in sorted((folder / "ct").iterdir()):
        d = pydicom.dcmread(path)
        if "PerFrameFunctionalGroupsSequence" not in d:
            frames.append((d.ImagePositionPatient, d.ImageOrientationPatient, d.PixelSpacing, d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)))
            continue
        shared = d.SharedFunctionalGroupsSequence[0]
        for group, pixels in zip(d.PerFrameFunctionalGroupsSequence, d.pixel_array):
            find = lambda name: next(g[name].value[0] for g in (group, shared) if name in g)
            scale = find("PixelValueTransformationSequence")
            frames.append((find("PlanePositionSequence").ImagePositionPatient, find("PlaneOrientationSequence").ImageOrientationPatient,
                           find("PixelMeasuresSequence").PixelSpacing, pixels * float(scale.RescaleSlope) + float(scale.RescaleIntercept)))
    axis = np.cross(np.array(frames[0][1][:3], float), np.array(frames[0][1][3:], float))
    frames.sort(key=lambda f: np.dot(axis, np.array(f[0], float)))
    return np.stack([f[3] for f in frames]), np.array([np.dot(axis, np.array(f[0], float)) for f in frames]), [float(v) for v in frames[0][2]]


hu, heights, spacing = slices()
hu = np.maximum(hu, -1024)
steps = np.diff(heights)
# What each slice stands for: half way to its neighbours, at the ends as far outwards as inwards.
thickness = (np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]])) / 2
masks = np.fromfile(folder / "masks", np.uint8).reshape(-1, *hu.shape).astype(bool)

volumetric = content.get_volumetric_roi_measurement_groups()
others = content.get_image_measurement_groups()
groups = {group.tracking_identifier: group for group in volumetric + others}
assert set(groups) == {s["name"] for s in expected["structures"]}, groups.keys()
seg = pydicom.dcmread(folder / "SEG.dcm") if (folder / "SEG.dcm").exists() else None
drawn = [s["name"] for s in expected["structures"] if s["state"] == "SEGMENTED"]
assert {g.tracking_identifier for g in volumetric} == (set(drawn) if seg else set()), "the wrong structures refer to a region"
named, volumes = {}, {}
for structure in expected["structures"]:
    group = groups[structure["name"]]
    assert group.finding_type.value == structure["type"], structure
    (site,) = group.finding_sites
    laterality = site.laterality
    assert site.value.value == structure["type"] and (laterality and laterality.value) == structure.get("laterality"), structure
    state = [e for e in group.get_qualitative_evaluations() if e.name.value == "STATE"]
    assert [e.value.value for e in state] == [structure["state"]], state
    (comment,) = (item.value for item in group[0].ContentSequence if item.name.value == "121106")
    assert structure["comment"] in comment, comment
    confidence = group.get_measurements(name=highdicom.sr.CodedConcept("CONFIDENCE", "99MEDLSAM", "Confidence of automatic contour"))
    assert [round(float(m.value), 6) for m in confidence] == ([structure["confidence"]] if "confidence" in structure else []), confidence
    volume = group.get_measurements(name=codes.SCT.Volume)
    found = {m.derivation.meaning: float(m.value) for m in group.get_measurements(name=codes.DCM.AttenuationCoefficient)}
    if structure["name"] not in drawn:
        assert not volume and not found, structure
        continue
    mask = masks[drawn.index(structure["name"])]
    weights = np.broadcast_to(thickness[:, None, None], mask.shape)[mask]
    values = hu[mask]
    mean = np.average(values, weights=weights)
    wanted = {"Mean": mean, "Standard Deviation": np.sqrt(np.average((values - mean) ** 2, weights=weights)), "Minimum": values.min(), "Maximum": values.max()}
    # Half of the last digit that is reported.
    assert abs(float(volume[0].value) - weights.sum() * spacing[0] * spacing[1] / 1000) <= 0.000501, (structure, float(volume[0].value))
    assert volume[0].unit.value == "ml"
    assert set(found) == set(expected["statistics"]), found
    for name, value in found.items():
        assert abs(value - wanted[name]) <= 0.00501, (structure, name, value, wanted[name])
    if seg:
        reference = group.referenced_segment
        named[reference.referenced_segment_numbers[0] if hasattr(reference, "referenced_segment_numbers") else reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber] = group.tracking_uid

    volumes[structure["name"]] = float(volume[0].value)

# dcmqi reads the groups with the SEG that they refer to.
told = folder / "told.json"
subprocess.run([Path(sys.executable).with_name("tid1500reader"), "--inputDICOM", folder / "SR.dcm", "--outputMetadata", told], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
read = {m["TrackingIdentifier"]: m for m in json.loads(told.read_text())["Measurements"]}
for name, volume in volumes.items():
    items = {i["quantity"]["CodeMeaning"]: float(i["value"]) for i in read[name]["measurementItems"]}
    assert items["Volume"] == volume and ("ReferencedSegment" in read[name]) == bool(seg), read[name]

plain = pydicom.dcmread(folder / "SR.dcm")
if seg:
    assert named == {s.SegmentNumber: s.TrackingUID for s in seg.SegmentSequence}, named
evidence = {i.ReferencedSOPInstanceUID: i.ReferencedSOPClassUID for study in plain.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence for i in series.ReferencedSOPSequence}
used = {r.ReferencedSOPInstanceUID for item in plain.iterall() if item.keyword == "ContentSequence" for i in item.value
        for r in i.get("ReferencedSOPSequence", [])}
sources = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in (folder / "ct").iterdir()}
assert set(evidence) == sources | ({seg.SOPInstanceUID} if seg else set()), "evidence"
assert used <= set(evidence) and (sources <= used) == expected["library"], "image library"
assert (plain.VerificationFlag, plain.CompletionFlag, plain.PreliminaryFlag) == ("UNVERIFIED", "COMPLETE", "PRELIMINARY")
print("agrees", len(drawn), "measured of", len(groups), "spread", round(float(thickness.max() - thickness.min()), 3))
