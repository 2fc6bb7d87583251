#include "deploy/test/loadtest/fleet/seams.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <uthash.h>

#include "agent/call.h"
#include "agent/deploy_int.h"
#include "agent/work.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/http/http_out.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"
#include "deploy/test/loadtest/fleet/members.h"

#define STAND_IN "/usr/bin/true"
/* Nobody waits that long for a place; one more look costs nothing. */
#define HOME_WAIT_MS 60000
#define LINE_MAX_BYTES 1024

static struct watch *watching;
static struct serve *serving;

void
seams_set(struct watch *w, struct serve *s)
{
	watching = w;
	serving = s;
}

/* The linker's names. */
struct op *__real_agent_op_start(struct agent *a, const char *name,
    int64_t deadline_ms, op_step *first, void *arg,
    void (*done)(struct agent *a, void *arg));
struct op *__wrap_agent_op_start(struct agent *a, const char *name,
    int64_t deadline_ms, op_step *first, void *arg,
    void (*done)(struct agent *a, void *arg));
void *__real_agent_arg(const struct op *op);
void *__wrap_agent_arg(const struct op *op);
enum op_next __real_deploy_verify(struct op *op);
enum op_next __wrap_deploy_verify(struct op *op);
enum op_next __real_call_program(struct op *op, const char *const *argv,
    bool may_leave_some, int64_t timeout_ms, op_step *next);
enum op_next __wrap_call_program(struct op *op, const char *const *argv,
    bool may_leave_some, int64_t timeout_ms, op_step *next);
const struct call_output *__real_call_output(const struct op *op);
const struct call_output *__wrap_call_output(const struct op *op);
rc __real_http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out);
rc __wrap_http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out);
void __real_http_call_cancel(struct http_call *c);
void __wrap_http_call_cancel(struct http_call *c);
void __real_log_write(enum log_level level, const char *code, const char *fmt,
    ...) PRINTF_LIKE(3, 4);
void __wrap_log_write(enum log_level level, const char *code, const char *fmt,
    ...) PRINTF_LIKE(3, 4);
void __wrap_log_peer(enum log_level level, const char *code, const char *peer,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

enum op_next __real_call_api(struct op *op, const char *method,
    const char *path, const char *body, int64_t timeout_ms, op_step *next);
enum op_next __wrap_call_api(struct op *op, const char *method,
    const char *path, const char *body, int64_t timeout_ms, op_step *next);

/* --- ops --- */

/* Stands where the op's own argument would; given back by agent_arg. */
struct seam {
	void *arg;
	void (*done)(struct agent *a, void *arg);
	struct op *op;
	const char *name;
	op_step *first;
	op_step *next; /* of the op, once it has its directories */
	int64_t deadline_ms;
	struct home_wait wait;
	bool uses_home;
	/* The program it asked for was run here, with this result. */
	bool has_output;
	struct call_output output;
};

static bool
is_work(const struct seam *s)
{
	return strcmp(s->name, "enrol") == 0 || strcmp(s->name, "deploy") == 0;
}

static void
tell_begin(const struct seam *s)
{
	const struct work *w = s->arg;

	if (watching && is_work(s) && !w->is_resumed)
		watch_point(watching, w->certificate, w->job,
		    w->is_deployment ? CYCLE_ISSUED : CYCLE_OFFERED);
}

static void
tell_end(const struct seam *s)
{
	const struct work *w = s->arg;

	if (!watching || !is_work(s) || !w->is_ended)
		return;
	if (!w->is_deployment)
		watch_point(watching, w->certificate, w->job, CYCLE_CSR);
	else
		watch_point(watching, w->certificate, w->job, CYCLE_REPORTED);
}

static void
seam_done(struct agent *a, void *arg)
{
	struct member *b = (struct member *)a;
	struct seam *s = arg;
	const struct call_reply *reply = call_reply(s->op);
	bool beat = strcmp(s->name, "heartbeat") == 0 && reply->code == RC_OK &&
		    reply->status == 200;

	tell_end(s);
	if (s->done)
		s->done(a, s->arg);
	member_look(b, beat, strcmp(s->name, "poll") == 0);
	member_forget_home(b, &s->wait);
	if (s->uses_home)
		member_close_home(b);
	free(s);
}

static void
wake(void *op)
{
	op_wake(op);
}

/* Without its directories an op's files fail, and it says so. */
static enum op_next
wait_for_home(struct op *op)
{
	struct seam *s = __real_agent_arg(op);
	rc ret;

	s->wait.arg = op;
	op_extend(op, s->deadline_ms + HOME_WAIT_MS);
	ret = member_open_home((struct member *)agent_of(op), &s->wait);
	if (ret == RC_BUSY)
		return op_park(op, HOME_WAIT_MS, wait_for_home);
	s->uses_home = ret == RC_OK;
	if (!s->uses_home && watching)
		watch_error(watching, "directories not opened");
	op_extend(op, s->deadline_ms);
	return op_goto(op, s->next);
}

/* Work is read once there is a place for it: an agent that had it in hand and
 * waited would go on asking for more.  Until the op ends it holds the place,
 * so what it starts has one.  An answer that waited is old, so it asks again
 * then. */
static enum op_next
work_came(struct op *op)
{
	struct seam *s = __real_agent_arg(op);
	struct member *b = (struct member *)agent_of(op);
	const struct call_reply *reply = call_reply(op);
	const struct cJSON *jobs;

	jobs = reply->json ? json_get(reply->json, "jobs") : NULL;
	if (cJSON_GetArraySize(jobs) == 0 || s->uses_home)
		return s->next(op);
	s->uses_home = member_open_home(b, &s->wait) == RC_OK;
	if (s->uses_home)
		return s->next(op);
	s->next = s->first;
	return wait_for_home(op);
}

enum op_next
__wrap_call_api(struct op *op, const char *method, const char *path,
    const char *body, int64_t timeout_ms, op_step *next)
{
	struct seam *s = __real_agent_arg(op);

	if (strcmp(s->name, "poll") == 0) {
		s->next = next;
		next = work_came;
	}
	return __real_call_api(op, method, path, body, timeout_ms, next);
}

/* Whose directories are open needs no place, and gives none up between the two:
 * who opened them may end before the op's first turn. */
static op_step *
begin_at_home(struct seam *s, struct member *b)
{
	if (b->home_users == 0)
		return wait_for_home;
	s->uses_home = member_open_home(b, &s->wait) == RC_OK;
	return s->uses_home ? s->next : wait_for_home;
}

struct op *
__wrap_agent_op_start(struct agent *a, const char *name, int64_t deadline_ms,
    op_step *first, void *arg, void (*done)(struct agent *a, void *arg))
{
	struct seam *s = mem_zalloc(sizeof(*s));

	s->arg = arg;
	s->done = done;
	s->name = name;
	s->first = s->next = first;
	s->deadline_ms = deadline_ms;
	s->wait.wake = wake;
	if (strcmp(name, "poll") != 0 && strcmp(name, "heartbeat") != 0)
		first = begin_at_home(s, (struct member *)a);
	tell_begin(s);
	s->op =
	    __real_agent_op_start(a, name, deadline_ms, first, s, seam_done);
	member_look((struct member *)a, false, strcmp(name, "poll") == 0);
	return s->op;
}

void *
__wrap_agent_arg(const struct op *op)
{
	return ((struct seam *)__real_agent_arg(op))->arg;
}

enum op_next
__wrap_deploy_verify(struct op *op)
{
	const struct deploy *d = op_state(op, sizeof(*d));
	const struct work *w = agent_arg(op);

	if (watching && !d->failure)
		watch_point(watching, w->certificate, w->job, CYCLE_SERVED);
	else if (watching)
		watch_error(watching, "deployment not proven");
	return __real_deploy_verify(op);
}

/* --- programs --- */

enum op_next
__wrap_call_program(struct op *op, const char *const *argv, bool may_leave_some,
    int64_t timeout_ms, op_step *next)
{
	struct seam *s = __real_agent_arg(op);
	bool is_test;
	rc ret;

	s->has_output = serving && strcmp(argv[0], STAND_IN) == 0 && argv[1] &&
			argv[2] && argv[3] && !argv[4];
	if (!s->has_output)
		return __real_call_program(op, argv, may_leave_some, timeout_ms,
		    next);
	is_test = strcmp(argv[1], "test") == 0;
	ret = is_test ? serve_check(argv[2], argv[3])
		      : serve_load(serving, argv[2], argv[3]);
	s->output = (struct call_output){
	    .code = RC_OK,
	    .exit_status = ret == RC_OK ? 0 : 1,
	    .text = ret == RC_OK ? "" : "the files are no pair",
	};
	return op_goto(op, next);
}

const struct call_output *
__wrap_call_output(const struct op *op)
{
	const struct seam *s = __real_agent_arg(op);

	return s->has_output ? &s->output : __real_call_output(op);
}

/* --- requests --- */

struct request {
	struct http_call *call; /* what it is found by */
	http_done_fn *done;
	void *arg;
	int64_t since_us;
	UT_hash_handle hh;
	char url[];
};

static struct request *requests;

static void
request_done(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct request *r = arg;

	HASH_DEL(requests, r);
	if (watching)
		watch_request(watching, r->url, code == RC_OK ? status : 0,
		    clock_boot_us() - r->since_us);
	r->done(r->arg, code, status, body, len, error);
	free(r);
}

rc
__wrap_http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out)
{
	size_t len = strlen(req->url) + 1;
	struct request *r = mem_zalloc(sizeof(*r) + len);
	rc ret;

	r->done = done;
	r->arg = arg;
	r->since_us = clock_boot_us();
	memcpy(r->url, req->url, len);
	ret = __real_http_out_start(h, req, request_done, r, &r->call);
	if (ret != RC_OK) {
		free(r);
		return ret;
	}
	HASH_ADD_PTR(requests, call, r);
	*out = r->call;
	return RC_OK;
}

/* Of a call that is in its callback nothing is found: it is over. */
void
__wrap_http_call_cancel(struct http_call *c)
{
	struct request *r;

	HASH_FIND_PTR(requests, &c, r);
	__real_http_call_cancel(c);
	if (r) {
		HASH_DEL(requests, r);
		free(r);
	}
}

/* --- log lines --- */

void
__wrap_log_write(enum log_level level, const char *code, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (watching && !watch_log(watching, level, code))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	__real_log_write(level, code, "%s", line);
}

/* Each of them counts, whoever caused it. */
void
__wrap_log_peer(enum log_level level, const char *code, const char *peer,
    const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (watching && !watch_log(watching, level, code))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	__real_log_write(level, code, "%s", line);
}
