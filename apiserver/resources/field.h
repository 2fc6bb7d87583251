/*
 * field: one member of an object on the wire, described once for both ways.
 *
 * A table of these reads a request's body (types, limits, defaults, in the
 * table's order, so the first fault of that order is the one answered) into
 * the JSON document that a statement takes as its parameter, and writes rows
 * as objects.  A field's name is its key on the wire and its column.  Times
 * come as UTC text without an offset (see common/sql/api_*.sql).
 */
#ifndef APISERVER_RESOURCES_FIELD_H
#define APISERVER_RESOURCES_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/json/json.h"

struct cJSON;

enum field_type {
	/* At most max characters, none of them hidden (common/base/plain), and
	 * some to be seen unless it is empty. */
	FIELD_TEXT,
	FIELD_INT,    /* min..max */
	FIELD_NUMBER, /* in replies only, as the statement writes it */
	FIELD_BOOL,
	FIELD_TIME,    /* RFC 3339 */
	FIELD_TEXTS,   /* array of strings, at most max_items (0: 1000), each at
			* most  max */
	FIELD_INTS,    /* array of whole numbers min..max, at most 100 */
	FIELD_OBJECTS, /* array of objects, at most max_items, kept so */
	FIELD_TAGS,    /* object of strings */
	FIELD_OBJECT,  /* object, kept as it is */
	FIELD_CONFIG   /* object, kept but for members that say nothing
			* (null, ""); secrets masked on the way out */
};

enum field_flag {
	FIELD_REQUIRED = 1 << 0,     /* on create: "<name> is required" */
	FIELD_READ_ONLY = 1 << 1,    /* not looked at in bodies */
	FIELD_CREATE_ONLY = 1 << 2,  /* not looked at in updates */
	FIELD_WRITE_ONLY = 1 << 3,   /* not in replies */
	FIELD_OMIT_EMPTY = 1 << 4,   /* not in replies when NULL or "" */
	FIELD_EMPTY_ABSENT = 1 << 5, /* "" in a body means: not sent */
	/* 0, [] or {} in a body means the default */
	FIELD_ZERO_DEFAULT = 1 << 6,
	FIELD_CLEARABLE = 1 << 7, /* an explicit null is passed on */
	FIELD_MULTILINE = 1 << 8, /* ends of lines are welcome */
	FIELD_ID = 1 << 9,        /* fieldtext_is_id */
	FIELD_CLAIM = 1 << 10,    /* checked, and never believed: not stored */
	/* 0, [] or {} means not sent: the default in a create, no change in an
	 * update. */
	FIELD_ZERO_ABSENT = 1 << 11,
	FIELD_ONCE = 1 << 12 /* of numbers: what is said again is left out */
};

struct field {
	const char *name;
	enum field_type type;
	unsigned flags;
	int64_t min;
	int64_t max;
	const char *dflt; /* JSON, for a create that leaves it out */
	/* Turns a text (each one of a list) into what is stored, or gives
	 * NULL and says why not. */
	const char *(
	    *convert)(struct arena *a, const char *text, const char **out_why);
	/* NULL, or why this object or list is refused. */
	const char *(*check)(struct arena *a, const struct cJSON *object);
	size_t max_items; /* of a list; of texts also 0: 1000 */
	/* Makes of a stored word, which is not empty, what is answered; "" is
	 * as if nothing was stored. */
	const char *(*say)(struct arena *a, const char *stored);
	const char *column; /* NULL: that of the name */
	/* Of a text: what it may be, in any case of letters, NULL at the end;
	 * stored in this one.  NULL: any. */
	const char *const *words;
	/* Of an object: numbers, nmembers of them, and no other member may
	 * stand in it; NULL: any. */
	const struct field *members;
	size_t nmembers;
};

enum {
	FIELD_MAX = 32,      /* fields of one table */
	FIELD_NAME_MAX = 32, /* bytes of a name */
	/* Members of a list of texts that does not say another, of a list of
	 * numbers, of an object of tags. */
	FIELD_TEXTS_MAX = 1000,
	FIELD_INTS_MAX = 100,
	FIELD_TAGS_MAX = 100
};

/*
 * Reads body by the table into the object *out_json (compact text, in the
 * arena).  RC_INVALID: *out_why is the message for the client.
 */
rc field_read(struct arena *a, const struct field *fields, size_t n,
    const struct cJSON *body, bool is_create, const char **out_json,
    const char **out_why) MUST_CHECK;
/* The same of an update that replaces all: what the body leaves out becomes
 * what a create would make it. */
rc field_read_whole(struct arena *a, const struct field *fields, size_t n,
    const struct cJSON *body, const char **out_json,
    const char **out_why) MUST_CHECK;

/* Rows of a result as objects; the columns are looked up once. */
struct field_rows {
	const struct db_result *result;
	size_t n;
	const struct field *fields[FIELD_MAX];
	int cols[FIELD_MAX];
	/* ,"name": as it is written in every row */
	char keys[FIELD_MAX][FIELD_NAME_MAX + 5];
	size_t key_lens[FIELD_MAX];
};

/* only: the wanted keys, comma-separated; NULL for all. */
void field_rows_init(struct field_rows *fr, const struct db_result *result,
    const struct field *fields, size_t n, const char *only);
void field_rows_put(const struct field_rows *fr, struct arena *a,
    struct json_w *w, size_t row);
/* Without the braces, for an object with more in it. */
void field_rows_put_members(const struct field_rows *fr, struct arena *a,
    struct json_w *w, size_t row);
/* A list of the first n rows. */
void field_rows_put_all(const struct field_rows *fr, struct arena *a,
    struct json_w *w, size_t n);

#endif
