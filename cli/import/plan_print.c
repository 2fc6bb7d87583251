#include "cli/import/plan.h"

#include <stdio.h>
#include <string.h>

#include "cli/import/files.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/base/buf.h"
#include "common/json/json.h"

enum {
	LIST_MAX = 1000, /* bytes of directories that are named */
	PASSED_MAX = 20  /* that are named for people */
};

static const char *
harmless(struct cli *c, const char *text)
{
	return out_harmless(c->arena, text);
}

static void
line(struct cli *c, const char *head, const char *text)
{
	if (text && text[0])
		out_print("    %-9s %s\n", head, harmless(c, text));
}

static const char *
names_of(struct cli *c, const struct import_found *f)
{
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < f->nnames; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", f->names[i]);
	return f->nnames ? arena_strdup(c->arena, buf_cstr(&b))
			 : "none: it cannot be adopted";
}

static const char *
issuer_of(struct cli *c, const struct import_found *f)
{
	if (!f->ca || !f->issuer_dn[0])
		return f->ca ? f->ca : f->issuer_dn;
	return arena_printf(c->arena, "%s (%s)", f->issuer_dn, f->ca);
}

static const char *
use_of(struct cli *c, const struct import_use *u)
{
	const char *text = arena_printf(c->arena, "%s: %s, line %zu", u->server,
	    u->file, u->line);

	if (u->server_name)
		text = arena_printf(c->arena, "%s, %s", text, u->server_name);
	if (u->port)
		text = arena_printf(c->arena, "%s, port %d", text, u->port);
	if (!u->type)
		text = arena_printf(c->arena,
		    "%s; no target: agents of this version deploy to nginx "
		    "only",
		    text);
	else if (!u->key_path)
		text = arena_printf(c->arena,
		    "%s; no target: its key is named elsewhere", text);
	return text;
}

static void
print_found(struct cli *c, const struct import_found *f)
{
	out_print("%-12s  %s\n", f->tool, harmless(c, f->name));
	line(c, "names", names_of(c, f));
	line(c, "issuer", issuer_of(c, f));
	line(c, "ends", f->not_after);
	line(c, "key", f->key);
	line(c, "file", f->cert_path);
	for (const struct import_use *u = f->uses; u; u = u->next)
		line(c, "used by", use_of(c, u));
	if (!f->uses)
		line(c, "used by", "no server whose configuration was read");
	line(c, "renewal", f->renewal);
	line(c, "to end it", f->stop);
	line(c, "note", f->note);
	out_print("\n");
}

static const char *
state_word(enum plan_state state)
{
	static const char *const words[] = {"to be", "create", "is there",
	    "extend", "CONFLICT"};

	return words[state];
}

static void
print_notes(struct cli *c, const struct import *im)
{
	size_t kept =
	    im->nnotes < IMPORT_NOTES_MAX ? im->nnotes : IMPORT_NOTES_MAX;

	for (size_t i = 0; i < kept; i++)
		out_tell("note: %s", harmless(c, im->notes[i]));
	if (im->nnotes > kept)
		out_tell("note: and %zu more", im->nnotes - kept);
}

static void
print_passed(struct cli *c, const struct import *im)
{
	size_t n = 0;

	for (const struct import_passed *p = im->passed; p && n < PASSED_MAX;
	     p = p->next, n++)
		out_print("passed over   %s: %s\n", harmless(c, p->path),
		    p->why);
	if (im->npassed > n)
		out_print("passed over   and %zu more; -o json has them\n",
		    im->npassed - n);
	if (n > 0)
		out_print("    to adopt one all the same, name its file\n\n");
}

/* Whether agents write there without their host saying so. */
static bool
is_allowed(const char *path)
{
	static const char *const dirs[] = {"/etc/certctl/", "/etc/nginx/",
	    "/etc/pki/tls/", "/etc/ssl/"};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (strncmp(path, dirs[i], strlen(dirs[i])) == 0)
			return true;
	}
	return false;
}

/* The directories of targets that the agent's host has to allow. */
static void
tell_directories(struct cli *c, const struct import *im)
{
	const char *list = "default", *dir;

	for (const struct import_found *f = im->found; f; f = f->next) {
		for (const struct import_use *u = f->uses; u; u = u->next) {
			if (!u->type || !u->key_path ||
			    is_allowed(u->cert_path))
				continue;
			dir = arena_strndup(c->arena, u->cert_path,
			    (size_t)(files_base(u->cert_path) - u->cert_path -
				     1));
			if (!strstr(list, dir) && strlen(list) < LIST_MAX)
				list =
				    arena_printf(c->arena, "%s,%s", list, dir);
		}
	}
	if (strchr(list, ','))
		out_tell("The agent writes there only if its environment says "
			 "so: CERTCTL_AGENT_TARGET_DIRS=%s, or a directory "
			 "above",
		    harmless(c, list));
}

void
plan_print(struct cli *c, const struct import *im, const struct plan *p)
{
	for (const struct import_found *f = im->found; f; f = f->next)
		print_found(c, f);
	print_passed(c, im);
	print_notes(c, im);
	for (const struct plan_object *o = p->objects; o; o = o->next)
		out_print("%-8s  %-17s  %s%s%s\n", state_word(o->state),
		    plan_word(o->kind), harmless(c, o->id),
		    o->why[0] ? ": " : "", harmless(c, o->why));
	(void)fflush(stdout); /* out_flush tells at the end */
	tell_directories(c, im);
}

static void
put_found(struct json_w *w, const struct import_found *f)
{
	json_w_open(w, '{');
	json_w_kv(w, "tool", f->tool);
	json_w_kv(w, "name", f->name);
	json_w_kv(w, "source", f->source);
	json_w_kv_opt(w, "cert_path", f->cert_path);
	json_w_kv_opt(w, "key_path", f->key_path);
	json_w_kv_opt(w, "ca", f->ca);
	json_w_key(w, "names");
	json_w_open(w, '[');
	for (size_t i = 0; i < f->nnames; i++)
		json_w_str(w, f->names[i]);
	json_w_close(w, ']');
	json_w_kv_opt(w, "issuer_dn", f->issuer_dn);
	json_w_kv_opt(w, "not_after", f->not_after);
	json_w_kv_opt(w, "key", f->key);
	json_w_kv_opt(w, "fingerprint_sha256", f->fingerprint_sha256);
	json_w_key(w, "used_by");
	json_w_open(w, '[');
	for (const struct import_use *u = f->uses; u; u = u->next) {
		json_w_open(w, '{');
		json_w_kv(w, "server", u->server);
		json_w_kv(w, "file", u->file);
		json_w_kv_int(w, "line", (int64_t)u->line);
		json_w_kv(w, "cert_path", u->cert_path);
		json_w_kv_opt(w, "key_path", u->key_path);
		json_w_kv_opt(w, "server_name", u->server_name);
		if (u->port)
			json_w_kv_int(w, "port", u->port);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
	json_w_kv_opt(w, "renewal", f->renewal);
	json_w_kv_opt(w, "to_end_it", f->stop);
	json_w_kv_opt(w, "note", f->note);
	json_w_close(w, '}');
}

static void
put_passed(struct json_w *w, const struct import *im)
{
	json_w_key(w, "passed_over");
	json_w_open(w, '[');
	for (const struct import_passed *p = im->passed; p; p = p->next) {
		json_w_open(w, '{');
		json_w_kv(w, "path", p->path);
		json_w_kv(w, "why", p->why);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static void
put_objects(struct json_w *w, const struct plan *p)
{
	json_w_key(w, "objects");
	json_w_open(w, '[');
	for (const struct plan_object *o = p->objects; o; o = o->next) {
		json_w_open(w, '{');
		json_w_kv(w, "kind", plan_word(o->kind));
		json_w_kv(w, "id", o->id);
		json_w_kv(w, "state", state_word(o->state));
		json_w_kv_opt(w, "why", o->why);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

void
plan_print_json(struct cli *c, const struct import *im, const struct plan *p)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_key(&w, "found");
	json_w_open(&w, '[');
	for (const struct import_found *f = im->found; f; f = f->next)
		put_found(&w, f);
	json_w_close(&w, ']');
	put_passed(&w, im);
	put_objects(&w, p);
	json_w_close(&w, '}');
	print_notes(c, im);
	render_text(c, buf_cstr(&b));
}

void
plan_print_next(struct cli *c, const struct plan *p)
{
	out_print("\nNothing is renewed by certctl before its first renewal "
		  "here.  For each certificate, in this order:\n");
	for (const struct plan_object *o = p->objects; o; o = o->next) {
		if (o->kind != PLAN_CERTIFICATE)
			continue;
		if (o->found->stop)
			out_print("    %s\n", harmless(c, o->found->stop));
		out_print("    certctl certs renew %s --wait\n",
		    harmless(c, o->id));
	}
}
