#include "association.hpp"
#include "connection.hpp"
#include "request.hpp"
#include <cstring>
#include <dcmtk/dcmnet/cond.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/dul.h>
#include <dcmtk/dcmnet/lst.h>
#include <mutex>
#include <unistd.h>

using face::fail;
using face::failNetwork;
using face::guarded;
using face::nextFragment;

namespace {

/// Seconds that a peer may take to close the connection after a release.
constexpr int closingTimeout = 10;

/// DCMTK reads the socket to take over from a global variable.
std::mutex handover;

OFCondition answer(cdcmtk_association &self, T_ASC_Parameters *params, const cdcmtk_context *contexts, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const cdcmtk_context &context = contexts[i];
        const OFCondition result = context.result == ASC_P_ACCEPTANCE
            ? ASC_acceptPresentationContext(params, context.id, context.transfer_syntax, ASC_SC_ROLE_DEFAULT, OFTrue)
            : ASC_refusePresentationContext(params, context.id, static_cast<T_ASC_P_ResultReason>(context.result));
        if (result.bad()) return result;
        if (context.result == ASC_P_ACCEPTANCE) self.transferSyntaxes[context.id] = context.transfer_syntax;
    }
    return EC_Normal;
}

/// DCMTK refuses messages in contexts whose transfer syntax it does not know. Data sets are not decoded here, so that it may
/// take every one for explicit VR little endian; what is written into the files comes from our own table.
void disguiseTransferSyntaxes(T_ASC_Parameters *params) {
    LST_HEAD **list = &params->DULparams.requestedPresentationContext;
    if (*list == nullptr) return;
    auto *context = static_cast<DUL_PRESENTATIONCONTEXT *>(LST_Head(list));
    LST_Position(list, context);
    for (; context != nullptr; context = static_cast<DUL_PRESENTATIONCONTEXT *>(LST_Next(list)))
        if (context->result == ASC_P_ACCEPTANCE)
            OFStandard::strlcpy(context->acceptedTransferSyntax, UID_LittleEndianExplicitTransferSyntax, sizeof context->acceptedTransferSyntax);
}

/// Longest command set taken: a C-STORE-RQ has some 300 bytes.
constexpr size_t longestCommand = 65536;

uint32_t littleEndian(const std::string &bytes, size_t at, int count) {
    uint32_t value = 0;
    for (int i = count - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
}

/// Takes a command set apart (implicit VR little endian, PS3.7 6.3.1); false when it is none.
bool parse(const std::string &bytes, cdcmtk_association &self) {
    self.command = self.messageID = 0;
    self.hasDataSet = false;
    self.sopClass.clear();
    self.sopInstance.clear();
    for (size_t at = 0; at < bytes.size();) {
        if (bytes.size() - at < 8 || littleEndian(bytes, at, 2) != 0) return false;
        const uint32_t element = littleEndian(bytes, at + 2, 2), length = littleEndian(bytes, at + 4, 4);
        at += 8;
        if (length > bytes.size() - at) return false;
        std::string text = bytes.substr(at, length);
        text.resize(text.find_last_not_of(std::string("\0 ", 2)) + 1); // without its padding
        const uint16_t number = length == 2 ? littleEndian(bytes, at, 2) : 0;
        switch (element) {
        case 0x0002: self.sopClass = text; break;
        case 0x0100: self.command = number; break;
        case 0x0110: self.messageID = number; break;
        case 0x0800: self.hasDataSet = number != DIMSE_DATASET_NULL; break;
        case 0x1000: self.sopInstance = text; break;
        }
        at += length;
    }
    return true;
}

} // namespace

// Not by DIMSE_receiveCommand: that puts no limit on its length and on the depth of sequences in it.
OFCondition face::readCommand(cdcmtk_association &self) {
    std::string &bytes = self.commandSet;
    bytes.clear();
    for (;;) {
        DUL_PDV fragment;
        const OFCondition result = nextFragment(self, fragment);
        if (result.bad() || result == DUL_PEERREQUESTEDRELEASE) return result;
        if (bytes.empty()) self.context = fragment.presentationContextID;
        const bool fits = fragment.pdvType == DUL_COMMANDPDV && fragment.presentationContextID == self.context &&
                          self.transferSyntaxes.count(self.context) == 1 && bytes.size() + fragment.fragmentLength <= longestCommand;
        if (!fits) return DIMSE_UNEXPECTEDPDVTYPE;
        bytes.append(static_cast<const char *>(fragment.data), fragment.fragmentLength);
        if (fragment.lastPDV) return parse(bytes, self) ? EC_Normal : DIMSE_PARSEFAILED;
    }
}

namespace {

/// Gives DCMTK the connection; the lock is held only while a request that is there already is read.
OFCondition takeOver(cdcmtk_association &self, std::unique_ptr<face::Transport> transport, uint32_t max_pdu) {
    const std::lock_guard<std::mutex> lock(handover);
    dcmExternalSocketHandle.set(transport->descriptor());
    self.transport = transport.get();
    self.layer = std::make_unique<face::TransportLayer>(std::move(transport));
    OFCondition result = ASC_initializeNetwork(NET_ACCEPTOR, 0, self.timeout, &self.network);
    if (result.good()) result = ASC_setTransportLayer(self.network, self.layer.get(), 0);
    if (result.good()) result = ASC_receiveAssociation(self.network, &self.association, max_pdu, nullptr, nullptr, OFFalse, DUL_NOBLOCK, self.timeout);
    dcmExternalSocketHandle.set(-1);
    return result;
}

} // namespace

cdcmtk_association *cdcmtk_association_receive(cdcmtk_connection *connection, const cdcmtk_identity *identity, int timeout_seconds, cdcmtk_error *error) {
    return guarded<cdcmtk_association *>(error, nullptr, [&]() -> cdcmtk_association * {
        const std::unique_ptr<cdcmtk_connection> owned(connection);
        auto self = std::make_unique<cdcmtk_association>();
        self->timeout = timeout_seconds;
        self->implementationClass = identity->implementation_class;
        self->implementationVersion = identity->implementation_version;
        owned->transport->setTimeout(timeout_seconds);
        owned->transport->owesAnswer = true;
        const std::string &pdu = owned->transport->buffered = std::move(owned->request);
        if (!request::isWhole(reinterpret_cast<const uint8_t *>(pdu.data()), pdu.size()))
            return fail(error, CDCMTK_PROTOCOL, "an item of the association request is longer than what holds it, or than its kind may be"), nullptr;
        const OFCondition result = takeOver(*self, std::move(owned->transport), identity->max_pdu);
        if (result.bad()) return failNetwork(error, result), nullptr;
        face::introduce(self->association->params, identity);
        return self.release();
    });
}

int cdcmtk_association_accept(cdcmtk_association *association, const cdcmtk_context *contexts, size_t count, const uint8_t *user_items,
                              size_t user_items_length, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        T_ASC_Parameters *params = association->association->params;
        OFCondition result = answer(*association, params, contexts, count);
        association->transport->userItems.assign(reinterpret_cast<const char *>(user_items), user_items_length);
        if (result.good()) result = ASC_acknowledgeAssociation(association->association);
        if (result.bad()) return failNetwork(error, result), 0;
        disguiseTransferSyntaxes(params);
        return 1;
    });
}

int cdcmtk_association_next(cdcmtk_association *association, cdcmtk_request *request, cdcmtk_error *error) {
    return guarded(error, 0, [&]() -> int {
        cdcmtk_association &self = *association;
        do {
            const OFCondition result = face::readCommand(self);
            if (result == DUL_PEERREQUESTEDRELEASE) return CDCMTK_RELEASE_REQUEST;
            if (result.bad()) return failNetwork(error, result), 0;
        } while (self.command == DIMSE_C_CANCEL_RQ); // comes too late for what was answered already
        const bool isEcho = self.command == DIMSE_C_ECHO_RQ && !self.hasDataSet;
        T_ASC_PresentationContext context;
        if (ASC_findAcceptedPresentationContext(self.association->params, self.context, &context).good())
            OFStandard::strlcpy(request->abstract_syntax, context.abstractSyntax, sizeof request->abstract_syntax);
        if (!isEcho && (self.command != DIMSE_C_STORE_RQ || !self.hasDataSet)) return CDCMTK_OTHER_REQUEST;
        self.commandSet.clear();
        if (isEcho) return CDCMTK_ECHO_REQUEST;
        request->context = self.context;
        OFStandard::strlcpy(request->sop_class, self.sopClass.size() > 64 ? "" : self.sopClass.c_str(), sizeof request->sop_class);
        OFStandard::strlcpy(request->sop_instance, self.sopInstance.size() > 64 ? "" : self.sopInstance.c_str(), sizeof request->sop_instance);
        OFStandard::strlcpy(request->transfer_syntax, self.transferSyntaxes.at(self.context).c_str(), sizeof request->transfer_syntax);
        return CDCMTK_STORE_REQUEST;
    });
}

int cdcmtk_association_respond(cdcmtk_association *association, uint16_t status, const char *comment, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const cdcmtk_association &self = *association;
        OFCondition result = EC_Normal;
        DcmDataset detail;
        if (comment != nullptr) result = detail.putAndInsertString(DCM_ErrorComment, comment);
        if (result.bad()) return failNetwork(error, result), 0;
        if (self.command == DIMSE_C_ECHO_RQ) {
            T_DIMSE_C_EchoRQ request = {};
            request.MessageID = self.messageID;
            OFStandard::strlcpy(request.AffectedSOPClassUID, UID_VerificationSOPClass, sizeof request.AffectedSOPClassUID);
            result = DIMSE_sendEchoResponse(self.association, self.context, &request, status, comment ? &detail : nullptr);
        } else {
            T_DIMSE_C_StoreRQ request = {};
            T_DIMSE_C_StoreRSP response = {};
            request.MessageID = self.messageID;
            OFStandard::strlcpy(request.AffectedSOPClassUID, self.sopClass.c_str(), sizeof request.AffectedSOPClassUID);
            OFStandard::strlcpy(request.AffectedSOPInstanceUID, self.sopInstance.c_str(), sizeof request.AffectedSOPInstanceUID);
            response.DimseStatus = status;
            result = DIMSE_sendStoreResponse(self.association, self.context, &request, &response, comment ? &detail : nullptr);
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
