/*
 * Slots against a leader that the test plays itself: what is asked, when it
 * is asked again, and that a lease is never started twice or lost sight of.
 */
#include <stdio.h>
#include <string.h>

#include "common/bus/bus.h"
#include "common/op/op.h"
#include "tests/unit/check.h"
#include "worker/slots.h"

enum { ASKS_MAX = 32, OPS_MAX = 16 };

static struct {
	struct loop *loop;
	struct slots *slots;
	struct host_faults *host;
	uint64_t term; /* 0: no leader */
	/* requests */
	size_t nasks;
	struct {
		char body[512];
		bus_reply_fn *done;
		void *arg;
	} asks[ASKS_MAX];
	/* leases started */
	size_t nops;
	struct op *ops[OPS_MAX];
	struct grant grants[OPS_MAX];
	rc ended_with;
	int finished;
} t;

/* --- the bus --- */

uint64_t
bus_client_term(const struct bus_client *c)
{
	return t.term;
}

rc
bus_client_request(struct bus_client *c, const struct frame *f,
    int64_t timeout_ms, bus_reply_fn *done, void *arg)
{
	if (t.term == 0)
		return RC_UNAVAILABLE;
	CHECK_INT(f->kind, FRAME_WORK);
	CHECK(t.nasks < ASKS_MAX);
	snprintf(t.asks[t.nasks].body, sizeof(t.asks[0].body), "%.*s",
	    (int)f->body_len, f->body);
	t.asks[t.nasks].done = done;
	t.asks[t.nasks++].arg = arg;
	return RC_OK;
}

static void
answer(size_t i, const char *body)
{
	struct frame f = {
	    .kind = FRAME_WORK_REPLY,
	    .body = body,
	    .body_len = strlen(body),
	};

	CHECK(t.asks[i].done != NULL);
	t.asks[i].done(t.asks[i].arg, RC_OK, &f);
	t.asks[i].done = NULL;
}

static void
fail(size_t i, rc code)
{
	t.asks[i].done(t.asks[i].arg, code, NULL);
	t.asks[i].done = NULL;
}

/* --- the work: an op that waits for ever --- */

static enum op_next
work(struct op *op)
{
	return op_park(op, 3600000, work);
}

static void (*slots_on_end)(struct op *, rc, const char *);
static void (*slots_on_wait)(void *, bool);

static void
on_end(struct op *op, rc code, const char *message)
{
	t.ended_with = code;
	for (size_t i = 0; i < t.nops; i++)
		if (t.ops[i] == op)
			t.ops[i] = NULL;
	slots_on_end(op, code, message);
}

static struct op *
start(void *arg, const struct grant *g, const struct slot_end *end)
{
	struct op_env env = {
	    .loop = t.loop,
	    .deadline_ms = 3600000,
	    .name = "work",
	    .owner = end->owner,
	    .on_end = on_end,
	};

	slots_on_end = end->on_end;
	slots_on_wait = end->on_wait;
	t.grants[t.nops] = *g;
	t.ops[t.nops] = op_start(&env, work);
	return t.ops[t.nops++];
}

static void
on_finished(void *arg)
{
	t.finished++;
}

static void
on_host_change(void *arg)
{
	slots_host_changed(t.slots);
}

static void
rig_start_with(size_t cap, size_t waits_max)
{
	struct slots_opts opts = {
	    .incarnation = "worker-1",
	    .cap = cap,
	    .waits_max = waits_max,
	    .start = start,
	};
	rc code;

	memset(&t, 0, sizeof(t));
	t.loop = loop_new_sim(1000);
	t.term = 3;
	opts.host = t.host = host_faults_new(&(struct host_faults_opts){
	    .loop = t.loop,
	    .on_change = on_host_change,
	});
	opts.loop = t.loop;
	code = slots_new(&opts, &t.slots);
	CHECK_INT(code, RC_OK);
}

static void
rig_start(size_t cap)
{
	rig_start_with(cap, 0);
}

static void
rig_stop(void)
{
	slots_free(t.slots);
	host_faults_free(t.host);
	loop_sim_advance(t.loop, 1);
	loop_free(t.loop);
}

#define JOB(id) \
	"{\"id\":" id ",\"kind\":\"job\",\"issuer_id\":\"iss-1\",\"count\":5}"
#define REPLY(leases, revoked) \
	"{\"leases\":[" leases "],\"revoked\":[" revoked "],\"leader\":true}"

/* --- tests --- */

static void
test_asks_when_trusted_and_again_after_a_lease(void)
{
	rig_start(2);
	CHECK_INT(t.nasks, 0);
	slots_open(t.slots);
	CHECK_INT(t.nasks, 1);
	CHECK_STR(t.asks[0].body,
	    "{\"worker\":\"worker-1\",\"room\":2,\"holding\":[]}");
	loop_sim_advance(t.loop, 100);
	answer(0, REPLY(JOB("7"), ""));
	CHECK_INT(t.nops, 1);
	CHECK_INT(t.grants[0].lease_id, 7);
	CHECK(!t.grants[0].is_tasks);
	CHECK_INT(t.nasks, 2);
	CHECK_STR(t.asks[1].body,
	    "{\"worker\":\"worker-1\",\"room\":1,\"holding\":[7]}");
	answer(1, REPLY("{\"id\":8,\"kind\":\"task\",\"count\":1}", ""));
	CHECK(t.grants[1].is_tasks);
	CHECK_INT(slots_busy(t.slots), 2);
	loop_sim_advance(t.loop, 10000);
	CHECK_INT(t.nasks, 2); /* no room, nothing to ask for */
	op_abort(t.ops[0], RC_OK);
	CHECK_INT(t.nasks, 3);
	CHECK_STR(t.asks[2].body,
	    "{\"worker\":\"worker-1\",\"room\":1,\"holding\":[8]}");
	/* The second free slot waits for the answer under way. */
	op_abort(t.ops[1], RC_OK);
	CHECK_INT(t.nasks, 3);
	rig_stop();
}

static void
test_empty_answers(void)
{
	rig_start(1);
	slots_open(t.slots);
	/* A leader that waited: at once.  One that did not: not in a loop. */
	loop_sim_advance(t.loop, 1000);
	answer(0, REPLY("", ""));
	CHECK_INT(t.nasks, 2);
	answer(1, REPLY("", ""));
	CHECK_INT(t.nasks, 2);
	loop_sim_advance(t.loop, 251);
	CHECK_INT(t.nasks, 3);
	/* Not the leader, or not understood: later. */
	loop_sim_advance(t.loop, 1000);
	answer(2, "{\"leases\":[],\"revoked\":[],\"leader\":false}");
	CHECK_INT(t.nasks, 3);
	loop_sim_advance(t.loop, 251);
	CHECK_INT(t.nasks, 4);
	loop_sim_advance(t.loop, 1000);
	answer(3, "rubbish");
	CHECK_INT(t.nasks, 4);
	loop_sim_advance(t.loop, 251);
	CHECK_INT(t.nasks, 5);
	fail(4, RC_TIMEOUT);
	CHECK_INT(t.nasks, 6);
	rig_stop();
}

static void
test_no_leader(void)
{
	rig_start(1);
	t.term = 0;
	slots_open(t.slots);
	loop_sim_advance(t.loop, 2000);
	CHECK_INT(t.nasks, 0);
	t.term = 4;
	slots_leader_changed(t.slots);
	CHECK_INT(t.nasks, 1);
	rig_stop();
}

/* A new leader must know which pipe is ours even when all slots are taken. */
static void
test_full_worker_tells_a_new_leader(void)
{
	rig_start(1);
	slots_open(t.slots);
	answer(0, REPLY(JOB("7"), ""));
	CHECK_INT(t.nasks, 1);
	t.term = 4;
	slots_leader_changed(t.slots);
	CHECK_INT(t.nasks, 2);
	CHECK_STR(t.asks[1].body,
	    "{\"worker\":\"worker-1\",\"room\":0,\"holding\":[7]}");
	/* That one brings no lease: it does not hold the next one up. */
	op_abort(t.ops[0], RC_OK);
	CHECK_INT(t.nasks, 3);
	CHECK(strstr(t.asks[2].body, "\"room\":1") != NULL);
	answer(1, REPLY("", ""));
	loop_sim_advance(t.loop, 10);
	CHECK_INT(t.nasks, 3);
	answer(2, REPLY(JOB("9"), ""));
	CHECK_INT(t.nops, 2);
	rig_stop();
}

static void
test_lost_trust_drops_all(void)
{
	rig_start(2);
	slots_open(t.slots);
	answer(0, REPLY(JOB("7"), ""));
	CHECK_INT(t.nasks, 2);
	slots_drop(t.slots);
	CHECK_INT(slots_busy(t.slots), 0);
	CHECK_INT(t.ended_with, RC_LEASE_LOST);
	/* An answer to the worker we were starts nothing. */
	answer(1, REPLY(JOB("8"), ""));
	CHECK_INT(t.nops, 1);
	CHECK_INT(t.nasks, 2);
	slots_open(t.slots);
	CHECK_INT(t.nasks, 3);
	CHECK(strstr(t.asks[2].body, "\"holding\":[]") != NULL);
	rig_stop();
}

static void
test_revoked_lease_is_dropped(void)
{
	rig_start(2);
	slots_open(t.slots);
	answer(0, REPLY(JOB("7"), ""));
	answer(1, REPLY(JOB("8"), "7"));
	CHECK(t.ops[0] == NULL);
	CHECK(t.ops[1] != NULL);
	CHECK_INT(slots_busy(t.slots), 1);
	rig_stop();
}

static void
test_strange_leases_are_refused(void)
{
	rig_start(1);
	slots_open(t.slots);
	loop_sim_advance(t.loop, 500);
	answer(0, REPLY("{\"id\":-1,\"kind\":\"job\",\"issuer_id\":\"x\"},"
			"{\"id\":5,\"kind\":\"job\"},"
			"{\"id\":6,\"kind\":\"quest\"},7,"
			"{\"kind\":\"task\"}",
		      ""));
	CHECK_INT(t.nops, 0);
	/* Two with one slot: the second goes back by not being listed. */
	answer(1, REPLY(JOB("7") "," JOB("8"), ""));
	CHECK_INT(t.nops, 1);
	CHECK_INT(t.grants[0].lease_id, 7);
	rig_stop();
}

static void
test_finish(void)
{
	rig_start(2);
	slots_open(t.slots);
	answer(0, REPLY(JOB("7"), ""));
	answer(1, REPLY(JOB("8"), ""));
	slots_finish(t.slots, 5000, on_finished, NULL);
	op_abort(t.ops[0], RC_OK);
	CHECK_INT(t.nasks, 2); /* asks no more */
	loop_sim_advance(t.loop, 4999);
	CHECK_INT(t.finished, 0);
	loop_sim_advance(t.loop, 2);
	CHECK_INT(t.ended_with, RC_CANCELLED);
	CHECK_INT(t.finished, 1);
	rig_stop();

	rig_start(1);
	slots_open(t.slots);
	slots_finish(t.slots, 5000, on_finished, NULL);
	CHECK_INT(t.finished, 0);
	loop_sim_advance(t.loop, 1);
	CHECK_INT(t.finished, 1);
	rig_stop();
}

/* What waits outside takes no slot, up to a number of its own. */
static void
test_waiting_takes_no_slot(void)
{
	rig_start_with(1, 2);
	slots_open(t.slots);
	answer(0, REPLY(JOB("7"), ""));
	CHECK_INT(t.nasks, 1);
	slots_on_wait(op_owner(t.ops[0]), true);
	CHECK_INT(slots_waiting(t.slots), 1);
	CHECK_INT(t.nasks, 2);
	CHECK_STR(t.asks[1].body,
	    "{\"worker\":\"worker-1\",\"room\":1,\"holding\":[7]}");
	answer(1, REPLY(JOB("8"), ""));
	slots_on_wait(op_owner(t.ops[1]), true);
	answer(2, REPLY(JOB("9"), ""));
	/* All three are taken. */
	slots_on_wait(op_owner(t.ops[2]), true);
	CHECK_INT(slots_busy(t.slots), 3);
	CHECK_INT(t.nasks, 3);
	/* Two are back: more work than slots, and nothing is asked for. */
	slots_on_wait(op_owner(t.ops[0]), false);
	slots_on_wait(op_owner(t.ops[1]), false);
	op_abort(t.ops[1], RC_OK);
	CHECK_INT(t.nasks, 3);
	op_abort(t.ops[0], RC_OK);
	CHECK_INT(t.nasks, 4);
	CHECK_STR(t.asks[3].body,
	    "{\"worker\":\"worker-1\",\"room\":1,\"holding\":[9]}");
	/* One that ends while it waits counts no more either. */
	op_abort(t.ops[2], RC_OK);
	CHECK_INT(slots_waiting(t.slots), 0);
	CHECK_INT(slots_busy(t.slots), 0);
	rig_stop();
}

/* What the host cannot do is not asked for, from that moment on. */
static void
test_asks_without_what_the_host_cannot_do(void)
{
	rig_start(1);
	slots_open(t.slots);
	host_fault_raise(t.host, HOST_JOURNAL, "iss-1", "full");
	CHECK_INT(t.nasks, 2);
	CHECK_STR(t.asks[1].body,
	    "{\"worker\":\"worker-1\",\"room\":1,\"holding\":[],"
	    "\"without\":[\"iss-1\"]}");
	/* The leader frees what it gave in answer to the older one. */
	answer(0, REPLY(JOB("7"), ""));
	CHECK_INT(t.nops, 0);
	host_fault_raise(t.host, HOST_CLOCK, "", "a day behind");
	CHECK_INT(t.nasks, 3);
	CHECK_STR(t.asks[2].body,
	    "{\"worker\":\"worker-1\",\"room\":0,\"holding\":[],"
	    "\"without\":[\"iss-1\"]}");
	host_fault_clear(t.host, HOST_JOURNAL, "iss-1");
	host_fault_clear(t.host, HOST_CLOCK, "");
	CHECK_INT(t.nasks, 5);
	CHECK_STR(t.asks[4].body,
	    "{\"worker\":\"worker-1\",\"room\":1,\"holding\":[]}");
	answer(4, REPLY(JOB("8"), ""));
	CHECK_INT(t.nops, 1);
	rig_stop();
}

CHECK_MAIN(CHECK_ROW(test_waiting_takes_no_slot),
    CHECK_ROW(test_asks_without_what_the_host_cannot_do),
    CHECK_ROW(test_asks_when_trusted_and_again_after_a_lease),
    CHECK_ROW(test_empty_answers), CHECK_ROW(test_no_leader),
    CHECK_ROW(test_full_worker_tells_a_new_leader),
    CHECK_ROW(test_lost_trust_drops_all),
    CHECK_ROW(test_revoked_lease_is_dropped),
    CHECK_ROW(test_strange_leases_are_refused), CHECK_ROW(test_finish))
