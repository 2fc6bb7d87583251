#include "apiserver/handlers/config/tests.h"

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "common/base/attr.h"

enum op_next
test_ask(struct op *op, enum query ask, enum query asked, op_step *next)
{
	const struct cJSON *body; /* nothing need stand there */
	const char *why, *id = req_param(op, "id");
	rc ret;

	ret = req_json(op, true, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);

	const char *asker[] = {id, page_actor(op), req_actor_type(op)};
	const struct db_stmt stmts[] = {
	    {ask, ARRAY_LEN(asker), asker},
	    {asked, 1, &id},
	};
	return op_batch(op, next, ARRAY_LEN(stmts), stmts);
}
