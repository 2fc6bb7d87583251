/*
 * GET /api/v1/admin/scep/profiles, /admin/scep/intune/stats and
 * /admin/est/profiles; POST .../reload-trust.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/enrol/enrol.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/clock.h"

enum { PATH_ID_MAX = 128 };

static enum op_next
reply_none(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv_raw(w, "profiles", "[]");
	json_w_kv_int(w, "profile_count", 0);
	wiretime_kv_us(w, "generated_at", clock_wall_us());
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
scep_profiles(struct op *op)
{
	return reply_none(op);
}

enum op_next
scep_intune_stats(struct op *op)
{
	return reply_none(op);
}

enum op_next
est_profiles(struct op *op)
{
	return reply_none(op);
}

/* No body is the profile "", as the contract has it. */
static enum op_next
refuse_reload(struct op *op, const char *protocol)
{
	const char *path_id = NULL, *why;
	const struct cJSON *body;
	rc ret = req_json(op, true, &body, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	if (json_str(body, "path_id", PATH_ID_MAX, &path_id) == RC_INVALID)
		return op_fail(op, RC_INVALID,
		    "path_id must be text of at most %d bytes", PATH_ID_MAX);
	return op_fail(op, RC_NOT_FOUND,
	    "there is no %s profile \"%s\": this certctl serves no %s",
	    protocol, path_id ? path_id : "", protocol);
}

enum op_next
scep_intune_reload(struct op *op)
{
	return refuse_reload(op, "SCEP");
}

enum op_next
est_reload(struct op *op)
{
	return refuse_reload(op, "EST");
}

/* --- what the document says of it --- */

static const struct field reload_body[] = {
    {"path_id", FIELD_TEXT, .max = PATH_ID_MAX},
};

static const struct field profiles_fields[] = {
    {"profiles", FIELD_OBJECTS},
    {"profile_count", FIELD_INT},
    {"generated_at", FIELD_TIME},
};
/* Of no profile that there is yet. */
static const struct field reloaded_fields[] = {
    {"reloaded", FIELD_BOOL},
    {"path_id", FIELD_TEXT},
    {"reloaded_at", FIELD_TIME},
};

#define NO_PROFILES(what) \
	{ \
		.does = (what), .fields = SHAPE_TABLE(profiles_fields) \
	}
#define RELOAD(what) \
	{ \
		.does = (what), .has_body = true, .may_be_empty = true, \
		.body = {SHAPE_TABLE(reload_body)}, \
		.fields = SHAPE_TABLE(reloaded_fields) \
	}

const struct shape shape_scep_profiles = NO_PROFILES("List SCEP's profiles");
const struct shape shape_scep_intune_stats =
    NO_PROFILES("List SCEP's profiles with Intune");
const struct shape shape_est_profiles = NO_PROFILES("List EST's profiles");
const struct shape shape_scep_intune_reload =
    RELOAD("Read the trust anchors of Intune again");
const struct shape shape_est_reload =
    RELOAD("Read the trust anchors of an EST profile again");
