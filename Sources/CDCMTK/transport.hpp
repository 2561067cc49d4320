// A connection as DCMTK's network layer wants it: a socket, with TLS or without, that never waits without an end.
#pragma once
#include "face.hpp"
#include <dcmtk/dcmnet/dcmlayer.h>
#include <dcmtk/dcmnet/dcmtrans.h>
#include <ctime>
#include <openssl/ssl.h>
#include <string>

namespace face {

/// Longest A-ASSOCIATE-RQ or -AC taken: 128 presentation contexts with every transfer syntax there is have some 300,000 bytes.
constexpr uint32_t longestAssociatePDU = 1 << 20;

/// Follows the PDUs that a peer sends (PS3.8 9.3). DCMTK checks the length of P-DATA-TF alone before it allocates.
class PDUGuard {
  public:
    /// False from a header on whose length its PDU cannot have.
    bool passes(const uint8_t *bytes, size_t count);
    /// Whether a PDU has begun and not ended.
    bool isWithin() const { return have > 0 || left > 0; }

  private:
    uint8_t header[6] = {};
    size_t have = 0; // of the header
    uint32_t left = 0; // of the body
};

/// A socket that does not block; waiting is done here and ends in time. One thread at a time.
class Transport final : public DcmTransportConnection {
  public:
    /// Takes over a connected socket, and the TLS of it if there is any; `timeout` in seconds.
    Transport(int socket, SSL *tls, int timeout);
    ~Transport() override;

    enum class Step { done, read, write, failed };
    /// Goes on with the handshake as far as that goes without waiting.
    Step handshake();
    /// Reads without waiting: how many bytes; -1 when there are none yet, 0 when there will be none.
    ssize_t readNow(void *buffer, size_t count);
    /// Writes what is short without waiting, and says that nothing more will come.
    void farewell(const void *bytes, size_t count);
    /// Whether it is done with the handshake, waiting for the peer as long as it may.
    bool complete(int seconds);
    /// Moves to another descriptor, which is closed for it.
    void moveTo(int socket);

    SSL *tls() const { return secure; }
    int descriptor() { return getSocket(); }
    void setTimeout(int seconds) { timeout = seconds; }

    /// Bytes to be read before those of the socket.
    std::string buffered;
    /// Sub-items that DCMTK does not know, for the user information of the A-ASSOCIATE-AC that it will write.
    std::string userItems;
    /// Whether the peer still waits for an answer to its association request, and hears of an abort when none comes.
    bool owesAnswer = false;
    /// Whether the peer closed in the middle of TLS.
    bool broke = false;
    /// Why TLS failed; outlives the connection.
    const std::shared_ptr<std::string> failure = std::make_shared<std::string>();

    OFCondition serverSideHandshake() override { return complete(timeout) ? EC_Normal : EC_IllegalCall; }
    OFCondition clientSideHandshake() override { return serverSideHandshake(); }
    OFCondition renegotiate(const char *) override { return EC_IllegalCall; }
    ssize_t read(void *buffer, size_t count) override;
    ssize_t write(void *buffer, size_t count) override;
    void close() override;
    void closeTransportConnection() override { close(); }
    unsigned long getPeerCertificateLength() override { return 0; }
    unsigned long getPeerCertificate(void *, unsigned long) override { return 0; }
    OFBool networkDataAvailable(int seconds) override;
    OFBool isTransparentConnection() override { return secure == nullptr; }
    OFString &dumpConnectionParameters(OFString &text) override { return text; }

  private:
    SSL *secure;
    int timeout;
    PDUGuard guard;
    time_t deadline = 0; // for the PDU that is being read to end
    size_t consumed = 0; // of what is buffered
    Step wanted = Step::read;

    Step step(int result);
    bool await(Step step, int seconds);
    bool sendAll(const char *bytes, size_t count, bool more);
};

/// Gives DCMTK a connection that exists already.
class TransportLayer final : public DcmTransportLayer {
  public:
    explicit TransportLayer(std::unique_ptr<Transport> transport) : transport(std::move(transport)) {}
    DcmTransportConnection *createConnection(DcmNativeSocketType socket, OFBool) override;

  private:
    std::unique_ptr<Transport> transport;
};

/// Connects to the first address of a host, IPv6 or IPv4, that answers; -1 with an error.
int connectTo(const char *host, uint16_t port, int timeout_seconds, cdcmtk_error *error);

/// Why OpenSSL's last call failed.
std::string tlsFailure();
/// A TLS for a connection; NULL with no memory.
SSL *makeTLS(const cdcmtk_tls *tls, int socket);
/// The subject of the peer's certificate (RFC 4514); empty when it showed none.
std::string peerSubject(const SSL *tls);

} // namespace face
