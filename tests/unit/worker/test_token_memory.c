/*
 * test_token_memory: what is kept, for how long, and what makes room.
 */
#include <string.h>

#include "common/loop/loop.h"
#include "tests/unit/check.h"
#include "worker/issuers/token_memory.h"

#define MANY 70

static struct arena *arena;
static struct loop *loop;
static struct token_memory *memory;

static const char *
key(int n)
{
	return arena_printf(arena, "%064d", n);
}

static void
test_it_is_kept_by_its_key(void)
{
	CHECK(token_memory_get(memory, arena, key(1)) == NULL);
	token_memory_keep(memory, key(1), "one", 60);
	token_memory_keep(memory, key(2), "two", 60);
	CHECK_STR(token_memory_get(memory, arena, key(1)), "one");
	CHECK_STR(token_memory_get(memory, arena, key(2)), "two");
	token_memory_keep(memory, key(1), "another", 60);
	CHECK_STR(token_memory_get(memory, arena, key(1)), "another");
	token_memory_forget(memory, key(1));
	token_memory_forget(memory, key(3));
	CHECK(token_memory_get(memory, arena, key(1)) == NULL);
	CHECK_STR(token_memory_get(memory, arena, key(2)), "two");
}

static void
test_what_ends_now_is_not_kept(void)
{
	token_memory_keep(memory, key(1), "one", 0);
	token_memory_keep(memory, key(2), "two", -200);
	token_memory_keep(memory, "no key of ours", "three", 60);
	CHECK(token_memory_get(memory, arena, key(1)) == NULL);
	CHECK(token_memory_get(memory, arena, key(2)) == NULL);
	CHECK(token_memory_get(memory, arena, "no key of ours") == NULL);
	CHECK(token_memory_get(memory, arena, "") == NULL);
}

static void
test_what_ends_first_makes_room(void)
{
	int known = 0;

	for (int n = 0; n < MANY; n++)
		token_memory_keep(memory, key(n), "a token", 1000 + n);
	for (int n = 0; n < MANY; n++)
		known += token_memory_get(memory, arena, key(n)) != NULL;
	CHECK_INT(known, 64);
	CHECK(token_memory_get(memory, arena, key(MANY - 65)) == NULL);
	CHECK(token_memory_get(memory, arena, key(MANY - 64)) != NULL);
}

static void
test_it_ends(void)
{
	token_memory_keep(memory, key(1), "one", 60);
	loop_sim_advance(loop, 59999);
	CHECK_STR(token_memory_get(memory, arena, key(1)), "one");
	loop_sim_advance(loop, 1);
	CHECK(token_memory_get(memory, arena, key(1)) == NULL);
}

static void
with_memory(void (*test)(void))
{
	arena = arena_new();
	loop = loop_new_sim(1000);
	memory = token_memory_new(loop);
	test();
	token_memory_free(memory);
	token_memory_free(NULL);
	loop_free(loop);
	arena_free(arena);
}

static void
test_keys(void)
{
	with_memory(test_it_is_kept_by_its_key);
}

static void
test_ends(void)
{
	with_memory(test_what_ends_now_is_not_kept);
}

static void
test_end(void)
{
	with_memory(test_it_ends);
}

static void
test_room(void)
{
	with_memory(test_what_ends_first_makes_room);
}

CHECK_MAIN(CHECK_ROW(test_keys), CHECK_ROW(test_ends), CHECK_ROW(test_end),
    CHECK_ROW(test_room))
