/*
 * opts: the command line of certctl-fleet.
 */
#ifndef FLEET_OPTS_H
#define FLEET_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTS_AGENTS_MAX 10000

struct opts { /* texts are argv's */
	size_t agents;
	const char *dir;
	const char *prefix;
	size_t start_rate; /* agents a second */
	bool register_only;
	const char *certificates; /* NULL: none is to be renewed */
	size_t ask_rate;          /* a second; 0: they become due */
	const char *operator_key_file;
	int listen;
	int64_t for_ms;
	const char *out;    /* NULL: standard output */
	const char *events; /* NULL: none */
};

/* True when the process is to end now with *out_exit: help was asked for, or
 * an option is bad, and it was said which and why. */
bool opts_read(int argc, char **argv, struct opts *out, int *out_exit);

#endif
