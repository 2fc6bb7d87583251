#include "worker/issuers/local_ca.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/op/op.h"
#include "worker/issuers/ca_open.h"

#define DEFAULT_COMMON_NAME "CertCtl Local CA"
#define PATH_MAX_BYTES 4096
#define FORMER_KEYS_MAX 8
#define LOAD_DEADLINE_MS 10000
/* A CA that cannot be loaded is tried again after this. */
#define RETRY_MS 1000

/* A CA as it is handed out; `ca` is what callers see. */
struct open_ca {
	struct local_ca ca;
	unsigned refs;
	char *chain_pem, *list;
};

/* What is known of one issuer. */
struct entry {
	UT_hash_handle hh;
	struct local_cas *cas;
	char *name; /* the issuer's id, or with a former key's */
	char *issuer_id;
	char *key_id;         /* NULL: the one that signs */
	struct open_ca *open; /* NULL: none */
	bool from_files;
	char *cert_path, *key_path;
	struct ca_stamp cert_stamp, key_stamp; /* from before the files
						* were read */
	char row_fingerprint[65]; /* in the database, when last seen */
	struct op *op;            /* a load under way */
	rc code;                  /* of the last load */
	char *why;
	int64_t tried_ms; /* when a load last failed */
	bool has_tried;
};

struct local_cas {
	struct local_cas_opts o;
	struct entry *entries;
};

/* --- open CAs --- */

static void
open_unref(struct open_ca *o)
{
	if (!o || --o->refs > 0)
		return;
	certbuild_free(o->ca.builder);
	ca_limits_free(o->ca.limits);
	journal_close(o->ca.journal);
	free(o->chain_pem);
	free(o->list);
	free(o);
}

void
local_ca_unref(struct local_ca *ca)
{
	/* ca is its first member. */
	open_unref((struct open_ca *)ca);
}

/* Takes the builder over, also when it fails. */
static rc
open_new(struct entry *e, const struct ca_material *m, const char *list,
    struct open_ca **out)
{
	struct open_ca *o = mem_zalloc(sizeof(*o));
	rc ret;

	o->refs = 1;
	o->ca.builder = m->builder;
	ret = ca_limits_new(m->chain_pem, &o->ca.limits);
	if (ret == RC_OK && !e->key_id)
		ret = journal_open(e->cas->o.journal_dir, e->issuer_id,
		    &o->ca.journal);
	if (ret == RC_OK && o->ca.journal)
		journal_limit(o->ca.journal, &e->cas->o.journal);
	if (ret != RC_OK) {
		open_unref(o);
		return ret;
	}
	o->chain_pem = mem_strdup(m->chain_pem);
	o->ca.chain_pem = o->chain_pem;
	o->list = mem_strdup(list);
	o->ca.list = o->list;
	memcpy(o->ca.fingerprint, m->info.fingerprint_sha256,
	    sizeof(o->ca.fingerprint));
	o->ca.not_before_unix = m->info.not_before_unix;
	o->ca.not_after_unix = m->info.not_after_unix;
	*out = o;
	return RC_OK;
}

/* --- entries --- */

static void
entry_drop_open(struct entry *e)
{
	open_unref(e->open);
	e->open = NULL;
	mem_freep(&e->cert_path);
	mem_freep(&e->key_path);
	e->from_files = false;
}

static void
entry_free(struct entry *e)
{
	if (e->op)
		op_abort(e->op, RC_CANCELLED);
	entry_drop_open(e);
	HASH_DEL(e->cas->entries, e);
	free(e->why);
	free(e->name);
	free(e->issuer_id);
	free(e->key_id);
	free(e);
}

static struct entry *
entry_find(struct local_cas *s, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(s->entries, name, e);
	return e;
}

/* key_id: NULL for the key that signs. */
static struct entry *
entry_get(struct local_cas *s, const char *issuer_id, const char *key_id)
{
	size_t size = strlen(issuer_id) + (key_id ? strlen(key_id) : 0) + 2;
	char *name = mem_zalloc(size);
	struct entry *e;

	/* No id of an issuer holds a line's end. */
	snprintf(name, size, "%s%s%s", issuer_id, key_id ? "\n" : "",
	    key_id ? key_id : "");
	e = entry_find(s, name);
	if (e) {
		free(name);
		return e;
	}
	e = mem_zalloc(sizeof(*e));
	e->cas = s;
	e->name = name;
	e->issuer_id = mem_strdup(issuer_id);
	e->key_id = key_id ? mem_strdup(key_id) : NULL;
	HASH_ADD_KEYPTR(hh, s->entries, e->name, strlen(e->name), e);
	return e;
}

static bool
is_usable(const struct entry *e)
{
	return e->open &&
	       strcmp(e->open->ca.fingerprint, e->row_fingerprint) == 0 &&
	       clock_wall_us() / 1000000 < e->open->ca.not_after_unix;
}

static bool
files_changed(const struct entry *e)
{
	struct ca_stamp cert, key;

	if (!e->from_files)
		return false;
	ca_stamp_take(e->cert_path, &cert);
	ca_stamp_take(e->key_path, &key);
	return !ca_stamp_equal(&cert, &e->cert_stamp) ||
	       !ca_stamp_equal(&key, &e->key_stamp);
}

/* --- loading: an op of its own, so that many batches can wait for it --- */

struct load {
	struct entry *e;
	struct ca_stamp cert_stamp, key_stamp;
	const char *cert_path, *key_path; /* NULL: not from both files */
	const char *list;
	struct ca_material m; /* m.builder is ours until taken */
};

static op_step load_row;
static op_step load_root_stored;
static op_step load_sub_stored;

static void
load_free(void *arg)
{
	struct load *ld = arg;

	certbuild_free(ld->m.builder);
}

static enum op_next
load_begin(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));

	arena_defer(op_arena(op), load_free, ld);
	return OP_QUERY(op, Q_CA_LOAD, load_row, ld->e->issuer_id,
	    ld->e->key_id);
}

static enum op_next
load_done(struct op *op, struct load *ld)
{
	struct entry *e = ld->e;
	struct open_ca *o;
	rc ret;

	ret = open_new(e, &ld->m, ld->list, &o);
	ld->m.builder = NULL;
	if (ret != RC_OK)
		return op_fail(op, ret,
		    "the issuance journal in %s cannot be opened",
		    e->cas->o.journal_dir);
	entry_drop_open(e);
	e->open = o;
	memcpy(e->row_fingerprint, o->ca.fingerprint,
	    sizeof(e->row_fingerprint));
	if (ld->cert_path) {
		e->from_files = true;
		e->cert_path = mem_strdup(ld->cert_path);
		e->key_path = mem_strdup(ld->key_path);
		e->cert_stamp = ld->cert_stamp;
		e->key_stamp = ld->key_stamp;
	}
	log_info("CA-OPEN", "issuer %s: %s, certificate %.16s..., %s",
	    e->issuer_id,
	    e->key_id       ? "a former key, for its revocation list"
	    : ld->cert_path ? "sub-CA"
			    : "its key in the database",
	    e->open->ca.fingerprint, ld->m.info.common_name);
	return op_done(op);
}

/* --- a sub-CA --- */

static enum op_next
load_sub(struct op *op, struct load *ld)
{
	struct ca_material *m = &ld->m;
	const char *why = "";
	rc ret;

	ca_stamp_take(ld->cert_path, &ld->cert_stamp);
	ca_stamp_take(ld->key_path, &ld->key_stamp);
	ret = ca_open_files(op_arena(op), ld->cert_path, ld->key_path, m, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_CA_CERTIFICATE_STORE, load_sub_stored,
	    ld->e->issuer_id, m->cert_pem, m->chain_pem,
	    m->info.fingerprint_sha256,
	    op_printf(op, "%" PRId64, m->info.not_before_unix),
	    op_printf(op, "%" PRId64, m->info.not_after_unix), m->key_id);
}

static enum op_next
load_sub_stored(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "the issuer is gone");
	if (op_bool(op, 0, "has_key"))
		return op_fail(op, RC_CONFLICT,
		    "this issuer has a self-signed root whose key is in the "
		    "database; make another issuer for the sub-CA of %s",
		    ld->cert_path);
	if (strcmp(op_text(op, 0, "fingerprint_sha256"),
		ld->m.info.fingerprint_sha256) != 0)
		return op_fail(op, RC_CONFLICT,
		    "%s on this host is older than the certificate another "
		    "worker has brought; replace it here too",
		    ld->cert_path);
	ld->list = op_text(op, 0, "list");
	return load_done(op, ld);
}

/* --- a root --- */

static enum op_next
load_root_from(struct op *op, struct load *ld)
{
	const char *why = "";
	rc ret;

	if (op_is_null(op, 0, "key_sealed"))
		return op_fail(op, RC_CONFLICT,
		    "this issuer was a sub-CA from files, and its "
		    "configuration names none (ca_cert_path, ca_key_path)");
	ret = ca_open_rows(op_arena(op), ld->e->cas->o.sealer, ld->e->issuer_id,
	    op_text(op, 0, "cert_pem"), op_text(op, 0, "chain_pem"),
	    op_text(op, 0, "key_sealed"), &ld->m, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ld->list = op_text(op, 0, "list");
	return load_done(op, ld);
}

static enum op_next
load_root_new(struct op *op, struct load *ld, const char *common_name)
{
	struct ca_root root;
	const char *why = "";
	rc ret;

	ret = ca_make_root(op_arena(op), ld->e->cas->o.sealer, ld->e->issuer_id,
	    common_name, &root, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_CA_ROOT_STORE, load_root_stored, ld->e->issuer_id,
	    root.cert_pem, root.info.fingerprint_sha256,
	    op_printf(op, "%" PRId64, root.info.not_before_unix),
	    op_printf(op, "%" PRId64, root.info.not_after_unix),
	    root.key_sealed, root.key_id, "current");
}

/* Ours, or the one of a worker that was faster. */
static enum op_next
load_root_stored(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "the issuer is gone");
	return load_root_from(op, ld);
}

/* --- which of them --- */

struct ca_config {
	const char *cert_path, *key_path, *common_name; /* "" when not set */
	const char **former_keys; /* paths, NULL-terminated */
};

static rc
read_config(struct arena *a, const char *text, struct ca_config *out)
{
	const struct {
		const char *name;
		size_t max;
		const char **value;
	} fields[] = {
	    {"ca_cert_path", PATH_MAX_BYTES, &out->cert_path},
	    {"ca_key_path", PATH_MAX_BYTES, &out->key_path},
	    {"ca_common_name", 256, &out->common_name},
	};
	const struct cJSON *config;
	const char *why, **paths = NULL;
	size_t n = 0;
	rc ret;

	*out = (struct ca_config){"", "", "", NULL};
	ret = json_parse(a, text, strlen(text), &config, &why);
	for (size_t i = 0; ret == RC_OK && i < ARRAY_LEN(fields); i++) {
		ret = json_str(config, fields[i].name, fields[i].max,
		    fields[i].value);
		if (ret == RC_NOT_FOUND)
			ret = RC_OK;
	}
	if (ret == RC_OK)
		ret = json_str_list(a, config, "former_key_paths",
		    FORMER_KEYS_MAX, PATH_MAX_BYTES, &paths, &n);
	if (ret == RC_NOT_FOUND)
		ret = RC_OK;
	out->former_keys = arena_alloc(a, (n + 1) * sizeof(char *));
	for (size_t i = 0; i < n; i++)
		out->former_keys[i] = paths[i];
	if (out->common_name[0] == '\0')
		out->common_name = DEFAULT_COMMON_NAME;
	return ret;
}

/* A key that signed before: sealed beside its certificate, or in a file. */
static enum op_next
load_former(struct op *op, struct load *ld, const struct ca_config *config)
{
	const char *why = "";
	rc ret;

	if (op_is_null(op, 0, "cert_pem"))
		return op_fail(op, RC_NOT_FOUND, "that key is gone");
	if (!op_is_null(op, 0, "key_sealed"))
		return load_root_from(op, ld);
	ret = ca_open_former(op_arena(op), op_text(op, 0, "cert_pem"),
	    op_text(op, 0, "chain_pem"), config->former_keys, &ld->m, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ld->list = op_text(op, 0, "list");
	return load_done(op, ld);
}

static enum op_next
load_row(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));
	struct ca_config config;
	rc ret;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "the issuer is gone");
	/* What stands there now: see is_usable. */
	snprintf(ld->e->row_fingerprint, sizeof(ld->e->row_fingerprint), "%s",
	    op_text(op, 0, "fingerprint_sha256"));
	if (strcmp(op_text(op, 0, "type"), "GenericCA") != 0)
		return op_fail(op, RC_NOT_IMPLEMENTED,
		    "issuers of type %s are not supported by this worker",
		    op_text(op, 0, "type"));
	ret = read_config(op_arena(op), op_text(op, 0, "config"), &config);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID,
		    "the issuer's configuration is not as it should be: "
		    "ca_cert_path, ca_key_path and ca_common_name are texts, "
		    "former_key_paths a list of texts");
	if (ld->e->key_id)
		return load_former(op, ld, &config);
	if ((config.cert_path[0] == '\0') != (config.key_path[0] == '\0'))
		return op_fail(op, RC_INVALID,
		    "ca_cert_path and ca_key_path are to be given both, or "
		    "neither");
	if (config.cert_path[0] != '\0') {
		ld->cert_path = config.cert_path;
		ld->key_path = config.key_path;
		return load_sub(op, ld);
	}
	if (!op_is_null(op, 0, "cert_pem"))
		return load_root_from(op, ld);
	return load_root_new(op, ld, config.common_name);
}

static void
on_load_end(struct op *op, rc code, const char *message)
{
	struct entry *e = op_owner(op);

	e->op = NULL;
	e->has_tried = true;
	e->tried_ms = loop_now_ms(e->cas->o.loop);
	e->code = code;
	free(e->why);
	e->why = mem_strdup(message);
	if (code == RC_OK || code == RC_CANCELLED)
		return;
	log_warn("CA-LOAD", "issuer %s: %s%s", e->issuer_id, message,
	    is_usable(e) ? "; going on with the CA as it was loaded before"
			 : "");
}

static void
load_start(struct entry *e)
{
	struct op_env env = {
	    .loop = e->cas->o.loop,
	    .pool = e->cas->o.pool,
	    .deadline_ms = LOAD_DEADLINE_MS,
	    .name = "ca_load",
	    .owner = e,
	    .on_end = on_load_end,
	};
	struct load *ld;

	e->op = op_start(&env, load_begin);
	ld = op_state(e->op, sizeof(*ld));
	ld->e = e;
}

/* --- what others call --- */

struct local_cas *
local_cas_new(const struct local_cas_opts *opts)
{
	struct local_cas *s = mem_zalloc(sizeof(*s));

	s->o = *opts;
	return s;
}

void
local_cas_free(struct local_cas *s)
{
	struct entry *e, *next;

	if (!s)
		return;
	HASH_ITER (hh, s->entries, e, next)
		entry_free(e);
	free(s);
}

struct sealer *
local_cas_sealer(const struct local_cas *s)
{
	return s->o.sealer;
}

void
local_ca_forget(struct local_cas *s, const char *issuer_id)
{
	struct entry *e = entry_find(s, issuer_id);

	if (e)
		entry_free(e);
}

static rc
get(struct entry *e, struct local_ca **out, const char **out_why)
{
	bool rested;

	if (is_usable(e) && !files_changed(e))
		goto use;
	rested = !e->has_tried || e->code == RC_OK ||
		 loop_now_ms(e->cas->o.loop) - e->tried_ms >= RETRY_MS;
	if (rested) {
		load_start(e);
		return RC_BUSY;
	}
	if (is_usable(e))
		goto use; /* the new files are not good: yet, one hopes */
	*out_why = e->why;
	return e->code;
use:
	e->open->refs++;
	*out = &e->open->ca;
	return RC_OK;
}

rc
local_ca_get(struct local_cas *s, const char *issuer_id,
    const char *fingerprint, struct local_ca **out, const char **out_why)
{
	struct entry *e = entry_get(s, issuer_id, NULL);

	*out_why = "";
	if (e->op)
		return RC_BUSY;
	if (fingerprint)
		snprintf(e->row_fingerprint, sizeof(e->row_fingerprint), "%s",
		    fingerprint);
	return get(e, out, out_why);
}

rc
local_ca_get_former(struct local_cas *s, const char *issuer_id,
    const char *key_id, struct local_ca **out, const char **out_why)
{
	struct entry *e = entry_get(s, issuer_id, key_id);

	*out_why = "";
	return e->op ? RC_BUSY : get(e, out, out_why);
}
