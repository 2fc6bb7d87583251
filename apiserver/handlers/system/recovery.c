/*
 * GET /api/v1/admin/recovery: what the workers' journals hold, or agents serve,
 * and the database does not know, and what would be done with each; POST: does
 * it (20_recover.sql).
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"

/* What a job of before the backup ends with whose certificate is put back. */
#define JOB_PUT_BACK \
	"the database was restored from before this job's end; certctl " \
	"recover put the certificate that it made back from a worker's " \
	"journal"

/* Why a serial is not put back, by the words of the view recovery. */
#define WHY_WORDS_JSON \
	"{\"unknown_issuer\":\"its issuer is unknown to the database\"," \
	"\"no_leaf\":\"the journal does not hold the certificate\"," \
	"\"was_revoked\":\"a revocation list that was published has it\"," \
	"\"other_ca\":\"it was signed by another certificate of the CA " \
	"than the database has\"," \
	"\"superseded\":\"its job made another certificate later\"," \
	"\"ended\":\"its certificate is revoked or archived\"," \
	"\"no_row\":\"its certificate is unknown to the database, and " \
	"so is its owner, team or renewal policy\"," \
	"\"name_taken\":\"its certificate is unknown to the database, " \
	"and another has its name\"," \
	"\"served\":\"an agent serves it, and no journal that was read " \
	"has it\"}"

static const struct field ahead_fields[] = {
    {"issuer_id", FIELD_TEXT},
    {"serial_number", FIELD_TEXT},
    {"job_id", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"is_certificate_known", FIELD_BOOL},
    {"journalled_at", FIELD_TIME},
    {"host", FIELD_TEXT},
    {"outcome", FIELD_TEXT},
    {"reason", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"target_id", FIELD_TEXT, FIELD_OMIT_EMPTY}, /* where it is served */
    {"agent_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

static const struct field done_fields[] = {
    {"serials", FIELD_INT},
    {"reentered", FIELD_INT},
    {"recreated", FIELD_INT},
    {"revoked", FIELD_INT},
    {"unknown_issuer", FIELD_INT},
    {"renewed", FIELD_INT},
    {"gap_from", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"gap_to", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"unknown_agents", FIELD_TEXTS},
    {"unknown_targets", FIELD_TEXTS},
    {"outside_issuers", FIELD_TEXTS},
    {"taken_targets", FIELD_TEXTS},
    {"served_unknown", FIELD_TEXTS},
    {"epoch", FIELD_INT},
    {"copy_at", FIELD_TIME, FIELD_OMIT_EMPTY},
};

static op_step recovery_done;
static op_step recover_done;

enum op_next
admin_recovery_start(struct op *op)
{
	static const char *const words[] = {WHY_WORDS_JSON};
	static const struct db_stmt stmts[] = {
	    {Q_ADMIN_RECOVERY, 1, words},
	    {Q_ADMIN_RECOVERY_TOTAL, 0, NULL},
	};

	return op_batch(op, recovery_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
recovery_done(struct op *op)
{
	int64_t n = (int64_t)db_nrows(op_result(op, 0));
	const struct page all = {.page = 1, .per_page = n, .size = n};

	return page_reply(op, &all, ahead_fields, ARRAY_LEN(ahead_fields), NULL,
	    op_result(op, 1));
}

enum op_next
admin_recover_start(struct op *op)
{
	return OP_QUERY(op, Q_ADMIN_RECOVER, recover_done, page_actor(op),
	    req_actor_type(op), JOB_PUT_BACK);
}

static enum op_next
recover_done(struct op *op)
{
	if (op_i64(op, 0, "serials") == 0 &&
	    strcmp(op_text(op, 0, "served_unknown"), "[]") == 0)
		return op_fail(op, RC_CONFLICT,
		    "there is nothing to recover: the database knows all that "
		    "the workers' journals hold and the agents serve");
	return page_reply_one(op, 200, done_fields, ARRAY_LEN(done_fields));
}

/* --- what the document says of it --- */

const struct shape shape_admin_recovery_start = {
    .does = "Tell of a database that was restored",
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(ahead_fields),
};
const struct shape shape_admin_recover_start = {
    .does = "End a database's recovery",
    .fields = SHAPE_TABLE(done_fields),
};
