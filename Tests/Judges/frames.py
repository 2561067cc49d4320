"""Makes one multi-frame CT of single-frame slices with tools that others wrote.

usage: frames.py highdicom|dcmulti FOLDER OUT.dcm   (Legacy Converted Enhanced CT, Enhanced CT)
"""
import glob
import subprocess
import sys
import warnings
from pathlib import Path

tool, folder, out = sys.argv[1:4]
files = sorted(glob.glob(folder + "/*.dcm"))
if tool == "dcmulti":
    with open(out, "wb") as stream:
        # Its exit status tells of attributes that the phantom lacks, too.
        subprocess.run([Path(sys.executable).with_name("dcmulti"), *files], stdout=stream, stderr=subprocess.DEVNULL)
else:
    import pydicom
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    warnings.simplefilter("ignore")
    slices = [pydicom.dcmread(f) for f in files]
    first = slices[0].SOPInstanceUID[:50]
    LegacyConvertedEnhancedCTImage(slices, first + ".1", 7, first + ".2", 1).save_as(out)
