#pragma once
#include "CDCMTKDataSet.h"
#ifdef __cplusplus
extern "C" {
#endif

// MARK: TLS

enum { CDCMTK_PROFILE_BCP195 = 0, CDCMTK_PROFILE_BCP195_ND = 1, CDCMTK_PROFILE_BCP195_EX = 2 };
enum { CDCMTK_CERTIFICATE_REQUIRED = 0, CDCMTK_CERTIFICATE_OPTIONAL = 1, CDCMTK_CERTIFICATE_IGNORED = 2 };

typedef struct cdcmtk_tls_settings {
    const char *certificate, *key, *password; // NULL: none, as a client may; no password
    const char *trusted, *revocation;         // a PEM file or a folder of them; a PEM file or NULL
    int profile, verification, is_server;
} cdcmtk_tls_settings;

/// Certificates and rules, loaded; does not change, and any number of connections and threads share it.
typedef struct cdcmtk_tls cdcmtk_tls;

/// Loads the files; the error names the one that cannot be used.
cdcmtk_tls *cdcmtk_tls_create(const cdcmtk_tls_settings *settings, cdcmtk_error *error);
void cdcmtk_tls_free(cdcmtk_tls *tls);
/// The certificate of a PEM file that ends first, in seconds since 1970; returns how many there are, 0 with an error for none.
int cdcmtk_certificates_read(const char *path, char *subject, size_t size, int64_t *valid_from, int64_t *valid_to, cdcmtk_error *error);

// MARK: a connection before its association

/// accept4: the next connection of a listening socket, close-on-exec, Nagle off, with the peer's numerical address;
/// -1 with an errno when there is none.
int cdcmtk_socket_accept(int listener, char *address, size_t size);

/// A connection that a peer opened. Nothing here waits; one thread at a time.
typedef struct cdcmtk_connection cdcmtk_connection;

/// Takes over a connected socket; with TLS, as its server. NULL, the socket closed, with no memory.
cdcmtk_connection *cdcmtk_connection_create(int socket, const cdcmtk_tls *tls);
void cdcmtk_connection_free(cdcmtk_connection *connection);
int cdcmtk_connection_socket(const cdcmtk_connection *connection);

enum {
    CDCMTK_WAITS_TO_READ = 1,
    CDCMTK_WAITS_TO_WRITE = 2,
    CDCMTK_REQUEST_IS_THERE = 3, // the whole A-ASSOCIATE-RQ
    CDCMTK_IS_CLOSED = 4,
    CDCMTK_IS_NO_REQUEST = 5, // what came is no A-ASSOCIATE-RQ, or a longer one than 1 MiB
    CDCMTK_TLS_FAILED = 6,    // with an error
};
/// Goes on with TLS handshake and reading of the A-ASSOCIATE-RQ as far as that goes now.
int cdcmtk_connection_advance(cdcmtk_connection *connection, cdcmtk_error *error);
/// What came so far of the A-ASSOCIATE-RQ, header included; lives as long as the connection.
const uint8_t *cdcmtk_connection_request(const cdcmtk_connection *connection, size_t *count);
/// The subject of the peer's certificate (RFC 4514); empty without one, 0 without TLS.
int cdcmtk_connection_subject(const cdcmtk_connection *connection, char *subject, size_t size);
/// Sends a short PDU, and that it is the last.
void cdcmtk_connection_farewell(cdcmtk_connection *connection, const uint8_t *bytes, size_t count);
/// Reads off what comes; 1 when the peer has closed.
int cdcmtk_connection_drain(cdcmtk_connection *connection);

#ifdef __cplusplus
}
#endif
