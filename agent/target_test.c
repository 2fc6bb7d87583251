/*
 * target_test: what a deployment to a target would need, tried without
 * deploying: what this host allows, files like those that would be written,
 * the server's own test of its configuration, a TLS handshake.
 *
 * Where nothing stands at the paths yet, the server can neither pass its test
 * nor serve TLS with them, and is not asked to.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/deploy_int.h"
#include "agent/look.h"
#include "agent/safedir.h"
#include "agent/spot.h"
#include "common/json/json.h"
#include "common/log/log.h"

#define REPORT_MS 10000
/* Who asked waits for 20 s. */
#define PROGRAM_MS 8000
#define HANDSHAKE_MS 5000
#define TRIAL_FILE ".certctl-test"

struct target_test {
	struct install_journal j;
	struct target_plan plan;
	struct install_paths paths;
	const char *found; /* for people */
	bool passed;
};

static op_step test_program_ended;
static op_step test_handshake;
static op_step test_handshake_ended;
static op_step test_report;
static op_step test_reported;

static enum op_next
test_failed(struct op *op, const char *why)
{
	struct target_test *t = op_state(op, sizeof(*t));

	t->found = why;
	return op_goto(op, test_report);
}

/* --- files like those of a version --- */

static rc
try_file(struct arena *a, int dir_fd, const char *path,
    const struct target_file *want, const char **out_why)
{
	static const char words[] = "written to see whether it can be\n";
	const char *why = "";
	rc ret;

	ret = look_write(a, dir_fd, TRIAL_FILE, words, sizeof(words) - 1, want,
	    path, NULL, 0600, &why);
	(void)unlinkat(dir_fd, TRIAL_FILE, 0); /* also half of one */
	if (ret != RC_OK)
		*out_why = arena_printf(a, "no file like %s can be written: %s",
		    path, why);
	return ret;
}

/* In the directory that holds place, a file as path is to be. */
static rc
try_at(struct arena *a, const char *place, const char *path,
    const struct target_file *want, const char **out_why)
{
	const char *name;
	int dir_fd;
	rc ret;

	ret = safedir_open_above(a, place, &dir_fd, &name, out_why);
	if (ret != RC_OK)
		return ret;
	ret = try_file(a, dir_fd, path, want, out_why);
	close(dir_fd);
	return ret;
}

/* Where the versions are kept, and current is made.  Only the directory itself
 * may be missing: a deployment makes it, and nothing above it. */
static rc
try_versions(struct arena *a, const struct install_paths *p, bool *out_is_made,
    const char **out_why)
{
	int fd;
	rc ret;

	if (access(p->dir, F_OK) == 0 || errno != ENOENT)
		return try_at(a, arena_printf(a, "%s/v", p->dir), p->cert_path,
		    &p->cert, out_why);
	ret = install_open_above(a, p, &fd, out_why);
	if (ret != RC_OK)
		return ret;
	ret = try_file(a, fd, p->cert_path, &p->cert, out_why);
	close(fd);
	*out_is_made = ret == RC_OK;
	return ret;
}

/* *out_is_made: the deployment makes the directory of its files. */
static rc
try_files(struct arena *a, const struct install_paths *p, bool *out_is_made,
    const char **out_why)
{
	rc ret;

	ret = install_check(a, p, out_why);
	if (ret == RC_OK && p->is_direct)
		return try_versions(a, p, out_is_made, out_why);
	if (ret == RC_OK)
		ret = try_at(a, p->cert_path, p->cert_path, &p->cert, out_why);
	if (ret == RC_OK)
		ret = try_at(a, p->key_path, p->key_path, &p->key, out_why);
	if (ret == RC_OK && p->chain_path)
		ret =
		    try_at(a, p->chain_path, p->chain_path, &p->chain, out_why);
	return ret;
}

/* --- the steps --- */

static rc
read_item(struct op *op, struct work *w, struct target_test *t,
    const char **out_why)
{
	struct arena *a = op_arena(op);
	const struct cJSON *item, *config;
	rc ret;

	ret = json_parse(a, w->item_json, strlen(w->item_json), &item, out_why);
	if (ret != RC_OK)
		return ret;
	config = json_get(item, "target_config");
	t->j.type = w->type;
	t->j.common_name = "";
	IGNORE_RESULT(json_str(item, "common_name", 253, &t->j.common_name));
	t->j.config = config ? json_text(a, config) : "{}";
	return RC_OK;
}

enum op_next
target_test_start(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));
	struct work *w = agent_arg(op);
	const char *why = "";
	bool is_made = false;
	rc ret;

	ret = read_item(op, w, t, &why);
	if (ret == RC_OK)
		ret = deploy_plan(op, &t->j, &t->plan, &t->paths, &why);
	if (ret == RC_OK)
		ret = try_files(op_arena(op), &t->paths, &is_made, &why);
	if (ret != RC_OK)
		return test_failed(op, why);
	t->found = "Agent is online and reachable; its files can be written";
	if (is_made)
		t->found = op_printf(op,
		    "%s; the directory %s is not there, and the first "
		    "deployment makes it",
		    t->found, t->paths.dir);
	if (access(t->plan.cert_path, F_OK) != 0) {
		t->passed = true;
		t->found = op_printf(op,
		    "%s; nothing stands at %s yet, so the server was not asked",
		    t->found, t->plan.cert_path);
		return op_goto(op, test_report);
	}
	if (!t->plan.test_argv[0])
		return op_goto(op, test_handshake);
	return call_program(op, t->plan.test_argv, false, PROGRAM_MS,
	    test_program_ended);
}

static enum op_next
test_program_ended(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));
	const char *why = deploy_program_failure(op, "the configuration test",
	    t->plan.test_argv);

	if (why)
		return test_failed(op, why);
	t->found = op_printf(op, "%s; the configuration test passes", t->found);
	return op_goto(op, test_handshake);
}

static enum op_next
test_handshake(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));

	if (!t->plan.host) {
		t->passed = true;
		return op_goto(op, test_report);
	}
	return call_handshake(op, t->plan.host, t->plan.port,
	    deploy_server_name(op, &t->plan, t->j.common_name), HANDSHAKE_MS,
	    test_handshake_ended);
}

static enum op_next
test_handshake_ended(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));
	const struct call_probe *p = call_probe(op);

	if (p->code != RC_OK)
		return test_failed(op,
		    op_printf(op, "no TLS handshake with %s:%d: %s",
			t->plan.host, t->plan.port, p->error));
	t->passed = true;
	t->found = op_printf(op, "%s; %s:%d serves TLS", t->found, t->plan.host,
	    t->plan.port);
	return op_goto(op, test_report);
}

/* Once: whoever asked waits no longer than this. */
static enum op_next
test_report(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));
	struct work *w = agent_arg(op);
	const char *body;
	struct json_w json;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&json, &b);
	json_w_open(&json, '{');
	json_w_kv_bool(&json, "passed", t->passed);
	json_w_kv(&json, "message", t->found);
	json_w_close(&json, '}');
	body = arena_strdup(op_arena(op), buf_cstr(&b));
	buf_fini(&b);
	return call_api(op, "POST",
	    op_printf(op, "/api/v1/agents/%s/tests/%s", w->agent->id, w->job),
	    body, REPORT_MS, test_reported);
}

static enum op_next
test_reported(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));
	struct work *w = agent_arg(op);
	const struct call_reply *reply = call_reply(op);

	if (reply->code != RC_OK || reply->status != 200)
		log_warn("TEST-UNTOLD", "target %s: %s", w->target,
		    reply->error ? reply->error : "the server refused it");
	log_info("TARGET-TESTED", "target %s: %s: %s", w->target,
	    t->passed ? "passed" : "failed", t->found);
	w->is_ended = true;
	return op_done(op);
}
