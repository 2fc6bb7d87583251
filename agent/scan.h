/*
 * scan: one walk through directories, and the certificates that it met, in
 * parts as they are to be reported.
 */
#ifndef AGENT_SCAN_H
#define AGENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "common/json/json.h"

enum {
	SCAN_CERTS_MAX = 20000, /* certificates of a scan */
	SCAN_ERRORS_MAX = 200   /* errors that are told one by one */
};

struct scan;       /* defined in scan.c */
struct scan_known; /* certificates whose text the server has; likewise */

struct scan_known *scan_known_new(void);
void scan_known_clear(struct scan_known *k);
/* NULL is a no-op. */
void scan_known_free(struct scan_known *k);

/* dirs, NULL-terminated, and known must outlive it. */
struct scan *scan_new(struct agent *a, const char *const *dirs,
    struct scan_known *known);
void scan_free(struct scan *s);
/* Looks at some names and a few files; false: that was the last of them. */
bool scan_look(struct scan *s);
/* Whether what waits to be told is so many certificates, so many bytes, or as
 * many errors as one part has. */
bool scan_has_part(const struct scan *s, size_t certs, size_t bytes);
/* The members certificates and errors of a report: what waits, up to that.
 * *out_with_text: how many of them have their text. */
void scan_put_part(struct scan *s, struct json_w *w, size_t certs, size_t bytes,
    size_t *out_with_text);
/* The server has taken that part. */
void scan_part_told(struct scan *s);
/* All of it was told: it is what the server knows from now on. */
void scan_keep_known(struct scan *s);

/* Since it began. */
int64_t scan_ms(const struct scan *s);
size_t scan_nerrors(const struct scan *s);
const char *scan_first_error(const struct scan *s); /* "" for none */

#endif
