/*
 * cert_manager: certificates of Kubernetes' cert-manager, as kubectl exports
 * them (apiVersion cert-manager.io/v1).
 */
#ifndef CLI_IMPORT_CERT_MANAGER_H
#define CLI_IMPORT_CERT_MANAGER_H

#include <stddef.h>

#include "cli/import/import.h"

/* The Certificates of an export, with what its Issuers and Secrets say of
 * them.  What can't be read is a note of path. */
void cert_manager_read(struct import *im, const char *path, const char *text,
    size_t len);

#endif
