#include "worker/issuers/script_list.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/cert/crlresult.h"
#include "worker/issuers/script_files.h"
#include "worker/issuers/script_run.h"

#define NAME "crl_script"

struct run { /* in the arena */
	struct arena *a;
	const char *dir, *list_path;
	issuer_answer_fn *done;
	void *arg;
};

static void
run_end(void *arg)
{
	struct run *r = arg;

	script_files_remove(r->dir);
}

/* --- what it is given --- */

static void
put_revoked(struct json_w *w, const struct issuer_revoked *r)
{
	char at[32];

	clock_format_rfc3339(r->revoked_at_unix * 1000000, at);
	json_w_open(w, '{');
	json_w_kv(w, "serial", r->serial);
	json_w_kv(w, "revoked_at", at);
	json_w_kv_int(w, "reason_code", r->reason_code);
	json_w_close(w, '}');
}

static rc
write_revoked(struct run *r, const char *path,
    const struct issuer_revoked *revoked, size_t n, const char **out_why)
{
	struct json_w w;
	struct buf b;
	rc ret;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '[');
	for (size_t i = 0; i < n; i++)
		put_revoked(&w, &revoked[i]);
	json_w_close(&w, ']');
	if (buf_ok(&b)) {
		ret = script_files_write(r->a, path, buf_cstr(&b), b.len,
		    out_why);
	} else {
		*out_why = "more is revoked than fits into its file, 64 MiB";
		ret = RC_IO;
	}
	buf_fini(&b);
	return ret;
}

/* --- what it said --- */

static const char *
no_list_words(rc why)
{
	switch (why) {
	case RC_OK:
	case RC_NOT_FOUND:
		return "no list";
	case RC_TOO_LARGE:
		return "more than a list may have, 24 MiB";
	default:
		return "no regular file";
	}
}

static void
read_list(struct run *r, struct issuer_answer *answer)
{
	char *bytes = NULL;
	rc ret;

	ret = script_files_read(r->a, r->list_path, CRLRESULT_BYTES_MAX, &bytes,
	    &answer->len);
	if (ret == RC_OK && answer->len > 0) {
		answer->verdict = ISSUER_DONE;
		answer->pem = bytes;
		return;
	}
	answer->words = arena_printf(r->a, "%s, and wrote %s", answer->words,
	    no_list_words(ret));
}

static void
ended(void *arg, rc code, int exit_status, const char *output)
{
	struct run *r = arg;
	struct issuer_answer answer = {.verdict = ISSUER_REFUSED};

	answer.words = script_run_words(r->a, NAME, code, exit_status, output);
	if (code != RC_OK || exit_status > SCRIPT_EXIT_SIGNAL)
		answer.verdict = ISSUER_RETRY;
	else if (exit_status == 0)
		read_list(r, &answer);
	r->done(r->arg, &answer);
}

rc
script_list_run(const struct issuer_env *env, struct arena *a,
    const char *script, int64_t limit_ms, const struct issuer_revoked *revoked,
    size_t n, issuer_answer_fn *done, void *arg)
{
	const char *why = "", *dir = script_files_dir(a, &why), *in = NULL;
	struct run *r = arena_alloc(a, sizeof(*r));
	rc ret = dir ? RC_OK : RC_IO;

	if (ret == RC_OK) {
		*r = (struct run){a, dir, arena_printf(a, "%s/list", dir), done,
		    arg};
		arena_defer(a, run_end, r);
		in = arena_printf(a, "%s/revocations.json", dir);
		ret = write_revoked(r, in, revoked, n, &why);
	}
	if (ret != RC_OK) {
		log_warn("SCRIPT-FILES", NAME ": %s", why);
		return ret;
	}

	const char *const args[] = {in, r->list_path, NULL};
	const char *const no_vars[] = {NULL};
	const struct script_run what = {
	    .script = script,
	    .args = args,
	    .env = no_vars,
	    .limit_ms = limit_ms,
	};

	return script_run(env, a, &what, ended, r);
}
