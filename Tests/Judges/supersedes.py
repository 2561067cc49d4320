"""Judges whether each object of a superseding result refers to the one that it replaces, by pydicom.

usage: supersedes.py OLD_DIR NEW_DIR

Files of the same name replace each other; a series of captures replaces the series. Whatever is wrong ends it with an AssertionError.
"""
import pathlib
import sys

import pydicom

old, new = (pathlib.Path(folder) for folder in sys.argv[1:])
names = sorted(f.name for f in old.glob("*.dcm"))
assert names and names == sorted(f.name for f in new.glob("*.dcm")), "other files"
everything = [pydicom.dcmread(old / name) for name in names]
for name in names:
    before, after = pydicom.dcmread(old / name), pydicom.dcmread(new / name)
    assert before.SOPInstanceUID != after.SOPInstanceUID and before.SeriesInstanceUID != after.SeriesInstanceUID, f"{name}: the same UID"
    referenced = {e.value for e in after.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    own = {d.SOPInstanceUID for d in everything if d.SeriesInstanceUID == before.SeriesInstanceUID}
    assert referenced & own, f"{name} does not refer to what it replaces"
    # Not to what others replace: an SR of a binary segmentation is not the successor of that of a label map.
    twins = {d.SOPInstanceUID for d in everything if d.SOPClassUID == before.SOPClassUID} - own
    assert not referenced & twins, f"{name} refers to what it does not replace"
print(len(names))
