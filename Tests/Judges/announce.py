"""A modality or archive that announces instances by MPPS or IAN, by pynetdicom.

usage: announce.py PORT REQUESTS.json

The requests, in order: [{"service": "MPPS" or "IAN", "operation": "create" or "set", "uid": of the object or null, "status": a
Performed Procedure Step Status, "series": {series UID: [instance UIDs]}}]; what is absent is not sent. Prints the statuses as JSON.
"""
import faulthandler
import json
import sys

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

faulthandler.dump_traceback_later(50, exit=True)  # a judge that hangs says where
port, requests = int(sys.argv[1]), json.load(open(sys.argv[2]))
ae = AE(ae_title="CT1")
ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
ae.add_requested_context(ModalityPerformedProcedureStep)
ae.add_requested_context(InstanceAvailabilityNotification)
association = ae.associate("127.0.0.1", port, ae_title="MEDLSAM")
assert association.is_established and len(association.accepted_contexts) == 2


def reference(uid, availability):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    if availability:
        item.InstanceAvailability, item.RetrieveAETitle = availability, "ARCHIVE"
    return item


answers = []
for request in requests:
    is_step = request["service"] == "MPPS"
    d = Dataset()
    d.StudyID = "1"  # pynetdicom announces an empty data set and does not send it
    if "status" in request:
        d.PerformedProcedureStepStatus = request["status"]
    if "series" in request:
        items = []
        for series, instances in request["series"].items():
            item = Dataset()
            item.SeriesInstanceUID = series
            references = [reference(uid, None if is_step else request.get("availability", "ONLINE")) for uid in instances]
            if is_step:
                item.ReferencedImageSequence = references
            else:
                item.ReferencedSOPSequence = references
            items.append(item)
        if is_step:
            d.PerformedSeriesSequence = items
        else:
            d.StudyInstanceUID, d.ReferencedPerformedProcedureStepSequence = "1.3", []
            d.ReferencedSeriesSequence = items
    sop_class = ModalityPerformedProcedureStep if is_step else InstanceAvailabilityNotification
    if request["operation"] == "create":
        status, _ = association.send_n_create(d, sop_class, request.get("uid"))
    else:
        status, _ = association.send_n_set(d, sop_class, request["uid"])
    answers.append({"status": status.get("Status", -1), "errorID": status.get("ErrorID")})
association.release()
print(json.dumps(answers))
