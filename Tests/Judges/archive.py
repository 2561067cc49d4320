"""An archive by pynetdicom that takes every storage class the standard knows, label maps too, on port PORT of this machine.

usage: archive.py PORT DIR

Stores what it gets as DIR/SOP_INSTANCE_UID.dcm.
"""
import pathlib
import sys

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import LabelMapSegmentationStorage, Verification

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])


def store(event):
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)
    return 0x0000


ae = AE("PYNETDICOM")
classes = {context.abstract_syntax for context in AllStoragePresentationContexts} | {LabelMapSegmentationStorage, Verification}
for uid in classes:
    ae.add_supported_context(uid, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])
