#include "worker/behind.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/op/op.h"
#include "worker/issuers/journal_file.h"
#include "worker/issuers/journal_leaf.h"
#include "worker/issuers/journal_list.h"

#define LIST_SUFFIX ".crl"
#define LIST_BYTES_MAX ((off_t)16 * 1024 * 1024)
/* Some 600 lines, and far more than one may be long. */
#define PART_BYTES ((size_t)128 * 1024)
#define LINES_MAX (PART_BYTES / 100)
#define DEADLINE_MS 60000
#define RETRY_MS 1000
/* Of one CA's files, from the newest on: two, as the newest may have been begun
 * just now, and another worker's last batch be in the one before. */
#define KNOWN_ENOUGH 2

struct behind {
	const struct behind_opts *o;
	const char **files; /* ends with NULL */
	size_t at;          /* the file looked at */
	off_t end;          /* what of it is still to be looked at; -1: all */
	off_t next_end;     /* if the database does not know all of this part */
	int64_t ahead;
	bool told;
	const char *stem; /* the CA and host whose files are looked at */
	int known;        /* so many of them, one after the other, wholly */
	int64_t file_ahead;
	/* the lines of one part */
	size_t n;
	const char *times[LINES_MAX], *serials[LINES_MAX], *jobs[LINES_MAX],
	    *certificates[LINES_MAX], *leaves[LINES_MAX];
};

static op_step look_part;
static op_step look_answered;
static op_step look_failed;

static void
look_ended(struct op *op, rc code, const char *message)
{
	struct behind_opts *o = op_owner(op);

	if (code == RC_OK)
		o->done(o->arg);
	else if (code != RC_CANCELLED)
		log_error("JOURNAL-LOOK", "%s: %s", rc_name(code), message);
	free(o);
}

/* --- files --- */

/* The newest of a CA's first: the one that is written to, then by time. */
static int
newest_first(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*y, *x);
}

static void
list_files(struct op *op, struct behind *b)
{
	DIR *dir = opendir(b->o->journal_dir);
	size_t n = 0, cap = 16;
	const struct dirent *e;

	b->files = arena_alloc(op_arena(op), cap * sizeof(b->files[0]));
	while (dir && (e = readdir(dir))) {
		if (!text_ends_with(e->d_name, JOURNAL_SUFFIX) &&
		    !text_ends_with(e->d_name, LIST_SUFFIX))
			continue;
		if (n + 1 == cap) {
			const char **more = arena_alloc(op_arena(op),
			    2 * cap * sizeof(more[0]));

			memcpy(more, b->files, n * sizeof(more[0]));
			b->files = more;
			cap *= 2;
		}
		b->files[n++] = arena_strdup(op_arena(op), e->d_name);
	}
	b->files[n] = NULL;
	qsort(b->files, n, sizeof(b->files[0]), newest_first);
	if (dir)
		(void)closedir(dir);
}

/* Milliseconds as text; NULL for what is no time. */
static const char *
read_time(struct op *op, const char *text)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!rest)
		return NULL;
	return op_printf(op, "%" PRId64,
	    (int64_t)timegm(&tm) * 1000 +
		(*rest == '.' ? (int64_t)(strtod(rest, NULL) * 1000) : 0));
}

static void
take_line(struct op *op, struct behind *b, const char *line, size_t len)
{
	struct journal_line l;
	const char *at;

	if (b->n == LINES_MAX || journal_read_line(line, len, &l) != RC_OK)
		return;
	at = read_time(op, l.time);
	if (!at)
		return;
	b->times[b->n] = at;
	b->serials[b->n] = arena_strdup(op_arena(op), l.serial_hex);
	b->jobs[b->n] = arena_strdup(op_arena(op), l.job_id);
	b->certificates[b->n] = arena_strdup(op_arena(op), l.certificate_id);
	if (journal_leaf_json(op_arena(op), &l, &b->leaves[b->n]) != RC_OK)
		b->leaves[b->n] = "null";
	b->n++;
}

/* The whole lines of the part that ends at b->end. */
static rc
read_part(struct op *op, struct behind *b, int fd)
{
	char *text = arena_alloc(op_arena(op), PART_BYTES), *p = text, *stop;
	struct stat st;
	off_t from;
	ssize_t got;

	if (b->end < 0) {
		if (fstat(fd, &st) != 0)
			return RC_IO;
		b->end = st.st_size;
	}
	from = b->end > (off_t)PART_BYTES ? b->end - (off_t)PART_BYTES : 0;
	got = pread(fd, text, (size_t)(b->end - from), from);
	if (got < 0)
		return RC_IO;
	stop = text + got;
	if (from > 0) { /* the line that is cut belongs to the part before */
		p = memchr(text, '\n', (size_t)got);
		p = p ? p + 1 : stop;
	}
	b->next_end = from > 0 ? from + (p - text) : 0;
	b->n = 0;
	for (char *nl; p < stop; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(stop - p));
		if (!nl)
			break;
		take_line(op, b, p, (size_t)(nl - p));
	}
	return RC_OK;
}

/* A whole revocation list. */
static rc
read_list(struct op *op, int fd, struct journal_list *out)
{
	struct stat st;
	uint8_t *der;

	if (fstat(fd, &st) != 0)
		return RC_IO;
	if (st.st_size > LIST_BYTES_MAX)
		return RC_TOO_LARGE;
	der = arena_alloc(op_arena(op), (size_t)st.st_size + 1);
	if (pread(fd, der, (size_t)st.st_size, 0) != st.st_size)
		return RC_IO;
	return journal_list_read(op_arena(op), der, (size_t)st.st_size, out);
}

/* --- asking --- */

static bool
is_same_stem(const char *x, const char *y)
{
	size_t len = journal_stem_len(x);

	return len == journal_stem_len(y) && strncmp(x, y, len) == 0;
}

/* A file was looked at. */
static void
count_known(struct behind *b)
{
	const char *name = b->files[b->at];

	if (!b->stem || !is_same_stem(b->stem, name))
		b->known = 0;
	b->stem = name;
	b->known = b->file_ahead == 0 ? b->known + 1 : 0;
}

/* Who knows the newest lines of a CA's knows what was written before them. */
static enum op_next
next_file(struct op *op, struct behind *b)
{
	do
		b->at++;
	while (b->files[b->at] && b->known >= KNOWN_ENOUGH &&
	       is_same_stem(b->stem, b->files[b->at]));
	b->end = -1;
	b->file_ahead = 0;
	return op_goto(op, look_part);
}

static enum op_next
ask_list(struct op *op, struct behind *b, const struct journal_list *l)
{
	struct arena *a = op_arena(op);

	b->next_end = 0; /* there is no part before */
	op_catch(op, look_failed);
	return OP_QUERY(op, Q_CRL_CHECK, look_answered, b->o->host,
	    b->files[b->at], op_printf(op, "%" PRId64, l->number),
	    db_text_array(a, l->serials, l->n),
	    db_i64_array(a, l->revoked_at_unix, l->n),
	    db_text_array(a, l->reasons, l->n));
}

static enum op_next
look_part(struct op *op)
{
	struct behind *b = op_state(op, sizeof(*b));
	struct arena *a = op_arena(op);
	const char *name = b->files[b->at];
	bool is_list = name && text_ends_with(name, LIST_SUFFIX);
	struct journal_list list;
	rc ret = RC_IO;
	int fd;

	if (!name) {
		if (b->ahead > 0)
			log_error("DATABASE-BEHIND",
			    "%" PRId64 " certificates or revocations of the "
			    "journals in %s are unknown to the database: it is "
			    "older than they are; nobody leads until certctl "
			    "recover",
			    b->ahead, b->o->journal_dir);
		return op_done(op);
	}
	fd = open(op_printf(op, "%s/%s", b->o->journal_dir, name),
	    O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ret = is_list ? read_list(op, fd, &list) : read_part(op, b, fd);
		(void)close(fd); /* nothing was written */
	}
	if (ret != RC_OK)
		log_warn("JOURNAL-LOOK", "%s/%s cannot be read",
		    b->o->journal_dir, name);
	if (ret == RC_OK && is_list)
		return ask_list(op, b, &list);
	if (ret != RC_OK || b->n == 0)
		return next_file(op, b);
	op_catch(op, look_failed);
	return OP_QUERY(op, Q_JOURNAL_CHECK, look_answered, b->o->host, name,
	    db_text_array(a, b->times, b->n),
	    db_text_array(a, b->serials, b->n), db_text_array(a, b->jobs, b->n),
	    db_text_array(a, b->certificates, b->n),
	    db_text_array(a, b->leaves, b->n));
}

static enum op_next
look_answered(struct op *op)
{
	struct behind *b = op_state(op, sizeof(*b));
	int64_t ahead = op_i64(op, 0, "ahead");

	op_extend(op, DEADLINE_MS);
	b->ahead += ahead;
	b->file_ahead += ahead;
	if (ahead == 0 || b->next_end == 0 || b->next_end == b->end) {
		if (text_ends_with(b->files[b->at], JOURNAL_SUFFIX))
			count_known(b);
		return next_file(op, b);
	}
	b->end = b->next_end;
	return op_goto(op, look_part);
}

static enum op_next
look_failed(struct op *op)
{
	struct behind *b = op_state(op, sizeof(*b));
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if (!b->told)
		log_warn("JOURNAL-LOOK",
		    "the database cannot be asked about the journals, and "
		    "nothing is begun before: %s %s %s",
		    rc_name(ret), e->sqlstate, e->message);
	b->told = true;
	op_extend(op, DEADLINE_MS);
	return op_sleep(op, RETRY_MS, look_part);
}

static enum op_next
look_begin(struct op *op)
{
	struct behind *b = op_state(op, sizeof(*b));

	b->o = op_owner(op);
	b->end = -1;
	list_files(op, b);
	return op_goto(op, look_part);
}

struct op *
behind_start(const struct behind_opts *opts)
{
	struct behind_opts *o = mem_zalloc(sizeof(*o));
	struct op_env env = {
	    .loop = opts->loop,
	    .pool = opts->pool,
	    .deadline_ms = DEADLINE_MS,
	    .name = "behind",
	    .owner = o,
	    .on_end = look_ended,
	};

	*o = *opts;
	return op_start(&env, look_begin);
}
