#include "association.hpp"
#include "output.hpp"
#include <cstring>
#include <dcmtk/dcmnet/cond.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/dul.h>
#include <dcmtk/dcmnet/lst.h>
#include <mutex>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

using face::fail;
using face::failNetwork;
using face::guarded;

namespace {

/// Seconds that a peer may take to close the connection after a release or a rejection.
constexpr int closingTimeout = 10;

/// DCMTK reads the socket to take over from a global variable.
std::mutex handover;

bool startsWith(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

/// Whether an abstract syntax is Verification or may be a storage SOP class: those the toolkit knows, the standard's storage
/// branch with what came after the toolkit (PS3.6 A), and what vendors define. Not the standard's other services.
bool isReceived(const char *uid) {
    return strcmp(uid, UID_VerificationSOPClass) == 0 || dcmIsaStorageSOPClassUID(uid) || startsWith(uid, "1.2.840.10008.5.1.4.1.1.") ||
           !startsWith(uid, "1.2.840.10008.");
}

OFCondition negotiate(cdcmtk_association &self, T_ASC_Parameters *params) {
    for (int i = 0; i < ASC_countPresentationContexts(params); ++i) {
        T_ASC_PresentationContext proposed;
        OFCondition result = ASC_getPresentationContext(params, i, &proposed);
        if (result.bad()) return result;
        const T_ASC_PresentationContextID id = proposed.presentationContextID;
        if (!isReceived(proposed.abstractSyntax)) result = ASC_refusePresentationContext(params, id, ASC_P_ABSTRACTSYNTAXNOTSUPPORTED);
        else if (proposed.transferSyntaxCount == 0) result = ASC_refusePresentationContext(params, id, ASC_P_TRANSFERSYNTAXESNOTSUPPORTED);
        else {
            const char *syntax = proposed.proposedTransferSyntaxes[0];
            result = ASC_acceptPresentationContext(params, id, syntax, ASC_SC_ROLE_DEFAULT, OFTrue);
            self.transferSyntaxes[id] = syntax;
        }
        if (result.bad()) return result;
    }
    return EC_Normal;
}

/// DCMTK refuses messages in a context whose transfer syntax it does not know. Data sets are not decoded here, so that it may
/// take them for one that it knows; what is written into the files comes from our own table.
void disguiseUnknownSyntaxes(T_ASC_Parameters *params) {
    LST_HEAD **list = &params->DULparams.acceptedPresentationContext;
    if (*list == nullptr) return;
    auto *context = static_cast<DUL_PRESENTATIONCONTEXT *>(LST_Head(list));
    LST_Position(list, context);
    for (; context != nullptr; context = static_cast<DUL_PRESENTATIONCONTEXT *>(LST_Next(list)))
        if (DcmXfer(context->acceptedTransferSyntax).getXfer() == EXS_Unknown)
            OFStandard::strlcpy(context->acceptedTransferSyntax, UID_LittleEndianExplicitTransferSyntax, sizeof context->acceptedTransferSyntax);
}

void writeMeta(const cdcmtk_association &self, const T_DIMSE_C_StoreRQ &request, DcmOutputStream &output) {
    DcmMetaInfo meta;
    const Uint8 version[] = {0, 1};
    meta.putAndInsertUint8Array(DCM_FileMetaInformationVersion, version, 2);
    meta.putAndInsertString(DCM_MediaStorageSOPClassUID, request.AffectedSOPClassUID);
    meta.putAndInsertString(DCM_MediaStorageSOPInstanceUID, request.AffectedSOPInstanceUID);
    meta.putAndInsertString(DCM_TransferSyntaxUID, self.transferSyntaxes.at(self.context).c_str());
    meta.putAndInsertString(DCM_SourceApplicationEntityTitle, self.association->params->DULparams.callingAPTitle);
    face::identify(meta, self.implementationClass.c_str(), self.implementationVersion.c_str());
    meta.transferInit();
    meta.write(output, META_HEADER_DEFAULT_TRANSFERSYNTAX, EET_ExplicitLength, nullptr);
    meta.transferEnd();
}

/// Takes over the socket; the lock is held only while a request that lies in the socket's buffer is read.
OFCondition takeOver(cdcmtk_association &self, int socket, uint32_t max_pdu) {
    const std::lock_guard<std::mutex> lock(handover);
    dcmExternalSocketHandle.set(socket);
    OFCondition result = ASC_initializeNetwork(NET_ACCEPTOR, 0, self.timeout, &self.network);
    if (result.bad()) close(socket);
    else {
        result = ASC_receiveAssociation(self.network, &self.association, max_pdu, nullptr, nullptr, OFFalse, DUL_NOBLOCK, self.timeout);
        // This code alone means that DCMTK had no connection around the socket yet (dul.cc, receiveTransportConnectionTCP).
        if (result.code() == DULC_TCPINITERROR) close(socket);
    }
    dcmExternalSocketHandle.set(-1);
    return result;
}

} // namespace

int cdcmtk_socket_accept(int listener, char *address, size_t size) {
    sockaddr_storage peer = {};
    socklen_t length = sizeof peer;
    const int connection = accept4(listener, reinterpret_cast<sockaddr *>(&peer), &length, SOCK_CLOEXEC);
    if (connection < 0) return -1;
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (getnameinfo(reinterpret_cast<sockaddr *>(&peer), length, address, size, nullptr, 0, NI_NUMERICHOST) != 0) address[0] = 0;
    return connection;
}

cdcmtk_association *cdcmtk_association_receive(int socket, const cdcmtk_identity *identity, int timeout_seconds, cdcmtk_error *error) {
    return guarded<cdcmtk_association *>(error, nullptr, [&]() -> cdcmtk_association * {
        auto self = std::make_unique<cdcmtk_association>();
        self->timeout = timeout_seconds;
        self->implementationClass = identity->implementation_class;
        self->implementationVersion = identity->implementation_version;
        const OFCondition result = takeOver(*self, socket, identity->max_pdu);
        if (result.bad()) return failNetwork(error, result), nullptr;
        face::introduce(self->association->params, identity);
        char application[65];
        if (ASC_getApplicationContextName(self->association->params, application, sizeof application).bad() ||
            strcmp(application, UID_StandardApplicationContext) != 0) {
            cdcmtk_association_reject(self.get(), {1, 1, 2}, nullptr); // permanent, service user, PS3.8 table 9-21
            return fail(error, CDCMTK_PROTOCOL, "application context name is not DICOM's"), nullptr;
        }
        return self.release();
    });
}

void cdcmtk_association_titles(cdcmtk_association *association, char calling[17], char called[17]) {
    guarded(nullptr, 0, [&] {
        char responding[17];
        ASC_getAPTitles(association->association->params, calling, 17, called, 17, responding, sizeof responding);
        return 0;
    });
}

int cdcmtk_association_reject(cdcmtk_association *association, cdcmtk_rejection rejection, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const T_ASC_RejectParameters parameters = {
            static_cast<T_ASC_RejectParametersResult>(rejection.result), static_cast<T_ASC_RejectParametersSource>(rejection.source),
            static_cast<T_ASC_RejectParametersReason>(rejection.source << 8 | rejection.reason)};
        const OFCondition result = ASC_rejectAssociation(association->association, &parameters);
        if (result.bad()) return failNetwork(error, result), 0;
        ASC_dropSCPAssociation(association->association, closingTimeout);
        return 1;
    });
}

int cdcmtk_association_accept(cdcmtk_association *association, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        T_ASC_Parameters *params = association->association->params;
        OFCondition result = negotiate(*association, params);
        if (result.good()) result = ASC_acknowledgeAssociation(association->association);
        if (result.bad()) return failNetwork(error, result), 0;
        disguiseUnknownSyntaxes(params);
        return 1;
    });
}

int cdcmtk_association_next(cdcmtk_association *association, cdcmtk_request *request, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        T_DIMSE_Message &message = association->message;
        for (;;) {
            const OFCondition result = DIMSE_receiveCommand(association->association, DIMSE_NONBLOCKING, association->timeout,
                                                            &association->context, &message, nullptr);
            if (result == DUL_PEERREQUESTEDRELEASE) return static_cast<int>(CDCMTK_RELEASE_REQUEST);
            if (result.bad()) return failNetwork(error, result), 0;
            if (message.CommandField == DIMSE_C_CANCEL_RQ) continue; // comes too late for what was answered already
            break;
        }
        if (message.CommandField == DIMSE_C_ECHO_RQ) return static_cast<int>(CDCMTK_ECHO_REQUEST);
        if (message.CommandField != DIMSE_C_STORE_RQ || message.msg.CStoreRQ.DataSetType == DIMSE_DATASET_NULL)
            return static_cast<int>(CDCMTK_OTHER_REQUEST);
        const T_DIMSE_C_StoreRQ &store = message.msg.CStoreRQ;
        OFStandard::strlcpy(request->sop_class, store.AffectedSOPClassUID, sizeof request->sop_class);
        OFStandard::strlcpy(request->sop_instance, store.AffectedSOPInstanceUID, sizeof request->sop_instance);
        OFStandard::strlcpy(request->transfer_syntax, association->transferSyntaxes.at(association->context).c_str(), sizeof request->transfer_syntax);
        return static_cast<int>(CDCMTK_STORE_REQUEST);
    });
}

int cdcmtk_association_receive_file(cdcmtk_association *association, const char *path, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        face::FileConsumer file(path, O_EXCL);
        face::FileOutput output(file);
        if (path != nullptr) writeMeta(*association, association->message.msg.CStoreRQ, output);
        T_ASC_PresentationContextID context = 0;
        const OFCondition result = DIMSE_receiveDataSetInFile(association->association, DIMSE_NONBLOCKING, association->timeout, &context,
                                                              &output, nullptr, nullptr);
        if (result.bad()) return failNetwork(error, result), 0;
        if (context != association->context) return fail(error, CDCMTK_PROTOCOL, "command and data set came in different presentation contexts"), 0;
        if (path == nullptr) return 1;
        if (const int failure = file.finish(true)) return fail(error, CDCMTK_CANNOT_WRITE, "%s", strerror(failure)), 2;
        return 1;
    });
}

int cdcmtk_association_respond(cdcmtk_association *association, uint16_t status, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        OFCondition result = EC_Normal;
        if (association->message.CommandField == DIMSE_C_ECHO_RQ)
            result = DIMSE_sendEchoResponse(association->association, association->context, &association->message.msg.CEchoRQ, status, nullptr);
        else {
            T_DIMSE_C_StoreRSP response = {};
            response.DimseStatus = status;
            result = DIMSE_sendStoreResponse(association->association, association->context, &association->message.msg.CStoreRQ, &response, nullptr);
        }
        if (result.bad()) return failNetwork(error, result), 0;
        return 1;
    });
}

void cdcmtk_association_confirm_release(cdcmtk_association *association) {
    guarded(nullptr, 0, [&] {
        if (ASC_acknowledgeRelease(association->association).good()) ASC_dropSCPAssociation(association->association, closingTimeout);
        return 0;
    });
}
