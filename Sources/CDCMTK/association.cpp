#include "arriving.hpp"
#include "association.hpp"
#include <csignal>
#include <cstdlib>
#include <dcmtk/dcmnet/cond.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/dul.h>
#include <poll.h>
#include <sys/socket.h>

/// Seconds that a peer may take to close the connection after an abort.
static constexpr int closingTimeout = 2;

namespace face {

void failNetwork(cdcmtk_error *error, const OFCondition &condition) {
    int code = CDCMTK_PROTOCOL;
    if (condition == DUL_READTIMEOUT || condition == DIMSE_NODATAAVAILABLE) code = CDCMTK_TIMEOUT;
    else if (condition == DUL_ASSOCIATIONREJECTED) code = CDCMTK_REJECTED;
    else if (condition == DUL_PEERABORTEDASSOCIATION || condition == DUL_NETWORKCLOSED) code = CDCMTK_ABORTED;
    else if (condition.code() == DULC_TCPINITERROR || condition.code() == DULC_UNKNOWNHOST || condition == DUL_REQUESTASSOCIATIONFAILED) code = CDCMTK_UNREACHABLE;
    fail(error, code, "%s", condition.text());
}

void introduce(T_ASC_Parameters *params, const cdcmtk_identity *identity) {
    OFStandard::strlcpy(params->ourImplementationClassUID, identity->implementation_class, sizeof params->ourImplementationClassUID);
    OFStandard::strlcpy(params->ourImplementationVersionName, identity->implementation_version, sizeof params->ourImplementationVersionName);
}

} // namespace face

cdcmtk_association::cdcmtk_association() = default;

cdcmtk_association::~cdcmtk_association() {
    if (association != nullptr) {
        ASC_dropAssociation(association);
        ASC_destroyAssociation(&association);
    }
    if (network != nullptr) ASC_dropNetwork(&network);
}

void cdcmtk_network_start(void) {
    face::guarded(nullptr, 0, [] {
        static const bool started = [] {
            // Debian's DCMTK leaves Nagle on, which costs some 40 ms a message; it asks the environment at each connection.
            setenv("TCP_NODELAY", "1", 1);
            signal(SIGPIPE, SIG_IGN);
            dcmDisableGethostbyaddr.set(OFTrue);
            return true;
        }();
        return started ? 1 : 0;
    });
}

int cdcmtk_is_storage_class(const char *uid) {
    return face::guarded(nullptr, 0, [&] { return dcmIsaStorageSOPClassUID(uid) ? 1 : 0; });
}

void cdcmtk_association_free(cdcmtk_association *association) {
    face::guarded(nullptr, 0, [&] { delete association; return 0; });
}

void cdcmtk_association_abort(cdcmtk_association *association) {
    // Not by ASC_abortAssociation: that waits without an end for the peer to close.
    if (association->association == nullptr || DUL_getTransportConnection(association->association->DULassociation) == nullptr) return;
    const unsigned char abort[] = {7, 0, 0, 0, 0, 4, 0, 0, 0, 0}; // PS3.8 9.3.8, by the service user
    association->transport->farewell(abort, sizeof abort);
    const int socket = association->transport->descriptor();
    // What still comes is read for a while: closing over unread bytes would take the abort back.
    char rest[65536];
    const time_t deadline = time(nullptr) + closingTimeout;
    pollfd waiting = {socket, POLLIN, 0};
    while (time(nullptr) < deadline && poll(&waiting, 1, closingTimeout * 1000) > 0 && recv(socket, rest, sizeof rest, MSG_DONTWAIT) > 0) {}
}
