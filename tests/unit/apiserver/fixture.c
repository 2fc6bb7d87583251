#include "tests/unit/apiserver/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/live/creates.h"
#include "apiserver/live/heartbeats.h"
#include "apiserver/live/park.h"
#include "apiserver/policy/auth.h"
#include "apiserver/policy/authz.h"
#include "apiserver/policy/keyring.h"
#include "common/base/mem.h"

static const char *const named[] = {"ops:" FIXTURE_ADMIN_KEY ":admin",
    "reader:" FIXTURE_READER_KEY, NULL};
static const char *const none[] = {NULL};

/* The fixture's requests end here, not in http_conn. */
static struct answer *
answer_of(const struct request *r)
{
	return (struct answer *)(void *)r->conn;
}

void
fixture_init(struct fixture *f)
{
	rc ret;

	*f = (struct fixture){0};
	f->api.loop = loop_new_sim(1000);
	f->db = db_script_new(f->api.loop);
	f->api.pool = f->api.heartbeat_pool = f->api.own_pool = f->db;
	f->api.max_body = 1024;
	ret = keyring_new(named, none, FIXTURE_TOKEN, "", &f->api.keys);
	if (ret != RC_OK)
		abort();
	f->api.auth = auth_new(f->api.loop, f->api.keys);
	f->api.authz = authz_new(f->api.loop);
	f->api.park = park_new(f->api.loop, f->db);
	f->api.heartbeats = heartbeats_new(f->api.loop, f->db);
	f->api.creates = creates_new(f->api.loop, f->db);
}

void
fixture_fini(struct fixture *f)
{
	loop_sim_advance(f->api.loop, 0); /* ops that ended are freed */
	creates_free(f->api.creates);
	heartbeats_free(f->api.heartbeats);
	park_free(f->api.park);
	router_free(f->router);
	authz_free(f->api.authz);
	auth_free(f->api.auth);
	keyring_free(f->api.keys);
	db_pool_free(f->db);
	loop_free(f->api.loop);
}

static void
on_end(struct op *op, rc code, const char *message)
{
	struct request *r = op_owner(op);
	struct answer *a = answer_of(r);

	if (code != RC_OK)
		render_failure(r, code, message);
	a->code = code;
	a->status = r->status;
	(void)snprintf(a->body, sizeof(a->body), "%s", buf_cstr(&r->reply));
	a->op = NULL;
	request_free(r);
}

static const struct request_carrier no_carrier;

/* {name} of the pattern takes the target's segment. */
static void
match_params(struct fixture *f, struct request *r, const struct route *route)
{
	rc ret = RC_OK;

	if (!f->router) {
		f->area = (struct route_area)ROUTE_API_AREA("test", f->route);
		f->route[0] = *route;
		f->areas[0] = &f->area;
		ret = router_new(f->areas, 1, &f->router);
	}
	if (ret == RC_OK)
		ret = path_parse(r->head.target, &r->path);
	if (ret == RC_OK)
		ret =
		    router_match(f->router, route->method, &r->path, &r->match);
	if (ret != RC_OK)
		abort();
}

static struct request *
new_request(struct fixture *f, const char *method, const char *target,
    struct answer *answer)
{
	char head[1024];
	int len =
	    snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n",
		method, target, f->fields ? f->fields : "");

	return request_new(&f->api, &no_carrier, (struct conn *)(void *)answer,
	    head, (size_t)len);
}

void
fixture_request(struct fixture *f, const struct route *route,
    const char *method, const char *target, const char *body,
    struct answer *answer)
{
	const struct op_env env = {
	    .loop = f->api.loop,
	    .pool = f->db,
	    .deadline_ms = 30000,
	    .name = route->pattern,
	    .on_end = on_end,
	    .owner = new_request(f, method, target, answer),
	};
	struct request *r = env.owner;

	*answer = (struct answer){0};
	match_params(f, r, route);
	r->body = mem_strdup(body);
	r->body_len = strlen(body);
	r->principal = (struct principal){PRINCIPAL_API_KEY, "ops", true, true};
	r->op = answer->op = op_start(&env, route->start);
}
