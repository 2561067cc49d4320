"""Encodes CT slices in place as High-Throughput JPEG 2000 and sends them over one association, in that transfer syntax alone.

Usage: send_htj2k.py PORT TRANSFER_SYNTAX FILE... The encoder is OpenJPH (imagecodecs), the sender pynetdicom.
"""
import sys

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pynetdicom import AE

port, syntax, paths = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
slices = []
for path in paths:
    d = pydicom.dcmread(path)
    d.PixelData = encapsulate([imagecodecs.htj2k_encode(np.ascontiguousarray(d.pixel_array), reversible=True)])
    d["PixelData"].VR, d["PixelData"].is_undefined_length, d.file_meta.TransferSyntaxUID = "OB", True, syntax
    d.save_as(path)
    slices.append(d)
entity = AE("OPENJPH")
entity.add_requested_context(slices[0].SOPClassUID, syntax)
association = entity.associate("127.0.0.1", port, ae_title="MEDLSAM")
if not association.is_established:
    sys.exit("the association was refused")
statuses = [association.send_c_store(d).get("Status") for d in slices]
association.release()
if any(statuses):
    sys.exit(f"statuses: {statuses}")
