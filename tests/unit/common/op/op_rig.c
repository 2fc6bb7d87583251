#include "tests/unit/common/op/op_rig.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/check.h"

struct loop *loop;
struct db_pool *pool;
char trace[256]; /* what the steps did */
int ends;        /* calls of on_end */
rc end_code;
char end_message[256];

void
mark(const char *what)
{
	size_t len = strlen(trace);

	(void)snprintf(trace + len, sizeof(trace) - len, "%s ", what);
}

void
on_end(struct op *op, rc code, const char *message)
{
	ends++;
	end_code = code;
	(void)snprintf(end_message, sizeof(end_message), "%s", message);
	mark("end");
}

void
begin(void)
{
	/* What a test before this one left when it failed. */
	db_pool_free(pool);
	loop_free(loop);
	loop = loop_new_sim(5000);
	pool = db_script_new(loop);
	trace[0] = '\0';
	ends = 0;
	end_code = RC_COUNT;
	end_message[0] = '\0';
}

struct op *
start(op_step *first)
{
	struct op_env env = {
	    .loop = loop,
	    .pool = pool,
	    .deadline_ms = 1000,
	    .name = "test",
	    .owner = &ends,
	    .on_end = on_end,
	};

	return op_start(&env, first);
}

/* Nothing is left to happen, and the script was followed. */
void
end(void)
{
	loop_sim_advance(loop, 100000);
	CHECK(db_script_is_done(pool));
	CHECK_INT(ends, 1);
	db_pool_free(pool);
	loop_free(loop);
	pool = NULL;
	loop = NULL;
}

enum op_next
not_reached(struct op *op)
{
	mark("not-reached");
	return op_done(op);
}

enum op_next
ask(struct op *op)
{
	mark("ask");
	return OP_QUERY0(op, Q_PING, not_reached);
}

enum op_next
done_at_once(struct op *op)
{
	return op_done(op);
}
