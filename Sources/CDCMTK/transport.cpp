#include "transport.hpp"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace face {

static uint32_t bigEndian(const uint8_t *bytes, int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
    return value;
}

bool PDUGuard::passes(const uint8_t *bytes, size_t count) {
    while (count > 0) {
        if (left > 0) {
            const size_t part = std::min<size_t>(left, count);
            left -= part, bytes += part, count -= part;
            continue;
        }
        header[have++] = *bytes++;
        --count;
        if (have < sizeof header) continue;
        have = 0;
        left = bigEndian(header + 2, 4);
        const bool isAssociate = header[0] == 1 || header[0] == 2, isFixed = header[0] == 3 || (header[0] >= 5 && header[0] <= 7);
        if ((isAssociate && left > longestAssociatePDU) || (isFixed && left != 4)) return false;
    }
    return true;
}

/// Seconds of a clock that nobody sets.
static time_t now() {
    timespec time = {};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

Transport::Transport(int socket, SSL *tls, int timeout) : DcmTransportConnection(socket), secure(tls), timeout(timeout) {
    fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
}

Transport::~Transport() { close(); }

void Transport::close() {
    if (getSocket() < 0) return;
    const unsigned char abort[] = {7, 0, 0, 0, 0, 4, 0, 0, 2, 6}; // PS3.8 9.3.8: by the provider, invalid PDU parameter value
    if (owesAnswer) farewell(abort, sizeof abort);
    if (secure != nullptr) {
        if (SSL_is_init_finished(secure)) SSL_shutdown(secure); // sends the alert; nobody waits for the peer's
        SSL_free(secure);
        secure = nullptr;
    }
    ::close(getSocket());
    setSocket(-1);
}

void Transport::moveTo(int socket) {
    dup2(getSocket(), socket);
    ::close(getSocket());
    setSocket(socket);
    if (secure != nullptr) BIO_set_fd(SSL_get_rbio(secure), socket, BIO_NOCLOSE);
}

Transport::Step Transport::step(int result) {
    switch (SSL_get_error(secure, result)) {
    case SSL_ERROR_NONE: return Step::done;
    case SSL_ERROR_WANT_READ: return wanted = Step::read;
    case SSL_ERROR_WANT_WRITE: return wanted = Step::write;
    case SSL_ERROR_ZERO_RETURN: return Step::failed;
    default:
        broke = ERR_peek_error() == 0 || ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        *failure = broke ? "the connection broke" : tlsFailure();
        return Step::failed;
    }
}

Transport::Step Transport::handshake() {
    if (secure == nullptr || SSL_is_init_finished(secure)) return Step::done;
    ERR_clear_error();
    return step(SSL_do_handshake(secure));
}

bool Transport::complete(int seconds) {
    const time_t deadline = now() + seconds;
    for (;;) {
        const Step next = handshake();
        if (next == Step::done || next == Step::failed) return next == Step::done;
        if (await(next, static_cast<int>(deadline - now()))) continue;
        *failure = "the peer does not go on with the handshake";
        return false;
    }
}

bool Transport::await(Step step, int seconds) {
    pollfd watched = {getSocket(), static_cast<short>(step == Step::write ? POLLOUT : POLLIN), 0};
    int result;
    do result = poll(&watched, 1, std::max(seconds, 0) * 1000);
    while (result < 0 && errno == EINTR);
    return result > 0;
}

ssize_t Transport::readNow(void *buffer, size_t count) {
    if (secure != nullptr) {
        ERR_clear_error();
        const int got = SSL_read(secure, buffer, static_cast<int>(std::min<size_t>(count, INT32_MAX)));
        return got > 0 ? got : step(got) == Step::failed ? 0 : -1;
    }
    ssize_t got;
    do got = recv(getSocket(), buffer, count, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) wanted = Step::read;
    return got >= 0 ? got : errno == EAGAIN ? -1 : 0;
}

ssize_t Transport::read(void *buffer, size_t count) {
    if (consumed < buffered.size()) {
        const size_t part = std::min(count, buffered.size() - consumed);
        memcpy(buffer, buffered.data() + consumed, part);
        consumed += part;
        if (consumed == buffered.size()) buffered = std::string(), consumed = 0;
        return static_cast<ssize_t>(part);
    }
    // A PDU must come to its end in the time that its first byte may take: one byte now and then is no progress.
    if (!guard.isWithin()) deadline = now() + timeout;
    ssize_t got;
    while ((got = readNow(buffer, count)) < 0)
        if (!await(wanted, static_cast<int>(deadline - now()))) return 0;
    if (now() > deadline) return 0;
    return got == 0 || guard.passes(static_cast<const uint8_t *>(buffer), got) ? got : 0;
}

bool Transport::sendAll(const char *bytes, size_t count, bool more) {
    while (count > 0) {
        Step next = Step::write;
        ssize_t sent;
        if (secure != nullptr) {
            ERR_clear_error();
            sent = SSL_write(secure, bytes, static_cast<int>(std::min<size_t>(count, INT32_MAX)));
            if (sent <= 0) next = step(static_cast<int>(sent));
        } else {
            sent = send(getSocket(), bytes, count, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0 && errno != EAGAIN) next = Step::failed;
        }
        if (sent > 0) bytes += sent, count -= sent;
        else if (next == Step::failed || !await(next, timeout)) return false;
    }
    return true;
}

/// An A-ASSOCIATE-AC with more sub-items at the end of its user information (PS3.8 9.3.3).
static std::string amended(std::string pdu, const std::string &items) {
    auto lengthen = [&](size_t at, int count) {
        uint32_t value = bigEndian(reinterpret_cast<const uint8_t *>(pdu.data()) + at, count) + static_cast<uint32_t>(items.size());
        for (int i = count - 1; i >= 0; --i, value >>= 8) pdu[at + i] = static_cast<char>(value);
    };
    constexpr size_t fixedPart = 74; // header included
    for (size_t at = fixedPart; at + 4 <= pdu.size();) {
        const size_t end = at + 4 + bigEndian(reinterpret_cast<const uint8_t *>(pdu.data()) + at + 2, 2);
        if (pdu[at] == 0x50) {
            lengthen(at + 2, 2);
            lengthen(2, 4);
            return pdu.insert(std::min(end, pdu.size()), items);
        }
        at = end;
    }
    return pdu;
}

ssize_t Transport::write(void *buffer, size_t count) {
    const char *bytes = static_cast<const char *>(buffer);
    owesAnswer = false;
    const bool isAccept = !userItems.empty() && count > 0 && bytes[0] == 2;
    const std::string pdu = isAccept ? amended(std::string(bytes, count), userItems) : std::string();
    if (isAccept) userItems.clear();
    // DCMTK hands over a P-DATA-TF's headers, 12 bytes (PS3.8 9.3.5), before its content: the peer should not wake up for those alone.
    constexpr size_t dataHeaders = 12;
    const bool more = count == dataHeaders && bytes[0] == 4;
    const bool sent = isAccept ? sendAll(pdu.data(), pdu.size(), false) : sendAll(bytes, count, more);
    return sent ? static_cast<ssize_t>(count) : -1;
}

void Transport::farewell(const void *bytes, size_t count) {
    if (secure == nullptr) {
        send(getSocket(), bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (SSL_is_init_finished(secure)) {
        ERR_clear_error();
        SSL_write(secure, bytes, static_cast<int>(count));
        SSL_shutdown(secure);
    }
    shutdown(getSocket(), SHUT_WR);
}

OFBool Transport::networkDataAvailable(int seconds) {
    return consumed < buffered.size() || (secure != nullptr && SSL_pending(secure) > 0) || await(Step::read, seconds);
}

DcmTransportConnection *TransportLayer::createConnection(DcmNativeSocketType socket, OFBool) {
    if (transport == nullptr) return nullptr;
    if (socket != transport->descriptor()) transport->moveTo(socket);
    return transport.release();
}

int connectTo(const char *host, uint16_t port, int timeout_seconds, cdcmtk_error *error) {
    addrinfo hints = {}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    // An address in numbers is one even where the machine has no other of its family.
    addrinfo numeric = hints;
    numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    const std::string service = std::to_string(port);
    int failure = getaddrinfo(host, service.c_str(), &numeric, &found);
    if (failure != 0) failure = getaddrinfo(host, service.c_str(), &hints, &found);
    if (failure != 0) return fail(error, CDCMTK_UNREACHABLE, "%s", gai_strerror(failure)), -1;
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
    int reason = ETIMEDOUT;
    for (const addrinfo *address = found; address != nullptr; address = address->ai_next) {
        const int descriptor = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
        if (descriptor < 0) continue;
        const int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        int result = connect(descriptor, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
        if (result == EINPROGRESS) {
            pollfd watched = {descriptor, POLLOUT, 0};
            socklen_t size = sizeof result;
            if (poll(&watched, 1, timeout_seconds * 1000) <= 0) result = ETIMEDOUT;
            else getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &result, &size);
        }
        if (result == 0) return descriptor;
        close(descriptor);
        reason = result;
    }
    return fail(error, CDCMTK_UNREACHABLE, "%s", strerror(reason)), -1;
}

} // namespace face
