/*
 * install_rig: one install in the sandbox, and the pair that an operator had
 * before it.
 */
#ifndef TESTS_UNIT_AGENT_INSTALL_RIG_H
#define TESTS_UNIT_AGENT_INSTALL_RIG_H

#include <stdbool.h>
#include <sys/stat.h>

#include "agent/install.h"

#define FAR_AWAY 4000000000
#define LONG_AGO 1500000000
#define LEAF "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
#define ROOT "-----BEGIN CERTIFICATE-----\nB\n-----END CERTIFICATE-----\n"

extern struct arena *a;
extern struct install_paths p;
extern const char *why;

rc paths(const char *cert, const char *key, const char *chain) MUST_CHECK;
/* A target whose server names T/current itself. */
void direct(void);
/* A target whose server names two files that stand already. */
void with_files(void);
rc stage(const char *version, const char *chain, const char *key) MUST_CHECK;

extern const char *old_cert, *old_key;
extern struct stat old_cert_stat, old_key_stat;

/* The operator's pair at the two paths, with marks of its own. */
void with_a_pair(long not_after);
bool is_same_file(const char *name, const struct stat *want);
/* Whether the operator's pair stands untouched. */
bool is_as_before(void);

#endif
