#include "agent/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <uthash.h>

#include "agent/certfile.h"
#include "agent/walk.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/pki/cert/discovered.h"

enum {
	/* Of one turn of the loop. */
	TURN_NAMES = 200,
	TURN_FILES = 8,
	MARK_LEN = 32, /* hex digits that tell one from another */
	ERROR_MAX = 300
};

/* A certificate at a place. */
struct mark {
	UT_hash_handle hh;
	char text[MARK_LEN + 1];
};
struct scan_known {
	struct mark *marks;
};

/* One that waits to be told. */
struct entry {
	STAILQ_ENTRY(entry) link;
	struct mark *mark; /* owned until it is told */
	bool has_text;
	size_t len;
	char json[];
};
struct error {
	STAILQ_ENTRY(error) link;
	char text[];
};

struct scan {
	struct loop *loop;
	int64_t began_ms;
	struct walk_opts opts;
	int own[4]; /* the agent's directories, keys among them */
	struct walk *walk;
	uint8_t *bytes; /* of the file being read */
	STAILQ_HEAD(, entry) entries;
	STAILQ_HEAD(, error) errors;
	size_t nwaiting, waiting_bytes, ncerts, nerrors;
	size_t nput, nput_errors; /* of the part that is being told */
	char first_error[ERROR_MAX + 1];
	struct scan_known *known;
	struct mark *told; /* what this scan has told */
	const char *path;  /* of the file being read */
	struct arena *scratch;
};

/* --- what is known --- */

struct scan_known *
scan_known_new(void)
{
	return mem_zalloc(sizeof(struct scan_known));
}

static void
marks_free(struct mark **marks)
{
	struct mark *m, *next;

	HASH_ITER (hh, *marks, m, next) {
		HASH_DEL(*marks, m);
		free(m);
	}
}

void
scan_known_clear(struct scan_known *k)
{
	marks_free(&k->marks);
}

void
scan_known_free(struct scan_known *k)
{
	if (!k)
		return;
	scan_known_clear(k);
	free(k);
}

static struct mark *
mark_new(struct arena *scratch, const char *fingerprint, const char *path)
{
	const char *both = arena_printf(scratch, "%s %s", fingerprint, path);
	struct mark *m = mem_zalloc(sizeof(*m));
	char digest[65];

	enc_sha256_hex(both, strlen(both), digest);
	memcpy(m->text, digest, MARK_LEN);
	return m;
}

static bool
mark_is_in(struct mark *marks, const struct mark *m)
{
	struct mark *found;

	HASH_FIND_STR(marks, m->text, found);
	return found != NULL;
}

/* --- what is found --- */

static void
put_error(struct scan *s, const char *text)
{
	struct arena *scratch = arena_new();
	struct error *e;
	size_t len;

	text = discovered_text(scratch, text, strlen(text), ERROR_MAX);
	len = strlen(text);
	e = mem_zalloc(sizeof(*e) + len + 1);
	memcpy(e->text, text, len + 1);
	STAILQ_INSERT_TAIL(&s->errors, e, link);
	if (s->first_error[0] == '\0')
		memcpy(s->first_error, text, len + 1);
	arena_free(scratch);
}

static void
add_error(struct scan *s, const char *path, const char *why)
{
	struct arena *scratch;

	if (s->nerrors++ >= SCAN_ERRORS_MAX)
		return; /* told of by number, at the end of the walk */
	scratch = arena_new();
	put_error(s, arena_printf(scratch, "%s: %s", path, why));
	arena_free(scratch);
}

static void
on_error(void *arg, const char *path, const char *why)
{
	add_error(arg, path, why);
}

static void
add_entry(struct scan *s, const struct discovered *d, const char *path,
    const char *format)
{
	struct mark *m = mark_new(s->scratch, d->fingerprint_sha256, path);
	bool has_text = !mark_is_in(s->known->marks, m);
	struct entry *e;
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	discovered_put(&w, d, path, format, has_text);
	e = mem_zalloc(sizeof(*e) + b.len + 1);
	e->mark = m;
	e->has_text = has_text;
	e->len = b.len;
	memcpy(e->json, buf_cstr(&b), b.len + 1);
	buf_fini(&b);
	STAILQ_INSERT_TAIL(&s->entries, e, link);
	s->nwaiting++;
	s->waiting_bytes += e->len;
}

static void
on_certificate(void *arg, const char *format, struct span der)
{
	struct scan *s = arg;
	struct discovered d;
	const char *path;
	rc ret;

	if (s->ncerts == SCAN_CERTS_MAX)
		return; /* told of once, at the end of the walk */
	ret = discovered_read(s->scratch, der, &d);
	if (ret != RC_OK) {
		add_error(s, s->path, "what is in it is no certificate");
		return;
	}
	s->ncerts++;
	path = discovered_text(s->scratch, s->path, strlen(s->path),
	    DISCOVERED_PATH_MAX);
	add_entry(s, &d, path, format);
}

static void
read_file(struct scan *s, int fd, const char *path)
{
	const char *name = strrchr(path, '/') + 1, *why = NULL;
	size_t len = 0;
	rc ret;

	s->path = path;
	s->scratch = arena_new();
	ret = file_read_fd(fd, s->bytes, CERTFILE_MAX, &len);
	if (ret == RC_OK)
		why = certfile_read(s->scratch, name,
		    (struct span){s->bytes, len}, on_certificate, s);
	else if (ret != RC_TOO_LARGE)
		why = "it cannot be read";
	if (why)
		add_error(s, path, why);
	/* A private key may lie beside a certificate. */
	mem_wipe(s->bytes, CERTFILE_MAX);
	arena_free(s->scratch);
	s->scratch = NULL;
}

/* --- the walk --- */

struct scan *
scan_new(struct agent *a, const char *const *dirs, struct scan_known *known)
{
	struct scan *s = mem_zalloc(sizeof(*s));

	s->loop = a->loop;
	s->began_ms = loop_now_ms(a->loop);
	s->own[0] = a->key_dir_fd;
	s->own[1] = a->journal_dir_fd;
	s->own[2] = a->served_dir_fd;
	s->own[3] = a->state_dir_fd;
	s->opts = (struct walk_opts){
	    .dirs = dirs,
	    .skip = s->own,
	    .nskip = ARRAY_LEN(s->own),
	    .wants = certfile_is_wanted,
	    .on_error = on_error,
	    .arg = s,
	};
	s->walk = walk_new(&s->opts);
	s->bytes = mem_zalloc(CERTFILE_MAX);
	s->known = known;
	STAILQ_INIT(&s->entries);
	STAILQ_INIT(&s->errors);
	return s;
}

void
scan_free(struct scan *s)
{
	struct entry *e;
	struct error *error;

	if (!s)
		return;
	while ((e = STAILQ_FIRST(&s->entries)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->entries, link);
		free(e->mark);
		free(e);
	}
	while ((error = STAILQ_FIRST(&s->errors)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->errors, link);
		free(error);
	}
	marks_free(&s->told);
	walk_free(s->walk);
	free(s->bytes);
	free(s);
}

static bool
end_walk(struct scan *s)
{
	char more[64];

	if (s->walk == NULL)
		return false;
	walk_free(s->walk);
	s->walk = NULL;
	if (s->ncerts == SCAN_CERTS_MAX)
		put_error(s, "stopped: 20000 certificates were found");
	if (s->nerrors > SCAN_ERRORS_MAX) {
		(void)snprintf(more, sizeof(more), "and %zu more errors",
		    s->nerrors - SCAN_ERRORS_MAX);
		put_error(s, more);
	}
	return false;
}

bool
scan_look(struct scan *s)
{
	int files = 0, fd = -1;
	const char *path = "";

	for (int n = 0; n < TURN_NAMES && files < TURN_FILES; n++) {
		enum walk_result found;

		if (s->walk == NULL || s->ncerts == SCAN_CERTS_MAX)
			return end_walk(s);
		found = walk_next(s->walk, &fd, &path);
		if (found == WALK_END)
			return end_walk(s);
		if (found != WALK_FILE)
			continue;
		read_file(s, fd, path);
		(void)close(fd);
		files++;
	}
	return true;
}

/* --- the parts --- */

bool
scan_has_part(const struct scan *s, size_t certs, size_t bytes)
{
	return s->nwaiting >= certs || s->waiting_bytes >= bytes ||
	       (certs == 1 && !STAILQ_EMPTY(&s->errors));
}

void
scan_put_part(struct scan *s, struct json_w *w, size_t certs, size_t bytes,
    size_t *out_with_text)
{
	const struct entry *e;
	const struct error *error;
	size_t put_bytes = 0;

	*out_with_text = s->nput = s->nput_errors = 0;
	json_w_key(w, "certificates");
	json_w_open(w, '[');
	STAILQ_FOREACH (e, &s->entries, link) {
		if (s->nput == certs || put_bytes >= bytes)
			break;
		json_w_raw(w, e->json);
		put_bytes += e->len;
		s->nput++;
		*out_with_text += e->has_text;
	}
	json_w_close(w, ']');
	json_w_key(w, "errors");
	json_w_open(w, '[');
	STAILQ_FOREACH (error, &s->errors, link) {
		json_w_str(w, error->text);
		s->nput_errors++;
	}
	json_w_close(w, ']');
}

static void
keep_mark(struct scan *s, struct mark *m)
{
	if (mark_is_in(s->told, m))
		free(m);
	else
		HASH_ADD_KEYPTR(hh, s->told, m->text, MARK_LEN, m);
}

void
scan_part_told(struct scan *s)
{
	for (; s->nput > 0; s->nput--) {
		struct entry *e = STAILQ_FIRST(&s->entries);

		STAILQ_REMOVE_HEAD(&s->entries, link);
		s->nwaiting--;
		s->waiting_bytes -= e->len;
		keep_mark(s, e->mark);
		free(e);
	}
	for (; s->nput_errors > 0; s->nput_errors--) {
		struct error *error = STAILQ_FIRST(&s->errors);

		STAILQ_REMOVE_HEAD(&s->errors, link);
		free(error);
	}
}

void
scan_keep_known(struct scan *s)
{
	scan_known_clear(s->known);
	s->known->marks = s->told;
	s->told = NULL;
}

int64_t
scan_ms(const struct scan *s)
{
	return loop_now_ms(s->loop) - s->began_ms;
}

size_t
scan_nerrors(const struct scan *s)
{
	return s->nerrors;
}

const char *
scan_first_error(const struct scan *s)
{
	return s->first_error;
}
