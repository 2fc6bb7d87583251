/*
 * import: certificates that other tools keep on this host, as facts.
 *
 * A reader a tool finds them; nothing is executed, nothing is changed, and no
 * file of a private key is opened.  What can't be read becomes a note, so one
 * broken file hides no other.  All texts live in the arena; they are strangers'
 * and harmless only once out.h printed them.
 */
#ifndef CLI_IMPORT_IMPORT_H
#define CLI_IMPORT_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

enum {
	IMPORT_FOUND_MAX = 5000,     /* certificates of one run */
	IMPORT_USES_MAX = 5000,      /* places that name certificates */
	IMPORT_NOTES_MAX = 200,      /* more are counted */
	IMPORT_NAMES_MAX = 20000,    /* names looked at in directories */
	IMPORT_FILE_MAX = 1 << 20,   /* bytes of a file */
	IMPORT_EXPORT_MAX = 16 << 20 /* bytes of an export of cert-manager */
};

/* Where a server of this host is told of a certificate. */
struct import_use {
	const char *server; /* "nginx" */
	const char *type;   /* of a target there; NULL: none is of it */
	const char *file;   /* its configuration file */
	size_t line;
	const char *cert_path;
	const char *key_path;    /* NULL: not told, or in the same file */
	const char *server_name; /* NULL: none that could be asked for */
	const char *address;     /* it listens on; NULL: any */
	int port;                /* 0: not told */
	struct import_use *next;
};

/* One certificate that some tool keeps. */
struct import_found {
	const char *tool;
	const char *name;      /* the tool's own for it */
	const char *source;    /* the file that says so */
	const char *cert_path; /* NULL: in no file of this host */
	const char *key_path;  /* NULL: not told */
	const char *ca;        /* where the tool orders it; NULL: not told */
	int64_t window_days;   /* the tool renews before its end; 0: not told */
	/* How it is renewed now, and what ends that; NULL: by nobody. */
	const char *renewal, *stop;
	const char *note; /* what else to know; NULL */
	/* Of the certificate itself, or what it is to be. */
	const char *const *names; /* nnames */
	size_t nnames;
	const char *issuer_dn;  /* "" without a certificate */
	const char *not_before; /* RFC 3339; "" */
	const char *not_after;
	const char *key;                                      /* "ECDSA 256" */
	const char *fingerprint_sha256, *serial_number, *pem; /* "" */
	struct import_use *uses;
	struct import_found *next;
};

/* One that was found and is none to adopt. */
struct import_passed {
	const char *path;
	const char *why;
	struct import_passed *next;
};

struct import {
	struct arena *arena;
	struct import_found *found; /* in the order in which they were found */
	size_t nfound;
	struct import_use *uses; /* of no certificate yet */
	size_t nuses;
	struct import_passed *passed; /* as they were found */
	size_t npassed;
	const char *notes[IMPORT_NOTES_MAX];
	size_t nnotes; /* may be more than are kept */
	size_t nnames; /* of directories, so far */
};

/* The reader of a tool. */
struct import_reader {
	const char *tool;
	/* Whether the directory or file is the tool's. */
	bool (*knows)(struct import *im, const char *path);
	void (*read)(struct import *im, const char *path);
};
extern const struct import_reader import_acme_sh;
extern const struct import_reader import_caddy;
extern const struct import_reader import_cert_manager;
extern const struct import_reader import_certbot;
extern const struct import_reader import_lego;
extern const struct import_reader import_pem;

void import_init(struct import *im, struct arena *a);
/* A zeroed one at the end of the list, whose texts are not NULL where their
 * comment says ""; NULL, with a note, past IMPORT_FOUND_MAX. */
struct import_found *import_add(struct import *im, const char *tool,
    const char *name, const char *source);
/* A use of no certificate yet; past IMPORT_USES_MAX it is a note. */
void import_add_use(struct import *im, const struct import_use *use);
/* Kept for the plan; past IMPORT_FOUND_MAX it is only counted. */
void import_pass_over(struct import *im, const char *path, const char *why);
/* "path: why", kept for the plan. */
void import_note(struct import *im, const char *path, const char *why);

#endif
