#pragma once
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Macros over SSL_ctrl and SSL_CTX_ctrl, which Swift does not import. Each answers 1 on success. */

static inline int openssl_require_tls12(SSL_CTX *context) {
    return (int)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

static inline int openssl_name_server(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}

/* Partial writes and a moving buffer: the caller keeps what was not taken and offers it again. */
static inline void openssl_allow_partial_writes(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}
