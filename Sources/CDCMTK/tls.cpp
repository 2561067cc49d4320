#include "transport.hpp"
#include <cstring>
#include <dcmtk/dcmtls/tlslayer.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

using face::fail;
using face::guarded;

struct cdcmtk_tls {
    DcmTLSTransportLayer layer;
    bool isServer;
    cdcmtk_tls(bool is_server) : layer(is_server ? NET_ACCEPTOR : NET_REQUESTOR, nullptr, OFFalse), isServer(is_server) {}
    SSL_CTX *context() const { return const_cast<DcmTLSTransportLayer &>(layer).getNativeHandle(); }
};

namespace {

bool isFolder(const char *path) {
    struct stat about = {};
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/// Files are looked at one by one, so that an error can name the one it is about.
bool load(cdcmtk_tls &self, const cdcmtk_tls_settings *settings, cdcmtk_error *error) {
    for (const char *path : {settings->certificate, settings->key, settings->trusted, settings->revocation})
        if (path != nullptr && access(path, R_OK) != 0) return fail(error, CDCMTK_CANNOT_READ, "%s cannot be read: %s", path, strerror(errno)), false;
    const char *at = settings->trusted;
    OFCondition result = isFolder(at) ? self.layer.addTrustedCertificateDir(at, DCF_Filetype_PEM) : self.layer.addTrustedCertificateFile(at, DCF_Filetype_PEM);
    if (result.good() && settings->revocation != nullptr) {
        result = self.layer.addCertificateRevocationList(at = settings->revocation, DCF_Filetype_PEM);
        if (result.good()) result = self.layer.setCRLverification(TCR_checkLeafCRL);
    }
    if (result.good() && settings->certificate != nullptr) {
        // The key first: a certificate that does not fit it then drops it, and a key that does not fit would only be an error.
        self.layer.setPrivateKeyPasswd(settings->password == nullptr ? "" : settings->password);
        result = self.layer.setPrivateKeyFile(settings->key, DCF_Filetype_PEM);
        if (result.bad()) return fail(error, CDCMTK_INVALID, "%s holds no private key in PEM that can be read: %s", settings->key, result.text()), false;
        ERR_clear_error();
        if (SSL_CTX_use_certificate_chain_file(self.context(), settings->certificate) != 1)
            return fail(error, CDCMTK_INVALID, "%s holds no certificate in PEM: %s", settings->certificate, face::tlsFailure().c_str()), false;
        if (!self.layer.checkPrivateKeyMatchesCertificate())
            return fail(error, CDCMTK_INVALID, "the key in %s is not that of the certificate in %s", settings->key, settings->certificate), false;
    }
    if (result.bad()) return fail(error, CDCMTK_INVALID, "%s cannot be used: %s", at, result.text()), false;
    return true;
}

std::string inWords(const X509_NAME *name) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), BIO_free);
    X509_NAME_print_ex(text.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    char *bytes = nullptr;
    const long count = BIO_get_mem_data(text.get(), &bytes);
    return std::string(bytes, count > 0 ? count : 0);
}

} // namespace

std::string face::tlsFailure() {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason == nullptr ? "unknown reason" : reason;
}

SSL *face::makeTLS(const cdcmtk_tls *tls, int socket) {
    SSL *made = SSL_new(tls->context());
    if (made == nullptr) return nullptr;
    SSL_set_fd(made, socket);
    SSL_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (tls->isServer) SSL_set_accept_state(made);
    else SSL_set_connect_state(made);
    return made;
}

std::string face::peerSubject(const SSL *tls) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get_peer_certificate(tls), X509_free);
    return certificate == nullptr ? "" : inWords(X509_get_subject_name(certificate.get()));
}

cdcmtk_tls *cdcmtk_tls_create(const cdcmtk_tls_settings *settings, cdcmtk_error *error) {
    return guarded<cdcmtk_tls *>(error, nullptr, [&]() -> cdcmtk_tls * {
        static const bool ready = (DcmTLSTransportLayer::initializeOpenSSL(), true);
        (void)ready;
        auto self = std::make_unique<cdcmtk_tls>(settings->is_server != 0);
        const DcmTLSSecurityProfile profiles[] = {TSP_Profile_BCP195, TSP_Profile_BCP195_ND, TSP_Profile_BCP195_Extended};
        const DcmCertificateVerification verifications[] = {DCV_requireCertificate, DCV_checkCertificate, DCV_ignoreCertificate};
        if (!load(*self, settings, error)) return nullptr;
        OFCondition result = self->layer.setTLSProfile(profiles[settings->profile]);
        if (result.good()) result = self->layer.activateCipherSuites();
        if (result.bad()) return fail(error, CDCMTK_INTERNAL, "the TLS profile cannot be set: %s", result.text()), nullptr;
        self->layer.setCertificateVerification(verifications[settings->verification]);
        self->layer.setBuiltInDHParameters();
        // A resumed session would not look at certificates again.
        SSL_CTX_set_session_cache_mode(self->context(), SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(self->context(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
        SSL_CTX_set_num_tickets(self->context(), 0);
        return self.release();
    });
}

void cdcmtk_tls_free(cdcmtk_tls *tls) {
    guarded(nullptr, 0, [&] { delete tls; return 0; });
}

int cdcmtk_certificates_read(const char *path, char *subject, size_t size, int64_t *valid_from, int64_t *valid_to, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(path, "r"), BIO_free);
        if (file == nullptr) return fail(error, CDCMTK_CANNOT_READ, "%s cannot be read", path), 0;
        int count = 0;
        for (;;) {
            const std::unique_ptr<X509, decltype(&X509_free)> one(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr), X509_free);
            if (one == nullptr) break;
            tm from = {}, to = {};
            ASN1_TIME_to_tm(X509_get0_notBefore(one.get()), &from);
            ASN1_TIME_to_tm(X509_get0_notAfter(one.get()), &to);
            const int64_t start = timegm(&from), end = timegm(&to);
            if (count++ > 0 && end >= *valid_to) continue;
            *valid_from = start;
            *valid_to = end;
            OFStandard::strlcpy(subject, inWords(X509_get_subject_name(one.get())).c_str(), size);
        }
        ERR_clear_error();
        return count > 0 ? count : (fail(error, CDCMTK_INVALID, "%s holds no certificate in PEM", path), 0);
    });
}
