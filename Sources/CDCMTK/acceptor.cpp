#include "association.hpp"
#include "request.hpp"
#include <algorithm>
#include <cstring>
#include <dcmtk/dcmnet/cond.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/dul.h>
#include <dcmtk/dcmnet/lst.h>
#include <mutex>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

using face::fail;
using face::failNetwork;
using face::guarded;
using face::nextFragment;

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

/// The first of the transfer syntaxes that this face can decode in memory, explicit before implicit; NULL when none is proposed.
const char *decodable(const T_ASC_PresentationContext &proposed) {
    for (const char *known : {UID_LittleEndianExplicitTransferSyntax, UID_LittleEndianImplicitTransferSyntax})
        for (int i = 0; i < proposed.transferSyntaxCount; ++i)
            if (strcmp(proposed.proposedTransferSyntaxes[i], known) == 0) return known;
    return nullptr;
}

OFCondition negotiate(cdcmtk_association &self, T_ASC_Parameters *params, const char *const *services, size_t count) {
    for (int i = 0; i < ASC_countPresentationContexts(params); ++i) {
        T_ASC_PresentationContext proposed;
        OFCondition result = ASC_getPresentationContext(params, i, &proposed);
        if (result.bad()) return result;
        const T_ASC_PresentationContextID id = proposed.presentationContextID;
        const bool isService = std::any_of(services, services + count, [&](const char *uid) { return strcmp(uid, proposed.abstractSyntax) == 0; });
        const char *syntax = isService ? decodable(proposed) : proposed.transferSyntaxCount > 0 ? proposed.proposedTransferSyntaxes[0] : nullptr;
        if (!isService && !isReceived(proposed.abstractSyntax)) result = ASC_refusePresentationContext(params, id, ASC_P_ABSTRACTSYNTAXNOTSUPPORTED);
        else if (syntax == nullptr) result = ASC_refusePresentationContext(params, id, ASC_P_TRANSFERSYNTAXESNOTSUPPORTED);
        else {
            result = ASC_acceptPresentationContext(params, id, syntax, ASC_SC_ROLE_DEFAULT, OFTrue);
            self.transferSyntaxes[id] = syntax;
        }
        if (result.bad()) return result;
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

/// Whether the request that lies in the socket's buffer is sound; one that is not is read off and aborted.
bool isSound(int socket) {
    std::vector<uint8_t> pdu(6);
    if (recv(socket, pdu.data(), pdu.size(), MSG_PEEK | MSG_DONTWAIT) != 6) return false;
    pdu.resize(6 + (size_t(pdu[2]) << 24 | pdu[3] << 16 | pdu[4] << 8 | pdu[5]));
    const ssize_t there = recv(socket, pdu.data(), pdu.size(), MSG_PEEK | MSG_DONTWAIT);
    if (there == static_cast<ssize_t>(pdu.size()) && request::isWhole(pdu.data(), pdu.size())) return true;
    const uint8_t abort[] = {7, 0, 0, 0, 0, 4, 0, 0, 2, 6}; // by the service provider: invalid PDU parameter value, PS3.8 9.3.8
    recv(socket, pdu.data(), pdu.size(), MSG_DONTWAIT);
    send(socket, abort, sizeof abort, MSG_DONTWAIT | MSG_NOSIGNAL);
    return false;
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
        if (!isSound(socket)) return close(socket), fail(error, CDCMTK_PROTOCOL, "an item of the association request is longer than what holds it, or than its kind may be"), nullptr;
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

int cdcmtk_association_accept(cdcmtk_association *association, const char *const *services, size_t count, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        T_ASC_Parameters *params = association->association->params;
        OFCondition result = negotiate(*association, params, services, count);
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
        OFStandard::strlcpy(request->sop_class, self.sopClass.size() > 64 ? "" : self.sopClass.c_str(), sizeof request->sop_class);
        OFStandard::strlcpy(request->sop_instance, self.sopInstance.size() > 64 ? "" : self.sopInstance.c_str(), sizeof request->sop_instance);
        OFStandard::strlcpy(request->transfer_syntax, self.transferSyntaxes.at(self.context).c_str(), sizeof request->transfer_syntax);
        return CDCMTK_STORE_REQUEST;
    });
}

int cdcmtk_association_respond(cdcmtk_association *association, uint16_t status, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const cdcmtk_association &self = *association;
        OFCondition result = EC_Normal;
        if (self.command == DIMSE_C_ECHO_RQ) {
            T_DIMSE_C_EchoRQ request = {};
            request.MessageID = self.messageID;
            OFStandard::strlcpy(request.AffectedSOPClassUID, UID_VerificationSOPClass, sizeof request.AffectedSOPClassUID);
            result = DIMSE_sendEchoResponse(self.association, self.context, &request, status, nullptr);
        } else {
            T_DIMSE_C_StoreRQ request = {};
            T_DIMSE_C_StoreRSP response = {};
            request.MessageID = self.messageID;
            OFStandard::strlcpy(request.AffectedSOPClassUID, self.sopClass.c_str(), sizeof request.AffectedSOPClassUID);
            OFStandard::strlcpy(request.AffectedSOPInstanceUID, self.sopInstance.c_str(), sizeof request.AffectedSOPInstanceUID);
            response.DimseStatus = status;
            result = DIMSE_sendStoreResponse(self.association, self.context, &request, &response, nullptr);
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
