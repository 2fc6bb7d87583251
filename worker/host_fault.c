#include "worker/host_fault.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/log/log.h"

struct host_faults {
	struct host_faults_opts o;
	struct timer *try;
	size_t n;
	struct host_fault items[HOST_FAULTS_MAX]; /* the oldest first */
};

static const char *const names[HOST_FAULT_KINDS] = {
    [HOST_JOURNAL] = "journal",
    [HOST_CA] = "ca",
    [HOST_SCRIPT] = "script",
    [HOST_CLOCK] = "clock",
};

const char *
host_fault_name(enum host_fault_kind kind)
{
	return names[kind];
}

static void on_try(void *arg);

struct host_faults *
host_faults_new(const struct host_faults_opts *opts)
{
	struct host_faults *h = mem_zalloc(sizeof(*h));

	h->o = *opts;
	h->try = timer_new(opts->loop, on_try, h);
	return h;
}

static void
item_fini(struct host_fault *f)
{
	mem_freep(&f->issuer_id);
	mem_freep(&f->detail);
}

void
host_faults_free(struct host_faults *h)
{
	if (!h)
		return;
	timer_free(h->try);
	for (size_t i = 0; i < h->n; i++)
		item_fini(&h->items[i]);
	free(h);
}

static struct host_fault *
find(struct host_faults *h, enum host_fault_kind kind, const char *issuer_id)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->items[i].kind == kind &&
		    strcmp(h->items[i].issuer_id, issuer_id) == 0)
			return &h->items[i];
	return NULL;
}

static void
remove_at(struct host_faults *h, size_t i)
{
	struct host_fault *f = &h->items[i];

	log_info("HOST-FAULT-OVER", "%s%s%s: such work is taken again",
	    names[f->kind], f->issuer_id[0] ? ", issuer " : "", f->issuer_id);
	item_fini(f);
	h->n--;
	memmove(f, f + 1, (h->n - i) * sizeof(*f));
}

static void
on_try(void *arg)
{
	struct host_faults *h = arg;
	size_t before = h->n;

	for (size_t i = h->n; i-- > 0;)
		if (h->items[i].kind != HOST_CLOCK &&
		    h->o.is_over(h->o.try_arg, &h->items[i]))
			remove_at(h, i);
	if (h->n > 0)
		timer_arm(h->try, HOST_TRY_MS);
	if (h->n != before)
		h->o.on_change(h->o.arg);
}

static bool
is_same(const char *kept, const char *detail)
{
	char *clean = mem_strdup(detail);
	bool is_same;

	plain_clean(clean);
	is_same = strcmp(kept, clean) == 0;
	free(clean);
	return is_same;
}

void
host_fault_raise(struct host_faults *h, enum host_fault_kind kind,
    const char *issuer_id, const char *detail)
{
	struct host_fault *f = find(h, kind, issuer_id);

	if (f && is_same(f->detail, detail))
		return;
	if (!f) {
		log_error("HOST-FAULT",
		    "%s%s%s: %s; such work is given back and not taken, and "
		    "it is tried again each second",
		    names[kind], issuer_id[0] ? ", issuer " : "", issuer_id,
		    detail);
		if (h->n == HOST_FAULTS_MAX)
			return;
		f = &h->items[h->n++];
		f->kind = kind;
		f->issuer_id = mem_strdup(issuer_id);
		if (h->n == 1)
			timer_arm(h->try, HOST_TRY_MS);
	}
	free(f->detail);
	f->detail = mem_strdup(detail);
	plain_clean(f->detail);
	h->o.on_change(h->o.arg);
}

void
host_fault_clear(struct host_faults *h, enum host_fault_kind kind,
    const char *issuer_id)
{
	struct host_fault *f = find(h, kind, issuer_id);

	if (!f)
		return;
	remove_at(h, (size_t)(f - h->items));
	h->o.on_change(h->o.arg);
}

const char *
host_faults_why(const struct host_faults *h, const char *issuer_id)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct host_fault *f = &h->items[i];

		if (f->issuer_id[0] == '\0' ||
		    strcmp(f->issuer_id, issuer_id) == 0)
			return f->detail;
	}
	return NULL;
}

bool
host_faults_stop_all(const struct host_faults *h)
{
	return host_faults_why(h, "") != NULL;
}

const struct host_fault *
host_faults_at(const struct host_faults *h, size_t i)
{
	return i < h->n ? &h->items[i] : NULL;
}
