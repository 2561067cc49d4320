"""Judges whether objects made at different times differ in their dates and times alone, by pydicom.

usage: determinism.py EARLIER_DIR LATER_DIR

Compares files of the same name element by element, and prints which elements differ in each, as JSON. Whatever differs but is not in
docs/explanation/determinism.md ends it with an AssertionError.
"""
import json
import pathlib
import sys

import pydicom

earlier, later = (pathlib.Path(folder) for folder in sys.argv[1:])
DATES = {
    "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime",
    "StructureSetDate", "StructureSetTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture", "AcquisitionDateTime",
}
# What is drawn states its date, too.
DRAWN = {"EncapsulatedDocument", "EncapsulatedDocumentLength", "PixelData"}


def differences(a, b, found):
    """Collects the keywords of elements that are not the same in two data sets."""
    assert [e.tag for e in a] == [e.tag for e in b], "other elements"
    for one, two in zip(a, b):
        if one.VR == "SQ":
            assert len(one.value) == len(two.value), f"{one.keyword}: other items"
            for x, y in zip(one.value, two.value):
                differences(x, y, found)
        elif one.value != two.value or one.VR != two.VR:
            found.add(one.keyword)
    return found


names = sorted(f.name for f in earlier.glob("*.dcm"))
assert names and names == sorted(f.name for f in later.glob("*.dcm")), "other files"
result = {}
for name in names:
    a, b = pydicom.dcmread(earlier / name), pydicom.dcmread(later / name)
    assert a.file_meta == b.file_meta, f"{name}: other meta information"
    found = differences(a, b, set())
    allowed = DATES | (DRAWN if name.startswith(("SUMMARY", "PDF")) else set())
    assert found <= allowed, f"{name}: {sorted(found - allowed)} differ"
    assert "ContentDate" in found or "StructureSetDate" in found, f"{name}: does not tell when it was made"
    result[name] = sorted(found)
print(json.dumps(result))
