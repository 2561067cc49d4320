"""Asks a node for all that PS3.7 D.3 negotiates, by pynetdicom, and judges what comes back: negotiation.py PORT"""

import sys

from pynetdicom import AE, build_context
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation, SCP_SCU_RoleSelectionNegotiation, SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation, UserIdentityNegotiation)
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import CTImageStorage, Verification
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, generate_uid

port = int(sys.argv[1])


def associate(contexts, *items):
    entity = AE("JUDGE")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    return entity.associate("127.0.0.1", port, contexts=contexts, ae_title="NODE", ext_neg=list(items))


def identity(name, passcode, asks=True):
    item = UserIdentityNegotiation()
    item.user_identity_type = 2 if passcode else 1
    item.positive_response_requested = asks
    item.primary_field = name
    if passcode:
        item.secondary_field = passcode
    return item


# Every storage class there is, in as many associations as that takes.
classes = [context.abstract_syntax for context in AllStoragePresentationContexts]
assert len(classes) > 160, len(classes)
for start in range(0, len(classes), 128):
    part = classes[start:start + 128]
    association = associate([build_context(uid, [ExplicitVRLittleEndian]) for uid in part])
    assert association.is_established
    assert len(association.accepted_contexts) == len(part), association.rejected_contexts
    association.release()

# Everything at once.
window = AsynchronousOperationsWindowNegotiation()
window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 5
extended = SOPClassExtendedNegotiation()
extended.sop_class_uid, extended.service_class_application_information = CTImageStorage, b"\x02\x00\x03\x00\x00\x00"
common = SOPClassCommonExtendedNegotiation()
common.sop_class_uid, common.service_class_uid = CTImageStorage, "1.2.840.10008.4.2"
role = SCP_SCU_RoleSelectionNegotiation()
role.sop_class_uid, role.scu_role, role.scp_role = CTImageStorage, True, True
contexts = [build_context(CTImageStorage, [syntax]) for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless)]
association = associate(contexts + [build_context(Verification)], window, extended, common, role, identity(b"user", b"secret"))
assert association.is_established
assert sorted(context.transfer_syntax[0] for context in association.accepted_contexts if context.abstract_syntax == CTImageStorage) == sorted(
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless])
acceptor = association.acceptor
assert acceptor.asynchronous_operations == (5, 1), acceptor.asynchronous_operations
assert acceptor.sop_class_extended == {CTImageStorage: b"\x02\x00\x03\x00\x00\x00"}, acceptor.sop_class_extended
assert acceptor.user_identity is not None and acceptor.user_identity.server_response in (b"", None)
answered = acceptor.role_selection[CTImageStorage]
assert answered.scu_role and not answered.scp_role
data = Dataset()
data.SOPClassUID, data.SOPInstanceUID, data.PatientID = CTImageStorage, generate_uid(), "1"
data.file_meta = FileMetaDataset()
data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
assert association.send_c_store(data).Status == 0
assert association.send_c_echo().Status == 0
association.release()

# Names without a passcode, wrong ones, and none.
for item, established in ((identity(b"user", b"wrong"), False), (identity(b"user", None), False), (identity(b"user", b"secret", False), True)):
    association = associate([build_context(CTImageStorage)], item)
    assert association.is_established == established
    assert established or (association.acceptor.primitive.result, association.acceptor.primitive.result_source, association.acceptor.primitive.diagnostic) == (1, 2, 1)
    if established:
        assert association.acceptor.user_identity is None
        association.release()

print("all as negotiated")
