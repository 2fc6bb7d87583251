/*
 * agents: what the endpoints of agents share.
 */
#ifndef APISERVER_HANDLERS_AGENTS_AGENTS_H
#define APISERVER_HANDLERS_AGENTS_AGENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/field.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/json/json.h"
#include "common/op/op.h"

struct cJSON;

/* What an agent says of itself, besides its name. */
struct agent_text {
	const char *name;
	size_t max;
	bool (*is_valid)(const char *text); /* NULL: any plain text */
	const char *must_be;
};
enum { AGENT_HOSTNAME, AGENT_OS, AGENT_ARCHITECTURE, AGENT_IP, AGENT_VERSION };
#define AGENT_NTEXTS 5
extern const struct agent_text agent_texts[AGENT_NTEXTS];

/* *out is "" when the member is absent.  RC_INVALID with *out_why: it is too
 * long, holds what can't be seen, is blank, or is not what it must be. */
rc agent_text(struct op *op, const struct cJSON *body,
    const struct agent_text *text, const char **out,
    const char **out_why) MUST_CHECK;

/*
 * The member error of a report: what a program said, or the other side of a
 * handshake.  A report must not fail for it, so it is cut where it is too long,
 * and what can't be seen is shown as "?".  "" when there is none.
 * RC_INVALID, with *out_why: it is no text.
 */
rc agent_error_text(struct op *op, const struct cJSON *body, const char **out,
    const char **out_why) MUST_CHECK;
/* The same of another member. */
rc agent_words(struct op *op, const struct cJSON *body, const char *member,
    const char **out, const char **out_why) MUST_CHECK;

/* Whether a text is a digest of what an agent's targets serve. */
#define AGENT_DIGEST_MAX 64
bool agent_is_digest(const char *text);

/* The object as it is answered. */
extern const struct field agent_fields[];
extern const size_t agent_nfields;
/* The members of an agent object, from the first of the rows; the caller
 * opens and closes it. */
void agent_write(struct op *op, struct json_w *w, const struct db_result *rows);

/* The steps of routes.c. */
op_step agent_register_start;
op_step agent_list_start;
op_step agent_list_retired_start;
op_step agent_get_start;
op_step agent_retire_start;
op_step agent_work_start;
op_step agent_csr_start;
op_step agent_pickup_start;
op_step agent_report_start;
op_step agent_served_start;
op_step agent_tested_start;
op_step job_verify_start;
op_step job_verification_start;
op_step group_members_start;
op_step group_member_put_start;
op_step group_member_delete_start;

#endif
