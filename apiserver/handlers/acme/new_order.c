/*
 * POST new-order: an order for identifiers (RFC 8555 section 7.4).
 */
#include <inttypes.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/identifiers.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/signed.h"
#include "apiserver/live/gather.h"
#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/pki/cert/certid.h"
#include "common/pki/profile/certprofile.h"

enum { REPLACES_MAX = 512, DAY_MS = 24 * 3600 * 1000 };

/* Between what the statement is told of an order, and between its names: in
 * none of it, for a name or an identifier of a certificate has no control
 * characters. */
#define SEPARATOR "\x1f"
#define BETWEEN "\x1e"

struct ordering {
	struct acme_identifiers ids;
	const char *replaces; /* NULL: nothing */
	struct certid replaced;
};

static op_step new_order_signed;
static op_step replaced_read;
static op_step new_order_made;

static struct ordering *
state_of(struct op *op)
{
	return acme_state(op, sizeof(struct ordering));
}

enum op_next
acme_new_order_start(struct op *op)
{
	return acme_signed(op, ACME_KID, new_order_signed);
}

/* The validity of a certificate is its profile's. */
static const char *
fault_of(struct arena *a, const struct cJSON *payload, struct ordering *out)
{
	rc ret;

	if (json_get(payload, "notBefore") || json_get(payload, "notAfter"))
		return "notBefore and notAfter are not taken: the profile says "
		       "how long certificates live; leave them away";
	ret = json_str(payload, "replaces", REPLACES_MAX, &out->replaces);
	if (ret == RC_OK)
		ret = certid_parse(a, out->replaces, &out->replaced);
	return ret == RC_INVALID ? "replaces must be the identifier of a "
				   "certificate (RFC 9773 section 4.1)"
				 : NULL;
}

/* How long something lives, by a setting whose 0 stands for a day. */
static int64_t
life(struct op *op, const char *name)
{
	int64_t ms = cfg_int(req_api(op)->cfg, name);

	return ms > 0 ? ms : (int64_t)DAY_MS;
}

static const char *
join(struct op *op, const char *const *list, size_t n)
{
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add(&b, BETWEEN, 1);
		buf_add(&b, list[i], strlen(list[i]));
	}
	return arena_strdup(op_arena(op), buf_cstr(&b));
}

/* With what others order at the same time. */
static enum op_next
make_order(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	const struct ordering *o = state_of(op);
	const char *asked;

	asked = op_printf(op,
	    "%s" SEPARATOR "%s" SEPARATOR "%s" SEPARATOR "%s" SEPARATOR
	    "%s" SEPARATOR "%s" SEPARATOR "%d" SEPARATOR "%" PRId64 SEPARATOR
	    "%" PRId64 SEPARATOR "%" PRId64 SEPARATOR "%" PRId64,
	    r->account_id, r->profile_id, join(op, o->ids.types, o->ids.n),
	    join(op, o->ids.values, o->ids.n), o->ids.key,
	    o->replaces ? o->replaces : "", !r->settings.is_challenged,
	    life(op, "acme_server_order_ttl"),
	    life(op, "acme_server_authz_ttl"), r->settings.orders_per_hour,
	    r->settings.concurrent_orders);
	return gather_query(req_api(op)->acme_creates, op, asked,
	    new_order_made);
}

static enum op_next
new_order_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	struct ordering *o = state_of(op);
	struct certprofile profile;
	const char *why, *serial[1];
	enum op_next no;
	rc ret;

	if (!r->payload)
		return acme_problem(op, ACME_MALFORMED,
		    "the payload of new-order must be an object with "
		    "identifiers");
	why = fault_of(op_arena(op), r->payload, o);
	if (why)
		return acme_problem(op, ACME_MALFORMED, "%s", why);
	ret = certprofile_read(op_arena(op), r->profile, &profile, &why);
	if (ret != RC_OK)
		return acme_problem(op, ACME_SERVER_INTERNAL,
		    "the profile cannot be read; tell whoever runs this "
		    "server");
	if (!acme_identifiers_read(op, r->payload, &profile, &o->ids, &no))
		return no;
	if (!o->replaces)
		return make_order(op);
	serial[0] = o->replaced.serial_hex;
	return OP_QUERY(op, Q_ACME_RENEWAL_INFO, replaced_read,
	    db_text_array(op_arena(op), serial, 1));
}

/* What acme_replaces refuses, and the account's end. */
enum { UNKNOWN };
static const struct {
	const char *word;
	enum acme_error error;
	const char *text;
} refusals[] = {
    [UNKNOWN] = {"unknown", ACME_MALFORMED,
	"replaces names no certificate that this account was issued: leave "
	"it away"},
    {"unrelated", ACME_MALFORMED,
	"replaces names a certificate for none of the order's names: leave it "
	"away"},
    {"replaced", ACME_ALREADY_REPLACED,
	"another order of the account replaces that certificate already: "
	"finalize that, or leave replaces away"},
    {"ended", ACME_UNAUTHORIZED,
	"the account was deactivated meanwhile: make another one with a new "
	"key"},
};

/* The database knows the serial; whose CA signed, the certificate says.  Whose
 * it is and for what names, acme_replaces looks at. */
static enum op_next
replaced_read(struct op *op)
{
	struct certid found;
	rc ret;

	for (size_t i = 0; i < op_rows(op); i++) {
		ret =
		    certid_of_pem(op_arena(op), op_text(op, i, "pem"), &found);
		if (ret == RC_OK &&
		    certid_equal(&state_of(op)->replaced, &found))
			return make_order(op);
	}
	return acme_problem(op, refusals[UNKNOWN].error, "%s",
	    refusals[UNKNOWN].text);
}

static enum op_next
new_order_made(struct op *op)
{
	const char *wait_s = op_text(op, 0, "wait_s");

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if (outcome_is(op, refusals[i].word))
			return acme_problem(op, refusals[i].error, "%s",
			    refusals[i].text);
	if (!outcome_is(op, "created"))
		acme_retry_after(op, wait_s);
	if (outcome_is(op, "open"))
		return acme_limited(op, ACME_LIMIT_OPEN_ORDERS,
		    "the account has as many orders open as it may have; "
		    "finalize them, or come back later");
	if (outcome_is(op, "limited"))
		return acme_limited(op, ACME_LIMIT_ORDERS,
		    "the account has placed as many orders as it may in an "
		    "hour; the next may be placed in %s seconds",
		    wait_s);
	reply_header(op, "Location",
	    acme_url(op, "order", op_text(op, 0, "order_id")));
	return acme_reply_order(op, 201);
}
