#pragma once
#include "CDCMTKConnection.h"
#ifdef __cplusplus
extern "C" {
#endif

/// What cdcmtk_error.code says of an association.
enum {
    CDCMTK_UNREACHABLE = 16, // no such host, connection refused
    CDCMTK_TIMEOUT = 17,     // nothing came in time
    CDCMTK_REJECTED = 18,    // by the peer; see cdcmtk_rejection
    CDCMTK_ABORTED = 19,     // the peer aborted, or the connection broke
    CDCMTK_PROTOCOL = 20,    // the peer broke the protocol
    CDCMTK_NO_CONTEXT = 21,  // no accepted presentation context fits the file
    CDCMTK_TLS = 22,         // the TLS handshake failed, or the peer's certificate is another's
};

/// A-ASSOCIATE-RJ (PS3.8 9.3.4).
typedef struct cdcmtk_rejection {
    uint8_t result, source, reason;
} cdcmtk_rejection;

/// Who this application is on the network.
typedef struct cdcmtk_identity {
    const char *implementation_class, *implementation_version;
    uint32_t max_pdu; // largest PDU to receive, 4,096 to 131,072
} cdcmtk_identity;

/// Settings of the whole process: Nagle off, no name look-ups of peers, SIGPIPE ignored. Call before any other of these.
void cdcmtk_network_start(void);

/// Whether the toolkit knows a UID as a storage SOP class.
int cdcmtk_is_storage_class(const char *uid);

/// An association, either side; one thread at a time.
typedef struct cdcmtk_association cdcmtk_association;

void cdcmtk_association_free(cdcmtk_association *association);
void cdcmtk_association_abort(cdcmtk_association *association);

// MARK: messages

/// A DIMSE message: a command set (implicit VR little endian, PS3.7 6.3.1) and, where it has one, a data set in the transfer
/// syntax of its presentation context.
typedef struct cdcmtk_message {
    uint8_t context;
    char transfer_syntax[65]; // as received
    uint8_t *command, *data_set; // data_set is NULL where there is none
    size_t command_length, data_set_length;
} cdcmtk_message;

/// Receives a whole message, as acceptor the one that cdcmtk_association_next called another request. Free it with
/// cdcmtk_message_free. Returns 1; 2 when the data set exceeded the limit and was dropped; 0 when the association is over.
int cdcmtk_association_receive_message(cdcmtk_association *association, size_t limit, cdcmtk_message *message, cdcmtk_error *error);
void cdcmtk_message_free(cdcmtk_message *message);
int cdcmtk_association_send_message(cdcmtk_association *association, const cdcmtk_message *message, cdcmtk_error *error);
/// An accepted presentation context of an abstract syntax, with its transfer syntax; 0 when there is none.
int cdcmtk_association_context(cdcmtk_association *association, const char *abstract_syntax, char transfer_syntax[65]);

// MARK: acceptor

/// Takes over a connection whose A-ASSOCIATE-RQ is there; it is closed when this fails.
cdcmtk_association *cdcmtk_association_receive(cdcmtk_connection *connection, const cdcmtk_identity *identity, int timeout_seconds, cdcmtk_error *error);

/// The answer to a proposed presentation context.
typedef struct cdcmtk_context {
    uint8_t id, result;          // 0 is acceptance (PS3.8 table 9-18)
    const char *transfer_syntax; // NULL when refused
} cdcmtk_context;

/// Accepts the association, with further sub-items for the user information as they go out (PS3.7 D.3.3).
int cdcmtk_association_accept(cdcmtk_association *association, const cdcmtk_context *contexts, size_t count, const uint8_t *user_items,
                              size_t user_items_length, cdcmtk_error *error);

enum { CDCMTK_ECHO_REQUEST = 1, CDCMTK_STORE_REQUEST = 2, CDCMTK_OTHER_REQUEST = 3, CDCMTK_RELEASE_REQUEST = 4 };

/// A request as it came: the UIDs are not validated.
typedef struct cdcmtk_request {
    uint8_t context; // the presentation context
    char abstract_syntax[65]; // of the presentation context
    char sop_class[65], sop_instance[65], transfer_syntax[65]; // of a store request
} cdcmtk_request;

/// Waits for the next request; returns its kind, 0 with an error when the association is over. Another request, which may be a
/// response too, is taken by cdcmtk_association_receive_message.
int cdcmtk_association_next(cdcmtk_association *association, cdcmtk_request *request, cdcmtk_error *error);
/// Begins to read the data set of the store request into a Part 10 file, as it comes: an empty one that is there. Without a path, or when
/// the file cannot be written, the data set is read off all the same and no file stays behind. Returns 1 once the first 64 KB of the file are there, or all of it,
/// and hands them out until cdcmtk_association_receive_file; 0 when the association is over.
int cdcmtk_association_begin_file(cdcmtk_association *association, const char *path, const uint8_t **start, size_t *count, cdcmtk_error *error);

/// A data set that arrived in whole, as a Part 10 file; its last bytes and its flush are under way.
typedef struct cdcmtk_received {
    uint64_t size;  // bytes of the file
    uint8_t digest[32]; // SHA-256 of the data set
    const uint8_t *start; // the first bytes of the file; valid until the association's next call
    size_t start_count;
} cdcmtk_received;

/// Reads the rest of what was begun; `received` is NULL where that was without a path.
/// Returns 1 when the file is complete, 2 with an error when only the file failed, 0 when the association is over.
int cdcmtk_association_receive_file(cdcmtk_association *association, cdcmtk_received *received, cdcmtk_error *error);
/// Has the entries of a folder flushed after the file that was received, while the caller goes on.
void cdcmtk_association_flush_folder(cdcmtk_association *association, const char *path);
/// Waits until the file that was received is written and flushed, and the folders; 0, or the errno of a failure.
int cdcmtk_association_await_flush(cdcmtk_association *association);
/// Answers the echo or store request with a status, and, unless null, an Error Comment of at most 64 characters.
int cdcmtk_association_respond(cdcmtk_association *association, uint16_t status, const char *comment, cdcmtk_error *error);
/// Confirms the peer's release and waits a while for it to close the connection.
void cdcmtk_association_confirm_release(cdcmtk_association *association);

// MARK: requestor

typedef struct cdcmtk_peer {
    const char *host, *calling, *called;
    const cdcmtk_tls *tls;           // as client; NULL is without
    const char *certificate_subject; // that the peer's certificate must have (RFC 4514); NULL is any
    uint16_t port;
    int connect_timeout, association_timeout, message_timeout; // seconds
} cdcmtk_peer;

typedef struct cdcmtk_proposal {
    const char *abstract_syntax;
    const char *transfer_syntaxes[2]; // the second may be NULL
    int as_provider;                  // whether to ask for the role of SCP (PS3.7 D.3.3.4)
} cdcmtk_proposal;

/// Opens an association proposing up to 128 presentation contexts.
cdcmtk_association *cdcmtk_association_request(const cdcmtk_peer *peer, const cdcmtk_identity *identity, const cdcmtk_proposal *proposals,
                                               size_t count, cdcmtk_rejection *rejection, cdcmtk_error *error);
int cdcmtk_association_echo(cdcmtk_association *association, uint16_t *status, cdcmtk_error *error);
/// Sends a file by C-STORE in its own transfer syntax, or, when that is not compressed, in another uncompressed one.
int cdcmtk_association_store(cdcmtk_association *association, const char *path, const char *sop_class, const char *sop_instance,
                             const char *transfer_syntax, uint16_t *status, cdcmtk_error *error);
int cdcmtk_association_release(cdcmtk_association *association, cdcmtk_error *error);

#ifdef __cplusplus
}
#endif
