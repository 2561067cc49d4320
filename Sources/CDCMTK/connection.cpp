#include "connection.hpp"
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

using face::fail;
using face::guarded;
using face::Transport;

namespace {

constexpr size_t headerLength = 6; // PS3.8 9.3.1
/// Fixed part of an A-ASSOCIATE-RQ (PS3.8 table 9-11).
constexpr uint32_t shortestRequest = 68;
constexpr unsigned char associateRequest = 1;
/// Bytes read at a time, so that nobody makes us keep room for what never comes.
constexpr size_t portion = 16384;

uint32_t announced(const std::string &header) {
    uint32_t length = 0;
    for (size_t at = 2; at < headerLength; ++at) length = length << 8 | static_cast<unsigned char>(header[at]);
    return length;
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

cdcmtk_connection *cdcmtk_connection_create(int socket, const cdcmtk_tls *tls) {
    return guarded<cdcmtk_connection *>(nullptr, nullptr, [&]() -> cdcmtk_connection * {
        SSL *secure = tls == nullptr ? nullptr : face::makeTLS(tls, socket);
        if (tls != nullptr && secure == nullptr) return close(socket), nullptr;
        auto self = std::make_unique<cdcmtk_connection>();
        self->transport = std::make_unique<Transport>(socket, secure, 0);
        return self.release();
    });
}

void cdcmtk_connection_free(cdcmtk_connection *connection) {
    guarded(nullptr, 0, [&] { delete connection; return 0; });
}

int cdcmtk_connection_socket(const cdcmtk_connection *connection) { return connection->transport->descriptor(); }

int cdcmtk_connection_advance(cdcmtk_connection *connection, cdcmtk_error *error) {
    return guarded(error, static_cast<int>(CDCMTK_IS_CLOSED), [&]() -> int {
        Transport &transport = *connection->transport;
        std::string &request = connection->request;
        const Transport::Step step = transport.handshake();
        // Whoever only looks whether the port is open is no news.
        if (step == Transport::Step::failed && transport.broke) return CDCMTK_IS_CLOSED;
        if (step == Transport::Step::failed) return fail(error, CDCMTK_TLS, "%s", transport.failure->c_str()), CDCMTK_TLS_FAILED;
        if (step != Transport::Step::done) return step == Transport::Step::write ? CDCMTK_WAITS_TO_WRITE : CDCMTK_WAITS_TO_READ;
        for (;;) {
            size_t wanted = headerLength;
            if (request.size() >= headerLength) {
                const uint32_t length = announced(request);
                if (request[0] != associateRequest || length < shortestRequest || length > face::longestAssociatePDU) return CDCMTK_IS_NO_REQUEST;
                wanted += length;
            }
            if (request.size() == wanted) return CDCMTK_REQUEST_IS_THERE;
            char bytes[portion];
            const ssize_t got = transport.readNow(bytes, std::min(sizeof bytes, wanted - request.size()));
            if (got == 0) return CDCMTK_IS_CLOSED;
            if (got < 0) return CDCMTK_WAITS_TO_READ;
            request.append(bytes, got);
        }
    });
}

const uint8_t *cdcmtk_connection_request(const cdcmtk_connection *connection, size_t *count) {
    *count = connection->request.size();
    return reinterpret_cast<const uint8_t *>(connection->request.data());
}

int cdcmtk_connection_subject(const cdcmtk_connection *connection, char *subject, size_t size) {
    return guarded(nullptr, 0, [&] {
        const SSL *tls = connection->transport->tls();
        if (tls == nullptr) return 0;
        OFStandard::strlcpy(subject, face::peerSubject(tls).c_str(), size);
        return 1;
    });
}

void cdcmtk_connection_farewell(cdcmtk_connection *connection, const uint8_t *bytes, size_t count) {
    guarded(nullptr, 0, [&] { connection->transport->farewell(bytes, count); return 0; });
}

int cdcmtk_connection_drain(cdcmtk_connection *connection) {
    return guarded(nullptr, 1, [&] {
        // Beneath TLS: what it says no longer matters.
        char bytes[portion];
        ssize_t got;
        do got = recv(connection->transport->descriptor(), bytes, sizeof bytes, MSG_DONTWAIT);
        while (got > 0);
        return got < 0 && errno == EAGAIN ? 0 : 1;
    });
}
