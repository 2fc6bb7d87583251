#include "cli/import/plan.h"

#include <stdlib.h>
#include <string.h>

#include "cli/import/words.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/hostname.h"
#include "common/json/json.h"

enum {
	WINDOW_DAYS = 30,  /* where the tool does not say */
	LIFE_DAYS_MIN = 6, /* shorter lives are renewed by percent */
	PERCENT = 66
};

const char *
plan_list(enum plan_kind kind)
{
	static const char *const lists[] = {"/api/v1/renewal-policies",
	    "/api/v1/targets", "/api/v1/certificates",
	    "/api/v1/discovered-certificates"};

	return lists[kind];
}

const char *
plan_word(enum plan_kind kind)
{
	static const char *const words[] = {"renewal policy", "target",
	    "certificate", "known certificate"};

	return words[kind];
}

/* --- those of one certificate --- */

static struct import_found *
find_same(const struct import *im, const struct import_found *of)
{
	for (struct import_found *f = im->found; f && f != of; f = f->next) {
		if (of->fingerprint_sha256[0] &&
		    strcmp(f->fingerprint_sha256, of->fingerprint_sha256) == 0)
			return f;
	}
	return NULL;
}

void
plan_merge(struct import *im)
{
	struct import_found **p = &im->found, *f, *first, *next;

	while ((f = *p) != NULL) {
		first = find_same(im, f);
		if (!first) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		if (strcmp(first->tool, "pem") == 0) {
			next = first->next;
			*first = *f;
			first->next = next;
		}
		im->nfound--;
	}
}

/* --- ids --- */

static const char *
certificate_id(struct arena *a, const struct import_found *f)
{
	return words_id(a, "mc-", f->name);
}

/* One certificate may be in several pairs of files of a host. */
static const char *
target_id(struct arena *a, const struct plan_opts *o,
    const struct import_found *f, const struct import_use *use, bool is_first)
{
	const char *agent = o->agent ? o->agent : "AGENT";
	const char *name = arena_printf(a, "%s-%s", agent, f->name);
	char hash[65];

	if (is_first)
		return words_id(a, "tgt-", name);
	enc_sha256_hex(use->cert_path, strlen(use->cert_path), hash);
	return words_id(a, "tgt-", arena_printf(a, "%s-%.8s", name, hash));
}

static struct plan_object *
add(struct plan *p, enum plan_kind kind, const char *id,
    const struct import_found *f, struct buf *body)
{
	struct plan_object **end = &p->objects, *o;

	while (*end)
		end = &(*end)->next;
	o = arena_alloc(p->arena, sizeof(*o));
	*o = (struct plan_object){.kind = kind,
	    .id = id,
	    .body = arena_strdup(p->arena, buf_cstr(body)),
	    .why = "",
	    .found = f};
	*end = o;
	return o;
}

/* --- policies --- */

static int64_t
life_days(const struct import_found *f)
{
	int64_t from, to;

	if (clock_parse_rfc3339(f->not_before, &from) != RC_OK ||
	    clock_parse_rfc3339(f->not_after, &to) != RC_OK)
		return 0;
	return (to - from) / 86400;
}

/* The window that suits the tool's and the life; 0: a share of the life. */
static int64_t
window_days(const struct import_found *f)
{
	int64_t window = f->window_days ? f->window_days : WINDOW_DAYS;
	int64_t life = life_days(f);

	if (!f->not_after[0] || life >= 2 * window)
		return window;
	return life >= LIFE_DAYS_MIN ? life / 3 : 0;
}

static const char *
policy_id(struct plan *p, const struct import_found *f)
{
	int64_t days = window_days(f);

	if (p->opts->policy)
		return p->opts->policy;
	return days ? arena_printf(p->arena, "rp-import-%lldd", (long long)days)
		    : "rp-import-share";
}

static bool
has(const struct plan *p, enum plan_kind kind, const char *id)
{
	for (const struct plan_object *o = p->objects; o; o = o->next) {
		if (o->kind == kind && strcmp(o->id, id) == 0)
			return true;
	}
	return false;
}

static void
add_policy(struct plan *p, const struct import_found *f)
{
	const char *id = policy_id(p, f);
	int64_t days = window_days(f);
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	if (p->opts->policy || has(p, PLAN_POLICY, id))
		return;
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "id", id);
	json_w_kv(&w, "name",
	    days ? arena_printf(p->arena, "Adopted, %lld days before the end",
		       (long long)days)
		 : "Adopted, after two thirds of the life");
	json_w_kv_bool(&w, "auto_renew", true);
	if (days)
		json_w_kv_int(&w, "renewal_window_days", days);
	else
		json_w_kv_int(&w, "renewal_percent", PERCENT);
	json_w_kv_int(&w, "max_retries", 3);
	json_w_close(&w, '}');
	add(p, PLAN_POLICY, id, NULL, &b);
}

/* --- targets --- */

static void
put_command(struct plan *p, struct json_w *w, const char *key, const char *text)
{
	char *word, *save = NULL;

	if (!text)
		return;
	json_w_key(w, key);
	json_w_open(w, '[');
	for (word = strtok_r(arena_strdup(p->arena, text), " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		json_w_str(w, word);
	json_w_close(w, ']');
}

/* A name that a handshake can ask for, or NULL. */
static const char *
name_to_ask(const struct import_found *f, const struct import_use *use)
{
	if (use->server_name)
		return use->server_name;
	for (size_t i = 0; i < f->nnames; i++) {
		if (hostname_is_valid(f->names[i], false))
			return f->names[i];
	}
	return NULL;
}

static void
put_target(struct plan *p, struct json_w *w, const char *id,
    const struct import_found *f, const struct import_use *use)
{
	json_w_open(w, '{');
	json_w_kv(w, "id", id);
	json_w_kv(w, "name", id);
	json_w_kv(w, "type", use->type);
	json_w_kv_opt(w, "agent_id", p->opts->agent);
	json_w_kv_bool(w, "enabled", true);
	json_w_key(w, "config");
	json_w_open(w, '{');
	json_w_kv(w, "cert_path", use->cert_path);
	json_w_kv(w, "key_path", use->key_path);
	put_command(p, w, "validate_command", p->opts->validate);
	put_command(p, w, "reload_command", p->opts->reload);
	if (use->port) {
		json_w_kv(w, "host", use->address ? use->address : "127.0.0.1");
		json_w_kv_int(w, "port", use->port);
		json_w_kv_opt(w, "server_name", name_to_ask(f, use));
	}
	json_w_close(w, '}');
	json_w_close(w, '}');
}

/* Whether an earlier use is of the same files. */
static bool
is_repeated(const struct import_found *f, const struct import_use *use)
{
	for (const struct import_use *u = f->uses; u != use; u = u->next) {
		if (u->type && u->key_path &&
		    strcmp(u->cert_path, use->cert_path) == 0)
			return true;
	}
	return false;
}

/* The ids of the targets go to w, a list. */
static void
add_targets(struct plan *p, const struct import_found *f, struct json_w *w)
{
	bool is_first = true;

	for (const struct import_use *u = f->uses; u; u = u->next) {
		CLEANUP(buf_fini) struct buf b;
		struct json_w target;
		const char *id;

		buf_init(&b, 0);
		if (!u->type || !u->key_path || is_repeated(f, u))
			continue;
		id = target_id(p->arena, p->opts, f, u, is_first);
		is_first = false;
		json_w_init(&target, &b);
		put_target(p, &target, id, f, u);
		add(p, PLAN_TARGET, id, f, &b);
		p->ntargets++;
		json_w_str(w, id);
	}
}

/* --- certificates --- */

static const char *
common_name(const struct import_found *f)
{
	for (size_t i = 0; i < f->nnames; i++) {
		if (strncmp(f->names[i], "spiffe://", 9) != 0)
			return f->names[i];
	}
	return f->name;
}

/* The names of its targets are made, and in the body, before it. */
static void
add_certificate(struct plan *p, const struct import_found *f)
{
	const char *id = certificate_id(p->arena, f);
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "id", id);
	json_w_kv(&w, "name", f->name);
	json_w_kv(&w, "common_name", common_name(f));
	json_w_key(&w, "sans");
	json_w_open(&w, '[');
	for (size_t i = 0; i < f->nnames; i++)
		json_w_str(&w, f->names[i]);
	json_w_close(&w, ']');
	json_w_kv_opt(&w, "owner_id", p->opts->owner);
	json_w_kv_opt(&w, "team_id", p->opts->team);
	json_w_kv_opt(&w, "issuer_id", p->opts->issuer);
	json_w_kv(&w, "renewal_policy_id", policy_id(p, f));
	json_w_kv_opt(&w, "environment", p->opts->environment);
	if (p->opts->tags)
		json_w_kv_raw(&w, "tags", p->opts->tags);
	json_w_key(&w, "target_ids");
	json_w_open(&w, '[');
	add_targets(p, f, &w);
	json_w_close(&w, ']');
	json_w_close(&w, '}');
	add(p, PLAN_CERTIFICATE, id, f, &b);
}

/* What is known of it at the agent: an entry of a report. */
static void
add_known(struct plan *p, const struct import_found *f)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	if (!f->pem[0] || !f->cert_path)
		return;
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "fingerprint_sha256", f->fingerprint_sha256);
	json_w_kv(&w, "source_path", f->cert_path);
	json_w_kv(&w, "source_format", "PEM");
	json_w_kv(&w, "pem_data", f->pem);
	json_w_close(&w, '}');
	add(p, PLAN_KNOWN, certificate_id(p->arena, f), f, &b);
	p->nknown++;
}

void
plan_make(struct arena *a, const struct import *im,
    const struct plan_opts *opts, struct plan *out)
{
	*out = (struct plan){.arena = a, .opts = opts};
	for (const struct import_found *f = im->found; f; f = f->next) {
		if (f->nnames > 0)
			add_policy(out, f);
	}
	for (const struct import_found *f = im->found; f; f = f->next) {
		if (f->nnames > 0)
			add_certificate(out, f);
	}
	for (const struct import_found *f = im->found; f; f = f->next) {
		if (f->nnames > 0)
			add_known(out, f);
	}
}
