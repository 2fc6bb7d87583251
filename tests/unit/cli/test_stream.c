/*
 * test_stream: server-sent events, taken apart.
 */
#include "cli/stream.h"

#include "common/base/attr.h"
#include "tests/unit/check.h"

static char taken[512];
static bool is_enough;

static bool
take(void *arg, const char *data)
{
	(void)arg;
	strncat(taken, data, sizeof(taken) - strlen(taken) - 1);
	strncat(taken, "|", sizeof(taken) - strlen(taken) - 1);
	return !is_enough;
}

static struct stream s;

static bool
give(const char *text)
{
	return stream_bytes(&s, text, strlen(text));
}

static void
begin(void)
{
	stream_fini(&s);
	stream_init(&s, take, NULL);
	stream_begin(&s);
	taken[0] = '\0';
	is_enough = false;
}

static void
events_come_with_their_ids(void)
{
	begin();
	CHECK(give("retry: 2000\nid: 1-a\n\n"));
	CHECK_STR(taken, "");
	CHECK_STR(s.last_id, "1-a");
	CHECK_INT(s.nblocks, 1);
	CHECK(give("id: 2-a\nevent: job\ndata: {\"a\""));
	CHECK_STR(s.last_id, "1-a"); /* the block is not whole */
	CHECK(give(":1}\n"));
	CHECK(give("\r\n"));
	CHECK_STR(taken, "{\"a\":1}|");
	CHECK_STR(s.last_id, "2-a");
	CHECK_INT(s.nblocks, 2);
	CHECK(give(": beat\n\n"));
	CHECK_STR(s.last_id, "2-a");
	CHECK_INT(s.nblocks, 3);
}

static void
lines_are_joined_and_fields_that_nobody_knows_passed_over(void)
{
	begin();
	CHECK(give("data: a\ndata:b\ndata:  c\nodd: d\ndata\n\n"));
	CHECK_STR(taken, "a\nb\n c\n|");
	CHECK(give("event: x\n\n\n\n"));
	CHECK_STR(taken, "a\nb\n c\n|");
}

/* Where it goes on stays; what had begun is forgotten. */
static void
another_answer_begins_anew(void)
{
	begin();
	CHECK(give("id: 1\n\nid: 2\ndata: half"));
	stream_begin(&s);
	CHECK(give("data: whole\n\n"));
	CHECK_STR(taken, "whole|");
	CHECK_STR(s.last_id, "1");
}

static void
what_is_not_ours_ends_it(void)
{
	static char id[STREAM_ID_MAX + 8], block[64 * 1024];
	bool goes_on = true;

	begin();
	memset(id, 'x', sizeof(id) - 1);
	CHECK(give("id: "));
	CHECK(give(id));
	CHECK(!give("\n"));
	CHECK_STR(s.last_id, "");
	begin();
	memset(block, 'x', sizeof(block) - 1);
	for (int i = 0; goes_on && i < 32; i++)
		goes_on = give(block);
	CHECK(!goes_on); /* a line without an end */
	begin();
	is_enough = true;
	CHECK(!give("data: a\n\ndata: b\n\n"));
	CHECK_STR(taken, "a|");
}

CHECK_MAIN(CHECK_ROW(events_come_with_their_ids),
    CHECK_ROW(lines_are_joined_and_fields_that_nobody_knows_passed_over),
    CHECK_ROW(another_answer_begins_anew), CHECK_ROW(what_is_not_ours_ends_it))
