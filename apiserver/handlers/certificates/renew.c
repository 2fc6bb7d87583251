/*
 * POST /certificates/{id}/renew and /deploy: jobs by a person's wish.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <string.h>
#include <strings.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/jobs/jobs.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/warn.h"
#include "common/base/attr.h"

static op_step renew_done;
static op_step renew_joined;
static op_step deploy_done;

static const struct outcome renew_refusals[] = {
    {"archived", RC_INVALID, "cannot renew archived certificate"},
    {"expired", RC_INVALID,
	"cannot renew expired certificate; reissue instead"},
    {"revoked", RC_INVALID, "cannot renew revoked certificate"},
    {"in_progress", RC_CONFLICT, "certificate renewal already in progress"},
    {"issuer_disabled", RC_CONFLICT, "the certificate's issuer is disabled"},
};

static const struct outcome deploy_refusals[] = {
    {"unknown", RC_NOT_FOUND, "Certificate not found"},
    {"archived", RC_INVALID, "cannot deploy archived certificate"},
    {"revoked", RC_INVALID, "cannot deploy revoked certificate"},
    {"not_mapped", RC_INVALID,
	"the certificate is not mapped to that target, or to none"},
    {"no_version", RC_CONFLICT,
	"the certificate has no version for this target yet; renew it "
	"first"},
    {"target_off", RC_CONFLICT,
	"the target is disabled, or it or its agent is retired"},
};

/* The distinct agents of the rows hear that they have something to do. */
static void
hint_agents(struct op *op)
{
	size_t n = op_rows(op), used = 0;
	const char **agents =
	    arena_alloc(op_arena(op), (n + 1) * sizeof(const char *));

	for (size_t i = 0; i < n; i++) {
		if (!op_is_null(op, i, "agent_id"))
			agents[used++] = op_text(op, i, "agent_id");
	}
	if (used > 0)
		req_hint(op, 0, NULL, agents);
}

/* A job without an agent waits until the certificate gets a target. */
static void
warn_no_agent(struct op *op, struct warnings *ws)
{
	for (size_t i = 0; i < op_rows(op); i++) {
		if (op_is_null(op, i, "job_id") ||
		    !op_is_null(op, i, "agent_id"))
			continue;
		warn_add(op, ws, "%s",
		    cert_reason_say(op_arena(op), "no_target"));
		return;
	}
}

/* {"status":word,"job_id":first,"job_ids":[all]} */
static enum op_next
reply_jobs(struct op *op, const char *word, struct warnings *ws)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", word);
	json_w_kv_opt(w, "job_id", op_text(op, 0, "job_id"));
	json_w_key(w, "job_ids");
	json_w_open(w, '[');
	for (size_t i = 0; i < op_rows(op); i++) {
		if (!op_is_null(op, i, "job_id"))
			json_w_str(w, op_text(op, i, "job_id"));
	}
	json_w_close(w, ']');
	warn_no_agent(op, ws);
	warn_put(w, ws);
	json_w_close(w, '}');
	return reply_json(op, 202);
}

/* --- renew --- */

enum op_next
cert_renew(struct op *op)
{
	const char *query = req_query(op, "force");
	bool *is_forced = op_state(op, sizeof(*is_forced));
	const struct cJSON *body;
	const char *why;
	bool wish = false;
	rc ret;

	ret = cert_wish_read(op, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_bool(body, "force", &wish);
	if (ret == RC_INVALID)
		return op_fail(op, ret, "force must be true or false");
	*is_forced =
	    wish || (query != NULL && (strcasecmp(query, "true") == 0 ||
					  strcmp(query, "1") == 0));
	return OP_QUERY(op, Q_CERT_RENEW, renew_done, req_param(op, "id"),
	    page_actor(op), req_actor_type(op), *is_forced ? "true" : "false",
	    op_printf(op, "another renewal was forced by %s", page_actor(op)));
}

static enum op_next
renew_done(struct op *op)
{
	const bool *is_forced = op_state(op, sizeof(*is_forced));
	struct warnings ws = {0};
	enum op_next no;

	if (op_rows(op) == 0)
		return cert_not_found(op);
	if (*is_forced && outcome_is(op, "in_progress"))
		return OP_QUERY(op, Q_CERT_OPEN_JOBS, renew_joined,
		    req_param(op, "id"));
	if (outcome_refuses(op, renew_refusals, ARRAY_LEN(renew_refusals), &no))
		return no;
	hint_agents(op);
	if (outcome_is(op, "asked")) {
		warn_add(op, &ws,
		    "an ACME client has the certificate's key and renews it: "
		    "its renewal information says now, which the client reads "
		    "when it looks next");
		return reply_jobs(op, "renewal_asked", &ws);
	}
	if (!op_is_null(op, 0, "by_hand"))
		warn_add(op, &ws, "%s",
		    cert_reason_say(op_arena(op),
			op_printf(op, "by_hand\n%s",
			    op_text(op, 0, "by_hand"))));
	return reply_jobs(op, "renewal_triggered", &ws);
}

/*
 * Who forces gets a renewal, not a second one: the open jobs, which
 * somebody who is there works on.
 */
static enum op_next
renew_joined(struct op *op)
{
	struct warnings ws = {0};

	if (op_rows(op) == 0)
		return op_fail(op, RC_CONFLICT,
		    "the renewal that was in progress has just ended; ask "
		    "again for another one");
	hint_agents(op);
	warn_add(op, &ws,
	    "a renewal is in progress already and goes on: job %s is %s",
	    op_text(op, 0, "job_id"), op_text(op, 0, "status"));
	return reply_jobs(op, "renewal_triggered", &ws);
}

/* --- deploy --- */

enum op_next
cert_deploy(struct op *op)
{
	const struct cJSON *body;
	const char *why, *target = NULL;
	rc ret;

	ret = cert_wish_read(op, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_str(body, "target_id", 128, &target);
	if (target != NULL && target[0] == '\0')
		target = NULL;
	if (ret == RC_INVALID || (target != NULL && !fieldtext_is_id(target)))
		return op_fail(op, RC_INVALID,
		    "target_id must be a target's id");
	return OP_QUERY(op, Q_CERT_DEPLOY, deploy_done, req_param(op, "id"),
	    target, page_actor(op), req_actor_type(op));
}

static enum op_next
deploy_done(struct op *op)
{
	struct warnings ws = {0};
	enum op_next no;

	if (outcome_refuses(op, deploy_refusals, ARRAY_LEN(deploy_refusals),
		&no))
		return no;
	hint_agents(op);
	return reply_jobs(op, "deployment_triggered", &ws);
}

/* --- what the document says of it --- */

static const struct field renew_query[] = {
    {"force", FIELD_BOOL},
};

static const struct field renew_body[] = {
    {"force", FIELD_BOOL},
};

static const struct field deploy_body[] = {
    {"target_id", FIELD_TEXT, FIELD_ID, .max = 128},
};

static const struct field renew_fields[] = {
    {"status", FIELD_TEXT},
    {"job_id", FIELD_TEXT},
    {"job_ids", FIELD_TEXTS},
    {"warnings", FIELD_TEXTS},
};
const struct shape shape_cert_renew = {
    .does = "Renew a certificate",
    .query = renew_query,
    .nquery = ARRAY_LEN(renew_query),
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(renew_body)},
    .status = 202,
    .fields = SHAPE_TABLE(renew_fields),
};
const struct shape shape_cert_deploy = {
    .does = "Deploy a certificate",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(deploy_body)},
    .status = 202,
    .fields = SHAPE_TABLE(renew_fields),
};
