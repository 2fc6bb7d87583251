/*
 * servers: which server of this host uses which certificate, by their
 * configuration files below a directory (/etc).
 */
#ifndef CLI_IMPORT_SERVERS_H
#define CLI_IMPORT_SERVERS_H

#include "cli/import/import.h"

/* Reads nginx/, apache2/, httpd/ and haproxy/ below etc; each use goes to the
 * certificate whose file it names, or a copy of it. */
void servers_find(struct import *im, const char *etc);

#endif
