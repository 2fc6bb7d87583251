/*
 * POST /agents/{id}/csr: the request for a certificate whose key the agent
 * keeps.
 *
 * Everything that can be wrong with it is found here, before a worker sees
 * it.  The same key again is accepted again, another key is refused: the
 * first one may already be signed.
 */
#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/shape.h"
#include "common/base/enc.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/csr/csr.h"
#include "common/pki/profile/certprofile.h"

enum { ID_MAX = 128 };

struct submission {
	const char *pem;
	const char *certificate;
	const char *job; /* NULL: the agent's newest of the certificate */
	struct csr csr;
};

static op_step csr_context;
static op_step csr_submitted;

static rc
read_id(const struct cJSON *body, const char *name, const char **out)
{
	rc ret;

	*out = NULL;
	ret = json_str(body, name, ID_MAX, out);
	if (*out && !**out)
		*out = NULL;
	if (*out && !fieldtext_is_id(*out))
		return RC_INVALID;
	return ret == RC_INVALID ? ret : RC_OK;
}

static rc
read_body(struct op *op, struct submission *s, const char **out_why)
{
	const struct cJSON *body;
	rc ret;

	/* A byte-order mark in front of the PEM is skipped; what is kept of the
	 * text is its block, written anew. */
	ret = req_json_any(op, false, &body, out_why);
	if (ret != RC_OK)
		return ret;
	*out_why = "csr_pem must be a text of 49152 characters or fewer";
	s->pem = "";
	ret = json_str(body, "csr_pem", CSR_PEM_MAX, &s->pem);
	if (ret == RC_INVALID)
		return ret;
	*out_why = "certificate_id and job_id must be ids";
	ret = read_id(body, "certificate_id", &s->certificate);
	if (ret == RC_OK)
		ret = read_id(body, "job_id", &s->job);
	if (ret != RC_OK)
		return ret;
	*out_why =
	    *s->pem ? "certificate_id is required" : "csr_pem is required";
	return *s->pem && s->certificate ? RC_OK : RC_INVALID;
}

enum op_next
agent_csr_start(struct op *op)
{
	struct submission *s = op_state(op, sizeof(*s));
	const char *why = "";
	rc ret;

	ret = read_body(op, s, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = csr_parse(op_arena(op), s->pem, strlen(s->pem), &s->csr, &why);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID, "csr_pem: %s", why);
	return OP_QUERY(op, Q_CSR_CONTEXT, csr_context, req_param(op, "id"),
	    s->certificate);
}

/* Against the certificate it is for; the database's row is at hand. */
static rc
check_names(struct op *op, const struct csr *csr, const char **out_why)
{
	const char *text =
	    op_printf(op, "{\"sans\":%s}", op_text(op, 0, "sans"));
	const struct cJSON *doc;
	const char **sans;
	size_t n = 0;
	rc ret;

	*out_why = "the certificate's names cannot be read";
	ret = json_parse(op_arena(op), text, strlen(text), &doc, out_why);
	if (ret == RC_OK)
		ret = json_str_list(op_arena(op), doc, "sans", CSR_SANS_MAX,
		    512, &sans, &n);
	if (ret != RC_OK)
		return ret;
	return csr_match_names(op_arena(op), csr, op_text(op, 0, "common_name"),
	    sans, n, out_why);
}

static rc
check_profile(struct op *op, const struct csr *csr, const char **out_why)
{
	const struct certprofile *profile = NULL;
	struct certprofile read;
	rc ret = RC_OK;

	if (!op_is_null(op, 0, "profile")) {
		ret = certprofile_read(op_arena(op), op_text(op, 0, "profile"),
		    &read, out_why);
		profile = &read;
	}
	if (ret != RC_OK)
		return ret;
	return certprofile_allows_request(op_arena(op), profile, csr, out_why);
}

static enum op_next
csr_context(struct op *op)
{
	struct submission *s = op_state(op, sizeof(*s));
	const char *agent = req_param(op, "id"), *why = "";
	char *key_hash = arena_alloc(op_arena(op), 65);
	rc ret;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND,
		    "no issuance of certificate %s is for this agent",
		    s->certificate);
	if (op_bool(op, 0, "is_retired"))
		return op_fail(op, RC_GONE, "Agent has been retired");
	ret = check_names(op, &s->csr, &why);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID, "csr_pem: %s", why);
	ret = check_profile(op, &s->csr, &why);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID, "csr_pem: %s", why);
	/* Last: it costs more than all the rest. */
	ret = csr_verify(&s->csr);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID,
		    "csr_pem: its signature does not verify");
	enc_sha256_hex(s->csr.spki.p, s->csr.spki.len, key_hash);
	/* The block alone is kept, in one spelling. */
	return OP_QUERY(op, Q_CSR_SUBMIT, csr_submitted, agent, s->certificate,
	    s->job, pem_write(op_arena(op), "CERTIFICATE REQUEST", s->csr.der),
	    key_hash, op_text(op, 0, "common_name"), op_text(op, 0, "sans"));
}

static enum op_next
csr_submitted(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"other_key", RC_CONFLICT,
		"a CSR with another key was accepted for this job before"},
	    {"unknown_job", RC_NOT_FOUND, "Job not found"},
	    {"changed", RC_CONFLICT,
		"the certificate's names have just been changed: ask for the "
		"work again"},
	};
	const char *issuers[] = {op_text(op, 0, "issuer_id"), NULL};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	if (outcome_is(op, "accepted")) {
		req_hint(op, 1, issuers, NULL);
		return reply_status(op, 202, "status", "csr_accepted");
	}
	if (outcome_is(op, "repeated"))
		return reply_status(op, 202, "status", "csr_accepted");
	return op_fail(op, RC_CONFLICT,
	    "no job of this certificate waits for a CSR of this agent");
}

/* --- what the document says of it --- */

static const struct field csr_body[] = {
    {"csr_pem", FIELD_TEXT, FIELD_REQUIRED | FIELD_MULTILINE,
	.max = CSR_PEM_MAX},
    {"certificate_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = ID_MAX},
    {"job_id", FIELD_TEXT, FIELD_ID, .max = ID_MAX},
};

const struct shape shape_agent_csr_start = {
    .does = "Ask for a certificate for the agent's key",
    .has_body = true,
    .body = {SHAPE_TABLE(csr_body)},
    .status = 202,
    .answer = SHAPE_STATUS,
};
