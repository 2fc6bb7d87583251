#include "tests/unit/apiserver/policy/gate_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/policy/limits.h"
#include "apiserver/policy/refusals.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/cfg/cfg.h"

static struct rig *the_rig;

/* --- the table --- */

static enum op_next
answer(struct op *op)
{
	const struct principal *p = req_principal(op);
	struct json_w *w = reply_writer(op);
	size_t len;

	the_rig->nstarted++;
	the_rig->left_ms = op_left_ms(op);
	json_w_open(w, '{');
	json_w_kv(w, "who", p->id);
	json_w_kv(w, "type", req_actor_type(op));
	json_w_kv(w, "body", req_body(op, &len));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
break_down(struct op *op)
{
	the_rig->nstarted++;
	return OP_QUERY(op, Q_JOB_GET, answer, "job-1");
}

static const struct route rows[] = {
    {"GET", "/api/v1/version", NULL, answer,
	.own = {.access = ROUTE_PUBLIC,
	    .body = ROUTE_NO_BODY,
	    .preflight = ROUTE_NO_PREFLIGHT}},
    {"GET", "/api/v1/things", "thing.read", answer},
    {"POST", "/api/v1/things", "thing.edit", answer, ROUTE_NO_EVENT,
	.own = {.deadline_ms = 7000}},
    {"GET", "/api/v1/things/{id}", "thing.read", answer, .scope = ROUTE_ISSUER},
    {"PUT", "/api/v1/things/{id}/{file:file...}", "thing.edit", answer,
	ROUTE_NO_EVENT},
    {"GET", "/api/v1/broken", "thing.read", break_down},
    {"GET", "/api/v1/check", NULL, answer, .own = {.access = ROUTE_SIGNED_IN}},
    {"POST", "/api/v1/agents", "agent.edit", answer, ROUTE_NO_EVENT,
	.own = {.access = ROUTE_REGISTER, .renderer = &render_register}},
    {"GET", "/api/v1/agents/{id}/work", "agent.job.poll", answer,
	.own = {.access = ROUTE_AGENT}},
    {"POST", "/api/v1/jobs/{id}/verify", "verification.run", answer,
	ROUTE_NO_EVENT, .is_for_own_keys = true},
};
static const struct route open_rows[] = {
    {"GET", "/health", NULL, answer, .own = {.rate = ROUTE_UNRATED}},
    {"GET", "/open", NULL, answer},
};

static const struct route other_rows[] = {
    {"GET", "/other/things", "thing.read", answer},
    {"POST", "/other/things", "thing.edit", answer, ROUTE_NO_EVENT},
    {"GET", "/other/broken", "thing.read", break_down},
};

static void
say(struct request *r, int status, const char *what, int number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%s %d", what, number);
	request_set_text(r, status, "other", text);
}

static void
other_refuse(struct request *r, enum refusal why)
{
	say(r, 499, "refusal", (int)why);
}

static void
other_error(struct request *r, int status, const char *message)
{
	say(r, 499, "error", status);
}

static const struct renderer render_other = {"other", other_refuse,
    other_error};

static const struct route_area api_area = ROUTE_API_AREA("api", rows);
static const struct route_area open_area = {
    .name = "open",
    .prefix = "/",
    .rules = {.access = ROUTE_PUBLIC,
	.renderer = &render_api,
	.body = ROUTE_NO_BODY,
	.rate = ROUTE_RATED,
	.preflight = ROUTE_NO_PREFLIGHT,
	.head = ROUTE_NO_HEAD,
	.deadline_ms = 1000},
    .routes = open_rows,
    .n = ARRAY_LEN(open_rows),
};
static const struct route_area other_area = {
    .name = "other",
    .prefix = "/other/",
    .rules = {.access = ROUTE_PERMISSION,
	.renderer = &render_other,
	.body = ROUTE_BODY,
	.rate = ROUTE_RATED,
	.preflight = ROUTE_NO_PREFLIGHT,
	.head = ROUTE_NO_HEAD,
	.deadline_ms = 1000},
    .routes = other_rows,
    .n = ARRAY_LEN(other_rows),
};
static const struct route_area *const areas[] = {&open_area, &api_area,
    &other_area};

/* --- the rig --- */

static struct cfg *
rates(int burst)
{
	static char text[16];
	static struct cfg_key keys[] = {
	    {"rate_limit_enabled", "RIG_ENABLED", CFG_BOOL, "", 0, 0, 0, ""},
	    {"rate_limit_rps", "RIG_RPS", CFG_DECIMAL, "1", 1, 9000, 0, ""},
	    {"rate_limit_burst", "RIG_BURST", CFG_INT, text, 0, 99, 0, ""},
	    {"rate_limit_bucket_ttl", "RIG_TTL", CFG_DURATION, "1h", 0,
		86400000, 0, ""},
	    {"rate_limit_per_user_rps", "RIG_USER_RPS", CFG_DECIMAL, "0", 0,
		9000, 0, ""},
	    {"rate_limit_per_user_burst", "RIG_USER_BURST", CFG_INT, "0", 0, 9,
		0, ""},
	    {"cert_export_rate_limit_per_actor_hr", "RIG_EXPORTS", CFG_INT, "0",
		0, 9, 0, ""},
	    {"ocsp_rate_limit_per_ip_min", "RIG_OCSP", CFG_INT, "0", 0, 9, 0,
		""},
	};
	struct cfg *cfg = NULL;
	rc ret;

	keys[0].dflt = burst > 0 ? "true" : "false";
	(void)snprintf(text, sizeof(text), "%d", burst > 0 ? burst : 1);
	ret = cfg_load(keys, ARRAY_LEN(keys), &cfg);
	if (ret != RC_OK)
		abort();
	return cfg;
}

void
rig_init(struct rig *g, int burst)
{
	struct api *a = &g->f.api;
	rc ret;

	*g = (struct rig){0};
	the_rig = g;
	fixture_init(&g->f);
	ret = router_new(areas, ARRAY_LEN(areas), &g->f.router);
	if (ret != RC_OK)
		abort();
	g->cfg = rates(burst);
	a->max_body = RIG_MAX_BODY;
	a->router = g->f.router;
	a->limits = limits_new(a->loop, g->cfg);
	a->refusals = refusals_new(a->loop, g->f.db);
}

void
rig_fini(struct rig *g)
{
	refusals_free(g->f.api.refusals);
	limits_free(g->f.api.limits);
	cfg_free(g->cfg);
	fixture_fini(&g->f);
}

/* --- the stand-in for a connection --- */

static struct exchange *
exchange_of(const struct request *r)
{
	return (struct exchange *)(void *)r->conn;
}

static void
keep_header(const struct request *r, const char *name, char *out, size_t size)
{
	for (size_t i = 0; i < r->nheaders; i++) {
		if (strcmp(r->headers[i].name, name) == 0)
			(void)snprintf(out, size, "%s", r->headers[i].value);
	}
}

static void
rig_reply(struct request *r)
{
	struct exchange *x = exchange_of(r);

	if (x->is_answered)
		abort();
	x->is_answered = true;
	x->status = r->status;
	x->must_close = r->must_close;
	(void)snprintf(x->type, sizeof(x->type), "%s",
	    r->content_type ? r->content_type : "");
	(void)snprintf(x->body, sizeof(x->body), "%s", buf_cstr(&r->reply));
	keep_header(r, "WWW-Authenticate", x->challenge, sizeof(x->challenge));
	keep_header(r, "Retry-After", x->retry_after, sizeof(x->retry_after));
	keep_header(r, "Allow", x->allow, sizeof(x->allow));
	x->r = NULL;
	request_free(r);
}

static void
take(struct request *r, const char *body)
{
	r->body = mem_strdup(body);
	r->body_len = strlen(body);
	r->has_all = true;
}

static rc
rig_take_body(struct request *r)
{
	struct exchange *x = exchange_of(r);

	x->nasked++;
	if (x->when_asked == RC_OK)
		take(r, "at once");
	if (x->when_asked == RC_INVALID)
		r->refusal = (struct http1_error){503, "no room"};
	return x->when_asked;
}

static const struct request_carrier carrier = {
    .reply = rig_reply,
    .take_body = rig_take_body,
};

static void
run(struct rig *g, struct exchange *x, const char *head)
{
	struct exchange fresh = {.when_asked = x->when_asked};

	*x = fresh;
	x->r = request_new(&g->f.api, &carrier, (struct conn *)(void *)x, head,
	    strlen(head));
	if (x->r->refusal.status != 0)
		request_refuse(x->r, x->r->refusal.status, x->r->refusal.why);
	else
		request_run(x->r);
	loop_sim_advance(g->f.api.loop, 0);
}

void
rig_ask(struct rig *g, struct exchange *x, const char *method, const char *path,
    const char *key, size_t length)
{
	char head[1024];

	(void)snprintf(head, sizeof(head),
	    "%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n%s%s%s\r\n",
	    method, path, length, key ? "Authorization: Bearer " : "",
	    key ? key : "", key ? "\r\n" : "");
	run(g, x, head);
}

void
rig_ask_with(struct rig *g, struct exchange *x, const char *authorization,
    const char *path)
{
	char head[1024];

	(void)snprintf(head, sizeof(head),
	    "GET %s HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\n\r\n", path,
	    authorization);
	run(g, x, head);
}

void
rig_body(struct rig *g, struct exchange *x, const char *body)
{
	take(x->r, body);
	op_wake(x->r->op);
	loop_sim_advance(g->f.api.loop, 0);
}

void
rig_refuse_body(struct rig *g, struct exchange *x, int status, const char *why)
{
	x->r->refusal = (struct http1_error){status, why};
	op_wake(x->r->op);
	loop_sim_advance(g->f.api.loop, 0);
}

/* --- the database --- */

static void
expect_lookup(struct rig *g, const char *key)
{
	char hash[65];

	enc_sha256_hex(key, strlen(key), hash);
	db_script_expect(g->f.db, Q_AUTH_BY_HASH, hash);
}

void
rig_expect_key(struct rig *g, const char *key, const char *kind, const char *id,
    bool is_retired)
{
	char row[256];

	(void)snprintf(row, sizeof(row), "%s|%s|f|%s", kind, id,
	    is_retired ? "t" : "f");
	expect_lookup(g, key);
	db_script_rows(g->f.db, "kind|id|is_admin|is_retired", row);
}

void
rig_expect_no_key(struct rig *g, const char *key)
{
	expect_lookup(g, key);
	db_script_rows(g->f.db, "kind|id|is_admin|is_retired", "");
}

void
rig_expect_grants(struct rig *g, const char *actor, const char *grants)
{
	db_script_expect(g->f.db, Q_AUTHZ_PERMISSIONS, actor);
	db_script_rows(g->f.db, "permission|scope_type|scope_id", grants);
}
