#include "common/log/log_peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/log/log_int.h"

enum {
	CODES_MAX = 48, /* more than there are; the last is shared */
	TEXT_MAX = 256,
	OTHERS = LOG_PEER_PEERS_MAX,
};

struct entry {
	char peer[LOG_PEER_NAME_MAX];
	bool is_used;
	int64_t written_ms;
	uint64_t held;     /* lines since then */
	struct buf latest; /* of those; its fields */
};

struct site {
	const char *code;
	struct entry entries[LOG_PEER_PEERS_MAX + 1]; /* the last: others */
};

static struct site sites[CODES_MAX];
static size_t nsites;
static bool is_held; /* somewhere */
static void (*wake_fn)(void *arg);
static void *wake_arg;

/* --- who --- */

static struct site *
site_of(const char *code)
{
	for (size_t i = 0; i < nsites; i++) {
		if (strcmp(sites[i].code, code) == 0)
			return &sites[i];
	}
	if (nsites == CODES_MAX)
		return &sites[CODES_MAX - 1];
	sites[nsites].code = code;
	return &sites[nsites++];
}

static bool
is_free(const struct entry *e, int64_t now_ms)
{
	return !e->is_used ||
	       (e->held == 0 && now_ms - e->written_ms >= LOG_PEER_EVERY_MS);
}

static struct entry *
entry_of(struct site *s, const char *peer, int64_t now_ms)
{
	struct entry *free_one = NULL, *e;

	for (size_t i = 0; i < LOG_PEER_PEERS_MAX; i++) {
		e = &s->entries[i];
		if (e->is_used &&
		    strncmp(e->peer, peer, sizeof(e->peer) - 1) == 0)
			return e;
		if (!free_one && is_free(e, now_ms))
			free_one = e;
	}
	e = free_one ? free_one : &s->entries[OTHERS];
	if (free_one)
		e->is_used = false; /* whoever it was of is told anew */
	(void)snprintf(e->peer, sizeof(e->peer), "%s",
	    free_one ? peer : "others");
	return e;
}

/* --- when --- */

static void
write_held(struct entry *e, int64_t now_ms)
{
	char n[24];

	if (e->held > 1) {
		(void)snprintf(n, sizeof(n), "%llu",
		    (unsigned long long)e->held - 1);
		log_put_field(&e->latest, "left_out", n);
	}
	log_put_line(&e->latest);
	buf_fini(&e->latest);
	e->held = 0;
	e->written_ms = now_ms;
}

/* fields: the caller's, and empty then. */
static void
write_or_hold(struct entry *e, struct buf *fields, int64_t now_ms)
{
	bool is_due =
	    !e->is_used || now_ms - e->written_ms >= LOG_PEER_EVERY_MS;

	if (e->held > 0)
		buf_fini(&e->latest);
	e->is_used = true;
	e->held++;
	e->latest = *fields;
	*fields = (struct buf){0};
	if (is_due) {
		write_held(e, now_ms);
		return;
	}
	if (!is_held && wake_fn)
		wake_fn(wake_arg);
	is_held = true;
}

/* --- what --- */

static void
take_line(enum log_level level, const char *code, const char *peer,
    struct buf *fields)
{
	int64_t now_ms = clock_boot_ms();

	if (level == LOG_DEBUG) {
		log_put_line(fields);
		buf_fini(fields);
		return;
	}
	write_or_hold(entry_of(site_of(code), peer, now_ms), fields, now_ms);
}

void
log_peer(enum log_level level, const char *code, const char *peer,
    const char *fmt, ...)
{
	int saved = errno; /* callers log first and look at errno after */
	char text[TEXT_MAX + 2];
	struct buf b;
	va_list ap;

	if (!log_is_on(level))
		return;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	buf_init(&b, 0);
	log_put_head(&b, level, code, text, TEXT_MAX);
	take_line(level, code, peer, &b);
	errno = saved;
}

void
log_peer_fields(enum log_level level, const char *code, const char *peer,
    const char *text, ...)
{
	int saved = errno;
	const char *key, *value;
	struct buf b;
	va_list ap;

	if (!log_is_on(level))
		return;
	buf_init(&b, 0);
	log_put_head(&b, level, code, text, TEXT_MAX);
	va_start(ap, text);
	for (;;) {
		key = va_arg(ap, const char *);
		if (key == NULL)
			break;
		value = va_arg(ap, const char *);
		log_put_field(&b, key, value != NULL ? value : "");
	}
	va_end(ap);
	take_line(level, code, peer, &b);
	errno = saved;
}

/* --- the rest of it --- */

bool
log_peer_flush(bool all)
{
	int64_t now_ms = clock_boot_ms();

	is_held = false;
	for (size_t i = 0; i < nsites; i++) {
		for (size_t k = 0; k < ARRAY_LEN(sites[i].entries); k++) {
			struct entry *e = &sites[i].entries[k];

			if (e->held == 0)
				continue;
			if (all || now_ms - e->written_ms >= LOG_PEER_EVERY_MS)
				write_held(e, now_ms);
			else
				is_held = true;
		}
	}
	return is_held;
}

void
log_peer_on_held(void (*wake)(void *arg), void *arg)
{
	wake_fn = wake;
	wake_arg = arg;
}
