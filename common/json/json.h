/*
 * json: strict reading of foreign JSON over cJSON, and a writer.
 *
 * cJSON by itself accepts trailing text and duplicate members, cuts strings
 * at \u0000, rounds numbers past 2^53 and passes invalid UTF-8; json_parse
 * refuses each of these before anything is used (RFC 8259, RFC 7493).
 */
#ifndef COMMON_JSON_JSON_H
#define COMMON_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/rc.h"

struct cJSON;

/* Nesting at most 32.  *out lives in the arena (deferred).  On RC_INVALID
 * *out_why says what is wrong and at which byte, for the client. */
rc json_parse(struct arena *a, const char *text, size_t len,
    const struct cJSON **out, const char **out_why) MUST_CHECK;

/* Members are found case-insensitively, as the wire contract asks.
 * Getters: RC_OK and the value; RC_NOT_FOUND when absent or null (value
 * untouched); RC_INVALID on a wrong type, a string past max bytes, or a
 * number that is not whole or out of range. */
const struct cJSON *json_get(const struct cJSON *object, const char *name);
rc json_str(const struct cJSON *object, const char *name, size_t max,
    const char **out) MUST_CHECK;
/* The same where the format's names are case-sensitive and null is a value
 * of the wrong type, as in JOSE (RFC 7515 section 4). */
const struct cJSON *json_get_exact(const struct cJSON *object,
    const char *name);
rc json_str_exact(const struct cJSON *object, const char *name, size_t max,
    const char **out) MUST_CHECK;
rc json_int(const struct cJSON *object, const char *name, int64_t min,
    int64_t max, int64_t *out) MUST_CHECK;
rc json_bool(const struct cJSON *object, const char *name,
    bool *out) MUST_CHECK;
/* Array of strings, each at most max bytes, at most max_items. */
rc json_str_list(struct arena *a, const struct cJSON *object, const char *name,
    size_t max_items, size_t max, const char ***out, size_t *out_n) MUST_CHECK;
/* Compact text of a value, in the arena. */
const char *json_text(struct arena *a, const struct cJSON *value);

/*
 * Writer: appends to a buf; commas by itself.  < > & U+2028 U+2029 inside
 * strings are written as \u003c and so on, as the wire contract asks.
 */
struct json_w {
	struct buf *b;
	bool comma;
};
void json_w_init(struct json_w *w, struct buf *b);
void json_w_open(struct json_w *w, char bracket);  /* '{' or '[' */
void json_w_close(struct json_w *w, char bracket); /* '}' or ']' */
void json_w_key(struct json_w *w, const char *key);
void json_w_str(struct json_w *w, const char *value); /* NULL: null */
void json_w_int(struct json_w *w, int64_t value);
void json_w_bool(struct json_w *w, bool value);
void json_w_null(struct json_w *w);
/* Text that is JSON already. */
void json_w_raw(struct json_w *w, const char *json);
/* Key and value; _opt writes nothing for NULL or "". */
void json_w_kv(struct json_w *w, const char *key, const char *value);
void json_w_kv_opt(struct json_w *w, const char *key, const char *value);
void json_w_kv_int(struct json_w *w, const char *key, int64_t value);
void json_w_kv_bool(struct json_w *w, const char *key, bool value);
void json_w_kv_raw(struct json_w *w, const char *key, const char *json);

#endif
