#include "association.hpp"
#include <cstring>
#include <dcmtk/dcmnet/diutil.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using face::fail;
using face::failNetwork;
using face::guarded;

namespace {

/// DCMTK's requestor connects to IPv4 addresses only, and without a deadline for TLS. So it is sent to this socket of our own, and
/// the transport layer gives it the connection to the peer instead of the one that it made.
class Doorbell {
  public:
    Doorbell() : descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in own = {};
        own.sin_family = AF_INET;
        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof own;
        auto *address = reinterpret_cast<sockaddr *>(&own);
        if (bind(descriptor, address, length) != 0 || listen(descriptor, 1) != 0 || getsockname(descriptor, address, &length) != 0) return;
        where = "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
    }
    ~Doorbell() { close(descriptor); }
    std::string where; // empty when there is none

  private:
    int descriptor;
};

/// Connects to the peer, by TLS if it is to be; NULL with an error.
std::unique_ptr<face::Transport> connectTo(const cdcmtk_peer *peer, cdcmtk_error *error) {
    const int socket = face::connectTo(peer->host, peer->port, peer->connect_timeout, error);
    if (socket < 0) return nullptr;
    auto transport = std::make_unique<face::Transport>(socket, peer->tls == nullptr ? nullptr : face::makeTLS(peer->tls, socket), peer->message_timeout);
    if (peer->tls == nullptr) return transport;
    if (transport->tls() == nullptr || !transport->complete(peer->association_timeout))
        return fail(error, CDCMTK_TLS, "no TLS: %s", transport->failure->c_str()), nullptr;
    const std::string subject = face::peerSubject(transport->tls());
    if (peer->certificate_subject != nullptr && subject != peer->certificate_subject)
        return fail(error, CDCMTK_TLS, "its certificate is that of %s", subject.c_str()), nullptr;
    return transport;
}

OFCondition propose(T_ASC_Parameters *params, const cdcmtk_peer *peer, const std::string &address, const cdcmtk_proposal *proposals, size_t count) {
    OFCondition result = ASC_setAPTitles(params, peer->calling, peer->called, nullptr);
    if (result.good()) result = ASC_setTransportLayerType(params, OFFalse);
    if (result.good()) result = ASC_setPresentationAddresses(params, OFStandard::getHostName().c_str(), address.c_str());
    for (size_t i = 0; i < count && result.good(); ++i) {
        const char *syntaxes[] = {proposals[i].transfer_syntaxes[0], proposals[i].transfer_syntaxes[1]};
        result = ASC_addPresentationContext(params, 2 * i + 1, proposals[i].abstract_syntax, syntaxes, syntaxes[1] == nullptr ? 1 : 2,
                                            proposals[i].as_provider ? ASC_SC_ROLE_SCP : ASC_SC_ROLE_DEFAULT);
    }
    return result;
}

/// The context to send a file in: its own transfer syntax, or from uncompressed to uncompressed; 0 when there is none.
T_ASC_PresentationContextID contextFor(T_ASC_Association *association, const char *sop_class, const char *transfer_syntax) {
    const T_ASC_PresentationContextID id = ASC_findAcceptedPresentationContextID(association, sop_class, transfer_syntax);
    T_ASC_PresentationContext found;
    if (id == 0 || ASC_findAcceptedPresentationContext(association->params, id, &found).bad()) return 0;
    if (strcmp(found.acceptedTransferSyntax, transfer_syntax) == 0) return id;
    return DcmXfer(transfer_syntax).isEncapsulated() || DcmXfer(found.acceptedTransferSyntax).isEncapsulated() ? 0 : id;
}

} // namespace

cdcmtk_association *cdcmtk_association_request(const cdcmtk_peer *peer, const cdcmtk_identity *identity, const cdcmtk_proposal *proposals,
                                               size_t count, cdcmtk_rejection *rejection, cdcmtk_error *error) {
    return guarded<cdcmtk_association *>(error, nullptr, [&]() -> cdcmtk_association * {
        auto transport = connectTo(peer, error);
        if (transport == nullptr) return nullptr;
        const Doorbell doorbell;
        if (doorbell.where.empty()) return fail(error, CDCMTK_INTERNAL, "no socket: %s", strerror(errno)), nullptr;
        auto self = std::make_unique<cdcmtk_association>();
        self->timeout = peer->message_timeout;
        self->transport = transport.get();
        const auto tlsFailure = transport->failure;
        self->layer = std::make_unique<face::TransportLayer>(std::move(transport));
        T_ASC_Parameters *params = nullptr;
        OFCondition result = ASC_initializeNetwork(NET_REQUESTOR, 0, peer->association_timeout, &self->network);
        if (result.good()) result = ASC_setTransportLayer(self->network, self->layer.get(), 0);
        if (result.good()) result = ASC_createAssociationParameters(&params, identity->max_pdu);
        if (result.good()) {
            face::introduce(params, identity);
            result = propose(params, peer, doorbell.where, proposals, count);
        }
        if (result.good()) result = ASC_requestAssociation(self->network, params, &self->association, nullptr, nullptr, DUL_NOBLOCK, peer->association_timeout);
        if (result == DUL_ASSOCIATIONREJECTED) {
            T_ASC_RejectParameters reason;
            ASC_getRejectParameters(params, &reason);
            *rejection = {static_cast<uint8_t>(reason.result), static_cast<uint8_t>(reason.source), static_cast<uint8_t>(reason.reason & 0xFF)};
        }
        // Once there is an association, it owns the parameters.
        if (self->association == nullptr && params != nullptr) ASC_destroyAssociationParameters(&params);
        // With TLS 1.3 a server may refuse our certificate after the handshake is done for us.
        if (result.bad() && !tlsFailure->empty()) return fail(error, CDCMTK_TLS, "no TLS: %s", tlsFailure->c_str()), nullptr;
        if (result.bad()) return failNetwork(error, result), nullptr;
        for (int i = 0; i < ASC_countPresentationContexts(self->association->params); ++i) {
            T_ASC_PresentationContext context;
            if (ASC_getPresentationContext(self->association->params, i, &context).good() && context.resultReason == ASC_P_ACCEPTANCE)
                self->transferSyntaxes[context.presentationContextID] = context.acceptedTransferSyntax;
        }
        // DCMTK would leak the socket into the worker processes.
        fcntl(self->transport->descriptor(), F_SETFD, FD_CLOEXEC);
        return self.release();
    });
}

int cdcmtk_association_echo(cdcmtk_association *association, uint16_t *status, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        T_ASC_Association *open = association->association;
        if (ASC_findAcceptedPresentationContextID(open, UID_VerificationSOPClass) == 0)
            return fail(error, CDCMTK_NO_CONTEXT, "the peer does not accept Verification"), 0;
        DIC_US answer = 0;
        DcmDataset *detail = nullptr;
        const OFCondition result = DIMSE_echoUser(open, open->nextMsgID++, DIMSE_NONBLOCKING, association->timeout, &answer, &detail);
        delete detail;
        if (result.bad()) return failNetwork(error, result), 0;
        *status = answer;
        return 1;
    });
}

int cdcmtk_association_store(cdcmtk_association *association, const char *path, const char *sop_class, const char *sop_instance,
                             const char *transfer_syntax, uint16_t *status, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        T_ASC_Association *open = association->association;
        const T_ASC_PresentationContextID context = contextFor(open, sop_class, transfer_syntax);
        if (context == 0) return fail(error, CDCMTK_NO_CONTEXT, "the peer does not accept SOP class %s in transfer syntax %s", sop_class, transfer_syntax), 0;
        T_DIMSE_C_StoreRQ request = {};
        T_DIMSE_C_StoreRSP response = {};
        request.MessageID = open->nextMsgID++;
        request.Priority = DIMSE_PRIORITY_MEDIUM;
        request.DataSetType = DIMSE_DATASET_PRESENT;
        OFStandard::strlcpy(request.AffectedSOPClassUID, sop_class, sizeof request.AffectedSOPClassUID);
        OFStandard::strlcpy(request.AffectedSOPInstanceUID, sop_instance, sizeof request.AffectedSOPInstanceUID);
        DcmDataset *detail = nullptr;
        const OFCondition result = DIMSE_storeUser(open, context, &request, path, nullptr, nullptr, nullptr, DIMSE_NONBLOCKING,
                                                   association->timeout, &response, &detail);
        delete detail;
        if (result.bad()) return failNetwork(error, result), 0;
        *status = response.DimseStatus;
        return 1;
    });
}

int cdcmtk_association_release(cdcmtk_association *association, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const OFCondition result = ASC_releaseAssociation(association->association);
        if (result.bad()) return failNetwork(error, result), 0;
        return 1;
    });
}
