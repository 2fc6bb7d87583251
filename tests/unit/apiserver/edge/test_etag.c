/*
 * Which tags If-None-Match says a client holds.
 */
#include "apiserver/edge/etag.h"

#include "tests/unit/check.h"

#define TAG "\"0a1b\""

static void
test_one(void)
{
	CHECK(etag_list_has(TAG, TAG));
	CHECK(etag_list_has(" \t" TAG " ", TAG));
	CHECK(!etag_list_has("", TAG));
	CHECK(!etag_list_has("0a1b", TAG));
	CHECK(!etag_list_has("\"0A1B\"", TAG));
	CHECK(!etag_list_has("\"0a1b", TAG));
	CHECK(!etag_list_has("\"0a1", TAG));
	CHECK(!etag_list_has("\"0a1bc\"", TAG));
}

static void
test_weak(void)
{
	CHECK(!etag_list_has("W/" TAG, TAG));
	CHECK(!etag_list_has("w/" TAG, TAG));
	CHECK(etag_list_has("W/\"x\", " TAG, TAG));
	CHECK(etag_list_has("W/\"x\"", "W/\"x\""));
}

static void
test_list(void)
{
	CHECK(etag_list_has("\"x\"," TAG, TAG));
	CHECK(etag_list_has(TAG ",\"x\"", TAG));
	CHECK(etag_list_has(",, \"x\" ,\t" TAG " ,", TAG));
	/* A comma inside belongs to the tag. */
	CHECK(etag_list_has("\"a,b\", " TAG, TAG));
	CHECK(!etag_list_has("\"," TAG ",\"", TAG));
	/* What comes behind the list's end is none. */
	CHECK(!etag_list_has("\"x\" " TAG, TAG));
	CHECK(!etag_list_has("\"x\"; " TAG, TAG));
	CHECK(!etag_list_has("x, " TAG, TAG));
}

static void
test_any(void)
{
	CHECK(etag_list_has("*", TAG));
	CHECK(etag_list_has(" * ", TAG));
	CHECK(!etag_list_has("**", TAG));
	CHECK(!etag_list_has("*, " TAG, TAG));
	CHECK(!etag_list_has("\"x\", *", TAG));
}

CHECK_MAIN(CHECK_ROW(test_one), CHECK_ROW(test_weak), CHECK_ROW(test_list),
    CHECK_ROW(test_any))
