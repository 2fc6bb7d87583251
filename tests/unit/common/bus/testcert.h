/*
 * testcert: a CA and certificates of it, made for one test run.
 */
#ifndef TESTS_UNIT_COMMON_BUS_TESTCERT_H
#define TESTS_UNIT_COMMON_BUS_TESTCERT_H

#include <stdbool.h>

struct testca; /* defined in testcert.c */

/* A new CA; its certificate is written to path. */
struct testca *testca_new(const char *cn, const char *path);
void testca_free(struct testca *ca);
/* A certificate for the DNS name and its key (mode 0600), for client and
 * server use.  false: something failed. */
bool testca_issue(struct testca *ca, const char *dns, const char *cert_path,
    const char *key_path);

#endif
