// libFuzzer over the network face as acceptor: an input is all that a peer sends, from its A-ASSOCIATE-RQ on, before it closes.
#include "../memory_file.hpp"
#include <CDCMTK.h>
#include <arpa/inet.h>
#include <algorithm>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <vector>

namespace {

constexpr size_t longestDataSet = 1 << 20;

/// What the answer to a request is made of.
struct Answer {
    std::deque<std::string> syntaxes;
    std::vector<cdcmtk_context> contexts;
    bool isDICOM = false; // by its application context
};

/// As AETitle.swift has it.
bool isTitle(const uint8_t *text) {
    return std::all_of(text, text + 16, [](uint8_t c) { return c >= ' ' && c <= '~' && c != '\\'; }) &&
           std::any_of(text, text + 16, [](uint8_t c) { return c != ' '; });
}

/// Accepts every presentation context in the transfer syntax proposed first; Swift code, which decides in the node, is not fuzzed here.
Answer answer(const uint8_t *pdu, size_t count) {
    Answer made;
    const auto length = [&](size_t at) { return at + 4 <= count ? size_t(pdu[at + 2]) << 8 | pdu[at + 3] : count; };
    for (size_t at = 74; at + 8 <= count; at += 4 + length(at)) {
        const size_t end = std::min(count, at + 4 + length(at));
        if (pdu[at] == 0x10) made.isDICOM = std::string(reinterpret_cast<const char *>(pdu + at + 4), end - at - 4) == "1.2.840.10008.3.1.1.1";
        if (pdu[at] != 0x20) continue;
        for (size_t part = at + 8; part + 4 <= end; part += 4 + length(part)) {
            if (pdu[part] != 0x40) continue;
            const char *text = reinterpret_cast<const char *>(pdu + part + 4);
            made.syntaxes.emplace_back(text, strnlen(text, std::min(length(part), end - part - 4)));
            cdcmtk_context accepted = {};
            accepted.id = pdu[at + 4];
            accepted.transfer_syntax = made.syntaxes.back().c_str();
            made.contexts.push_back(accepted);
            break;
        }
    }
    return made;
}

/// Ends the run, and says why, unless the system did what was asked of it.
void check(bool wentWell, const char *what) {
    if (wentWell) return;
    perror(what);
    abort();
}

/// Two ends of a TCP connection on loopback: DCMTK sets options that other sockets lack.
struct Connection {
    int ours, theirs;

    Connection() {
        static const int listener = listen();
        sockaddr_in address = {};
        socklen_t length = sizeof address;
        check(getsockname(listener, reinterpret_cast<sockaddr *>(&address), &length) == 0, "getsockname");
        theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        // Each from another loopback address: a connection that ended in order keeps its port for a minute, and there are 28,000 an address.
        static unsigned turn = 0;
        sockaddr_in from = {};
        from.sin_family = AF_INET;
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + ++turn % 1000);
        check(bind(theirs, reinterpret_cast<sockaddr *>(&from), sizeof from) == 0, "bind");
        check(connect(theirs, reinterpret_cast<sockaddr *>(&address), length) == 0, "connect");
        char name[64];
        ours = cdcmtk_socket_accept(listener, name, sizeof name);
        check(ours >= 0, "accept");
        // Closing resets the connection, so that a million of them leave no port waiting.
        const linger reset = {1, 0};
        setsockopt(theirs, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    ~Connection() { close(theirs); }

  private:
    static int listen() {
        const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        check(bind(descriptor, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0 && ::listen(descriptor, 8) == 0, "listen");
        return descriptor;
    }
};

/// Serves requests as AcceptedAssociation.swift does, each second instance without a file.
void serve(cdcmtk_association *association) {
    const std::string path = "/dev/shm/medlsam-fuzz-" + std::to_string(getpid());
    cdcmtk_error error = {};
    cdcmtk_request request = {};
    for (int number = 0;; ++number) {
        switch (cdcmtk_association_next(association, &request, &error)) {
        case CDCMTK_ECHO_REQUEST:
            if (!cdcmtk_association_respond(association, 0, nullptr, &error)) return;
            break;
        case CDCMTK_STORE_REQUEST: {
            if (strlen(request.sop_instance) > 64 || strlen(request.sop_class) > 64 || strlen(request.transfer_syntax) > 64) abort();
            const bool keeps = number % 2 == 0;
            if (keeps) close(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)); // the node hands out files that are there
            cdcmtk_received received = {};
            const uint8_t *start = nullptr;
            size_t startLength = 0;
            int result = cdcmtk_association_begin_file(association, keeps ? path.c_str() : nullptr, &start, &startLength, &error);
            size_t end = 0;
            if (result == 1) cdcmtk_file_free(cdcmtk_file_load_start(start, startLength, 0x7FE0, 0x0010, &end));
            if (result == 1) result = cdcmtk_association_receive_file(association, keeps ? &received : nullptr, &error);
            if (result == 1 && keeps) {
                cdcmtk_association_flush_folder(association, "/dev/shm");
                if (cdcmtk_association_await_flush(association) != 0) abort();
            }
            // A file stays exactly when the face says that it is complete, and, once that is written, it is as long as it says.
            struct stat about = {};
            const bool stays = stat(path.c_str(), &about) == 0;
            if (stays != (keeps && result == 1) || (stays && uint64_t(about.st_size) != received.size)) abort();
            unlink(path.c_str());
            if (result == 0 || !cdcmtk_association_respond(association, result == 1 ? 0 : 0xA700, result == 1 ? nullptr : "refused", &error)) return;
            break;
        }
        case CDCMTK_OTHER_REQUEST: {
            cdcmtk_message message = {};
            const int result = cdcmtk_association_receive_message(association, longestDataSet, &message, &error);
            if (result == 1 && message.data_set != nullptr)
                cdcmtk_file_free(cdcmtk_file_decode(message.data_set, message.data_set_length, message.transfer_syntax, &error));
            const bool goesOn = result == 1 && cdcmtk_association_send_message(association, &message, &error);
            cdcmtk_message_free(&message);
            if (!goesOn) return cdcmtk_association_abort(association);
            break;
        }
        case CDCMTK_RELEASE_REQUEST: return cdcmtk_association_confirm_release(association);
        default: return cdcmtk_association_abort(association);
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
    cdcmtk_network_start();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    Connection connection;
    check(send(connection.theirs, bytes, count, MSG_NOSIGNAL) == static_cast<ssize_t>(count), "send");
    shutdown(connection.theirs, SHUT_WR);
    cdcmtk_connection *arriving = cdcmtk_connection_create(connection.ours, nullptr);
    cdcmtk_error error = {};
    if (arriving == nullptr) abort();
    // Everything is there already: whoever waits to read waits for what does not come.
    if (cdcmtk_connection_advance(arriving, &error) != CDCMTK_REQUEST_IS_THERE) {
        cdcmtk_connection_free(arriving);
        return 0;
    }
    size_t length = 0;
    const uint8_t *request = cdcmtk_connection_request(arriving, &length);
    const Answer made = answer(request, length);
    // What the Swift side rejects before the face is asked for more.
    if (!made.isDICOM || made.contexts.empty() || !isTitle(request + 10) || !isTitle(request + 26)) {
        cdcmtk_connection_free(arriving);
        return 0;
    }
    const cdcmtk_identity identity = {"1.2.3", "FUZZ", 131072};
    cdcmtk_association *association = cdcmtk_association_receive(arriving, &identity, 5, &error);
    if (association == nullptr) return 0;
    if (cdcmtk_association_accept(association, made.contexts.data(), made.contexts.size(), nullptr, 0, &error)) serve(association);
    cdcmtk_association_free(association);
    return 0;
}
