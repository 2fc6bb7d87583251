/*
 * sockbio: how a TLS session reads and writes its socket.
 *
 * As OpenSSL's own, but it can be told that more is about to be written: then
 * the kernel holds back what would be a small segment (MSG_MORE), and the
 * records of one answer go out together.
 */
#ifndef APISERVER_EDGE_SOCKBIO_H
#define APISERVER_EDGE_SOCKBIO_H

#include <stdbool.h>

#include <openssl/bio.h>

/* For a socket that does not block; does not own it.  Never NULL. */
BIO *sockbio_new(int fd);
/* Whether more is written at once behind what is written next. */
void sockbio_set_more(BIO *b, bool has_more);

#endif
