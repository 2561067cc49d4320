"""A modality that asks for storage commitment, by pynetdicom.

usage: commitment.py REQUEST.json

The request: {"port": of the node, "aet": own title, "asks": [{"references": [[class, instance], ...], "transaction": UID or null,
"instance", "action": other than the standard's, "raw": hexadecimal data set to send instead}], "listen": port of an SCP of its own for
reports or null, "wait": seconds to stay associated for reports, "after": seconds to wait for them after that, "reports": how many to
wait for, "answers": statuses to answer reports with, then 0}. Prints what happened as JSON.
"""
import faulthandler
import json
import sys
import threading

import pynetdicom.association
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

faulthandler.dump_traceback_later(50, exit=True)  # a judge that hangs says where
request = json.load(open(sys.argv[1]))
reports, all_in = [], threading.Semaphore(0)
answers = list(request.get("answers", []))


def take(event, association):
    info = event.event_information
    reports.append({
        "association": association, "type": event.event_type, "transaction": info.TransactionUID, "calling": event.assoc.requestor.ae_title,
        "called": event.assoc.acceptor.ae_title,
        "committed": [i.ReferencedSOPInstanceUID for i in info.get("ReferencedSOPSequence", [])],
        "failed": {i.ReferencedSOPInstanceUID: i.FailureReason for i in info.get("FailedSOPSequence", [])},
    })
    return answers.pop(0) if answers else 0, None


def sent(event):
    if type(event.message).__name__ == "N_EVENT_REPORT_RSP":
        all_in.release()


def handlers(association):
    return [(evt.EVT_N_EVENT_REPORT, take, [association]), (evt.EVT_DIMSE_SENT, sent)]


server = None
if request.get("listen"):
    listener = AE(ae_title=request["aet"])
    listener.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = listener.start_server(("127.0.0.1", request["listen"]), block=False, evt_handlers=handlers("new"))

ae = AE(ae_title=request["aet"])
ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
ae.add_requested_context(StorageCommitmentPushModel)
association = ae.associate("127.0.0.1", request["port"], ae_title="MEDLSAM", evt_handlers=handlers("same"))
assert association.is_established, "no association"
assert len(association.accepted_contexts) == 1

encode, statuses = pynetdicom.association.encode, []
for ask in request["asks"]:
    identifier, items = Dataset(), []
    if ask.get("transaction"):
        identifier.TransactionUID = ask["transaction"]
    for sop_class, instance in ask["references"]:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        items.append(item)
    identifier.ReferencedSOPSequence = items
    pynetdicom.association.encode = (lambda *_, **__: bytes.fromhex(ask["raw"])) if "raw" in ask else encode
    status, _ = association.send_n_action(
        identifier, ask.get("action", 1), StorageCommitmentPushModel, UID(ask.get("instance", StorageCommitmentPushModelInstance)))
    statuses.append(status.get("Status", -1))
wanted = request.get("reports", 0)


def wait(seconds):
    global wanted
    while wanted > 0 and all_in.acquire(timeout=seconds):
        wanted -= 1


wait(request.get("wait", 0))
association.release()
wait(request.get("after", 0))
if server:
    server.shutdown()
print(json.dumps({"statuses": statuses, "reports": reports}))
