#include "apiserver/handlers/acme/signed.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "apiserver/api.h"
#include "apiserver/handlers/acme/profile.h"
#include "apiserver/live/gather.h"
#include "apiserver/live/nonces.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "apiserver/policy/path.h"

#define TYPE "application/jose+json"
#define ORIGIN "https://"

enum { KEYS_WAIT_MS = 5000 };

struct state {
	struct acme_request r; /* the first: handlers ask for no more */
	unsigned takes;
	op_step *next;
	struct nonce nonce;
	const struct gathered *asked;
	const char *kid; /* the account's id that it names; "" for jwk */
	bool has_waited; /* for the keys of nonces */
	void *more;
};

static op_step keys_read;
static op_step rows_read;
static op_step keys_read_anew;

static struct state *
state_of(const struct op *op)
{
	return op_state((struct op *)op, sizeof(struct state));
}

const struct acme_request *
acme_request(struct op *op)
{
	return &state_of(op)->r;
}

void *
acme_state(struct op *op, size_t size)
{
	struct state *s = state_of(op);

	if (!s->more) {
		s->more = arena_alloc(op_arena(op), size);
		memset(s->more, 0, size);
	}
	return s->more;
}

/* --- what can be said of the message alone --- */

/* Parameters of the type change nothing (RFC 7515 section 9.2.1 has none). */
static bool
is_jose(struct op *op)
{
	const char *type = req_header(op, "Content-Type");
	size_t len = strlen(TYPE);

	return type && strncasecmp(type, TYPE, len) == 0 &&
	       strchr("; \t", type[len]) != NULL;
}

/* Names of hosts have no case, the rest of an address has. */
static bool
is_url(const char *url, const char *origin, const char *rest)
{
	size_t len = strlen(origin);

	return strncasecmp(url, origin, len) == 0 &&
	       strcmp(url + len, rest) == 0;
}

static const char *
origin_of(struct op *op)
{
	const char *host = req_header(op, "Host");

	return op_printf(op, ORIGIN "%s", host ? host : "");
}

/* Behind what both begin with; NULL: text does not. */
static const char *
after(const char *text, const char *begin)
{
	size_t len = strlen(begin);

	return text && strncmp(text, begin, len) == 0 ? text + len : NULL;
}

/* The account that a kid names: NULL unless it is an address of this server
 * and profile, in either form. */
static const char *
account_of(struct op *op, const char *kid)
{
	const struct acme_request *r = &state_of(op)->r;
	const char *origin = origin_of(op), *dflt, *rest, *id;

	if (strncasecmp(kid, origin, strlen(origin)) != 0)
		return NULL;
	rest = kid + strlen(origin);
	dflt = cfg_str(req_api(op)->cfg, "acme_server_default_profile_id");
	id = after(rest,
	    op_printf(op, "/acme/profile/%s/account/", r->profile_id));
	if (!id && strcmp(dflt, r->profile_id) == 0)
		id = after(rest, "/acme/account/");
	return id && path_id_is_valid(id) ? id : NULL;
}

/* kid or jwk, as the endpoint takes.  True: it is refused. */
static bool
refuses_signer(struct op *op, enum op_next *out)
{
	struct state *s = state_of(op);
	const struct jws *j = s->r.jws;

	if (j->kid && !(s->takes & ACME_KID)) {
		*out = acme_problem(op, ACME_MALFORMED,
		    "this resource takes a request that its own key has "
		    "signed: give jwk, not kid, in the protected header");
		return true;
	}
	if (!j->kid && !(s->takes & ACME_JWK)) {
		*out = acme_problem(op, ACME_MALFORMED,
		    "this resource takes a request that an account has "
		    "signed: give kid, the account's address, not jwk, in the "
		    "protected header");
		return true;
	}
	s->kid = "";
	if (!j->kid)
		return false;
	s->kid = account_of(op, j->kid);
	if (s->kid)
		return false;
	*out = acme_problem(op, ACME_ACCOUNT_DOES_NOT_EXIST,
	    "kid is no address of an account here: give the Location that "
	    "new-account answered, of this server and profile");
	return true;
}

/* --- its nonce --- */

static enum op_next
refuse_nonce(struct op *op, enum acme_nonce_fault fault, const char *why)
{
	acmecounts_note_bad_nonce(req_api(op)->acme_counts, fault);
	return acme_problem(op, ACME_BAD_NONCE,
	    "%s: sign the request anew with the Replay-Nonce of this answer",
	    why);
}

static enum op_next
ask_rows(struct op *op)
{
	struct state *s = state_of(op);
	const struct jws *j = s->r.jws;
	const char *id;

	id = op_printf(op, "%s\n%s\n%" PRId64 "\n%s\n%s\n%s", j->nonce,
	    s->nonce.key_id, s->nonce.expires_unix, s->r.profile_id, s->kid,
	    j->jwk ? j->jwk->thumbprint : "");
	s->asked = gather_ask(req_api(op)->acme_requests, op, id);
	return op_park(op, op_left_ms(op), rows_read);
}

static enum op_next
check_nonce(struct op *op)
{
	struct state *s = state_of(op);
	struct nonces *n = req_api(op)->nonces;
	const char *text = s->r.jws->nonce;

	if (!text)
		return refuse_nonce(op, ACME_NONCE_MISSING, "nonce is missing");
	switch (nonces_check(n, text, &s->nonce)) {
	case NONCE_GOOD:
		return ask_rows(op);
	case NONCE_EXPIRED:
		return refuse_nonce(op, ACME_NONCE_EXPIRED, "nonce is too old");
	case NONCE_UNKNOWN:
		if (!s->has_waited && nonces_ask(n, op)) {
			s->has_waited = true;
			return op_park(op, KEYS_WAIT_MS, keys_read);
		}
		break;
	case NONCE_NONE:
		break;
	}
	return refuse_nonce(op, ACME_NONCE_UNKNOWN,
	    "nonce is none that this server made");
}

static enum op_next
keys_read(struct op *op)
{
	return check_nonce(op);
}

/* --- who has signed it --- */

static void
read_account(struct op *op, const struct db_result *rows, size_t i)
{
	struct acme_request *r = &state_of(op)->r;

	r->account_id = db_text_copy(op_arena(op), rows, i, "account_id");
	r->account_status = db_text_copy(op_arena(op), rows, i, "status");
	r->account_contact = db_text_copy(op_arena(op), rows, i, "contact");
	r->account_owner_id = db_text_copy(op_arena(op), rows, i, "owner_id");
	r->account_pem = db_text_copy(op_arena(op), rows, i, "jwk_pem");
	r->profile = db_text_copy(op_arena(op), rows, i, "profile");
}

/* RFC 8555 section 6.2: POST-as-GET has an empty payload, others an object. */
static rc
read_payload(struct op *op, const char **out_why)
{
	struct acme_request *r = &state_of(op)->r;
	const struct span *p = &r->jws->payload;
	rc ret;

	if (p->len == 0)
		return RC_OK;
	ret = json_parse(op_arena(op), (const char *)p->p, p->len, &r->payload,
	    out_why);
	if (ret == RC_OK && !cJSON_IsObject(r->payload)) {
		*out_why = "it is not an object";
		return RC_INVALID;
	}
	return ret;
}

/* The signature is good: what is wrong now may be told. */
static enum op_next
start_handler(struct op *op, const struct db_result *rows, size_t i)
{
	struct state *s = state_of(op);
	const char *why = "";
	enum op_next no;
	rc ret;

	if (s->r.jws->kid && strcmp(s->r.account_status, "valid") != 0)
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "the account is %s: make another one with a new key",
		    s->r.account_status);
	if (!acme_profile_read(op, rows, i, &s->r.settings, &no))
		return no;
	ret = read_payload(op, &why);
	if (ret != RC_OK)
		return acme_problem(op, ACME_MALFORMED,
		    "the payload cannot be read: %s", why);
	return s->next(op);
}

static enum op_next
check_signature(struct op *op, const struct db_result *rows, size_t i)
{
	struct acme_request *r = &state_of(op)->r;
	struct jose_refusal no;
	rc ret;

	r->key = r->jws->jwk;
	if (r->jws->kid) {
		if (!r->account_id)
			return acme_problem(op, ACME_ACCOUNT_DOES_NOT_EXIST,
			    "kid names an account that this profile has not: "
			    "ask new-account for the one that your key has");
		ret = jwk_from_pem(op_arena(op), r->account_pem, &r->key);
		if (ret != RC_OK)
			return op_fail(op, RC_INTERNAL, "%s", "");
	}
	ret = jws_verify(op_arena(op), r->jws, r->key, &no);
	if (ret != RC_OK)
		return acme_problem_jose(op, &no, "");
	return start_handler(op, rows, i);
}

/* The database knows the nonce's key no more, and so none of ours: whoever
 * used the nonce is forgotten.  The answer's nonce is by a key that it has. */
static enum op_next
refuse_forgotten(struct op *op)
{
	struct nonces *n = req_api(op)->nonces;

	nonces_forget(n);
	if (nonces_ask(n, op))
		return op_park(op, KEYS_WAIT_MS, keys_read_anew);
	return keys_read_anew(op);
}

static enum op_next
keys_read_anew(struct op *op)
{
	return refuse_nonce(op, ACME_NONCE_FORGOTTEN,
	    "nonce is not known any more");
}

static enum op_next
rows_read(struct op *op)
{
	struct state *s = state_of(op);
	const struct db_result *rows;
	const char *nonce;
	size_t i;
	rc ret;

	ret = gathered_row(s->asked, &rows, &i);
	if (ret != RC_OK)
		return op_fail(op, ret == RC_NOT_FOUND ? RC_INTERNAL : ret,
		    "%s", "");
	nonce = db_text(rows, i, db_col(rows, "nonce"));
	if (strcmp(nonce, "gone") == 0)
		return refuse_forgotten(op);
	if (strcmp(nonce, "fresh") != 0)
		return refuse_nonce(op, ACME_NONCE_USED,
		    "nonce was used before");
	read_account(op, rows, i);
	return check_signature(op, rows, i);
}

/* --- the beginning --- */

enum op_next
acme_signed(struct op *op, unsigned takes, op_step *next)
{
	struct state *s = state_of(op);
	struct jose_refusal why;
	const char *body;
	enum op_next no;
	size_t len;
	rc ret;

	s->takes = takes;
	s->next = next;
	if (!acme_is_on(op, &no))
		return no;
	s->r.profile_id = acme_profile(op);
	s->r.base = acme_base(op);
	if (!is_jose(op))
		return acme_problem_status(op, ACME_MALFORMED, 415,
		    "Content-Type must be " TYPE " (RFC 8555 section 6.2)");
	body = req_body(op, &len);
	ret = jws_parse(op_arena(op), body, len, &s->r.jws, &why);
	if (ret != RC_OK)
		return acme_problem_jose(op, &why, "");
	if (!s->r.jws->url ||
	    !is_url(s->r.jws->url, origin_of(op), req_target(op)))
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "url in the protected header must be the address that is "
		    "asked, %s%s",
		    origin_of(op), req_target(op));
	if (refuses_signer(op, &no))
		return no;
	return check_nonce(op);
}
