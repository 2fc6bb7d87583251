/*
 * confs: what configuration files of servers say of certificates.
 *
 * Each reads one file's text and finds the places that name a certificate.
 * Includes are not followed, nothing is expanded or executed: what names a
 * certificate by way of a variable is not found.
 */
#ifndef CLI_IMPORT_CONFS_H
#define CLI_IMPORT_CONFS_H

#include <stddef.h>

#include "common/base/arena.h"

struct import_use;

/* The use lives for the length of the call; its texts live in the arena. */
typedef void confs_fn(void *arg, const struct import_use *use);

/* text of len bytes; file is for the uses, and paths that are no absolute ones
 * are below home. */
typedef void confs_reader(struct arena *a, const char *file, const char *home,
    const char *text, size_t len, confs_fn *fn, void *arg);

/* nginx: ssl_certificate and ssl_certificate_key of each server. */
confs_reader confs_nginx;
/* Apache: SSLCertificateFile and SSLCertificateKeyFile of each virtual host. */
confs_reader confs_apache;
/* HAProxy: "crt" of each bind line; the key is in the same file, or NAME.key.
 */
confs_reader confs_haproxy;

#endif
