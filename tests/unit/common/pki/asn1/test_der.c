#include "common/pki/asn1/der.h"

#include "common/base/attr.h"
#include "tests/unit/check.h"

#define BYTES(text) ((struct span){(const uint8_t *)(text), sizeof(text) - 1})

static void
test_read(void)
{
	struct span in = BYTES("\x30\x08\x02\x01\x05\x03\x03\x00\xab\xcd");
	struct der top, seq;
	struct span s;
	bool bad = false;

	der_init(&top, in, &bad);
	seq = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	CHECK_INT(der_peek(&seq), DER_INTEGER);
	s = der_take(&seq, DER_INTEGER);
	CHECK_INT(s.len, 1);
	CHECK_INT(s.p[0], 5);
	s = der_take_bits(&seq);
	CHECK_INT(s.len, 2);
	CHECK_INT(s.p[0], 0xab);
	CHECK(!der_more(&seq));
	der_end(&seq);
	CHECK(!bad);
	s = der_take(&seq, DER_ANY);
	CHECK(bad);
	CHECK_INT(s.len, 0);
}

static bool
is_bad(struct span in, uint8_t tag)
{
	struct der d;
	bool bad = false;

	der_init(&d, in, &bad);
	(void)der_take(&d, tag);
	der_end(&d);
	return bad;
}

static void
test_refuse(void)
{
	static const char long_ok[131] = {0x04, (char)0x81, (char)0x80};

	CHECK(!is_bad(BYTES("\x04\x00"), DER_ANY));
	CHECK(!is_bad((struct span){(const uint8_t *)long_ok, 131},
	    DER_OCTET_STRING));
	CHECK(is_bad((struct span){NULL, 0}, DER_ANY));
	CHECK(is_bad(BYTES("\x04"), DER_ANY));             /* no length */
	CHECK(is_bad(BYTES("\x04\x02\x00"), DER_ANY));     /* too short */
	CHECK(is_bad(BYTES("\x04\x00\x00"), DER_ANY));     /* trailing */
	CHECK(is_bad(BYTES("\x04\x00"), DER_SEQUENCE));    /* other tag */
	CHECK(is_bad(BYTES("\x04\x80\x00\x00"), DER_ANY)); /* indefinite */
	CHECK(is_bad(BYTES("\x04\x81\x01\x00"), DER_ANY)); /* not minimal */
	CHECK(is_bad(BYTES("\x04\x82\x00\x81"), DER_ANY)); /* not minimal */
	CHECK(is_bad(BYTES("\x04\x84\xff\xff\xff\xff"), DER_ANY));
	CHECK(is_bad(BYTES("\x1f\x20\x00"), DER_ANY)); /* high tag number */
	CHECK(is_bad(BYTES("\x00\x00"), DER_ANY));     /* end of contents */
	CHECK(is_bad(BYTES("\x03\x00"), DER_SEQUENCE));
}

static void
test_values(void)
{
	CHECK(der_value_ok(DER_BOOLEAN, BYTES("\xff")));
	CHECK(!der_value_ok(DER_BOOLEAN, BYTES("\x01")));
	CHECK(!der_value_ok(DER_BOOLEAN, BYTES("")));
	CHECK(der_value_ok(DER_INTEGER, BYTES("\x00\x80")));
	CHECK(!der_value_ok(DER_INTEGER, BYTES("\x00\x7f")));
	CHECK(!der_value_ok(DER_INTEGER, BYTES("\xff\x80")));
	CHECK(!der_value_ok(DER_INTEGER, BYTES("")));
	CHECK(der_value_ok(DER_BIT_STRING, BYTES("\x07\x80")));
	CHECK(!der_value_ok(DER_BIT_STRING, BYTES("\x07\x81")));
	CHECK(!der_value_ok(DER_BIT_STRING, BYTES("\x01")));
	CHECK(!der_value_ok(DER_BIT_STRING, BYTES("\x08\x00")));
	CHECK(!der_value_ok(DER_NULL, BYTES("\x00")));
	CHECK(der_value_ok(DER_OID, BYTES("\x2a\x86\x48")));
	CHECK(!der_value_ok(DER_OID, BYTES("\x2a\x86")));
	CHECK(!der_value_ok(DER_OID, BYTES("\x2a\x80\x01")));
	CHECK(!der_value_ok(DER_OID, BYTES("")));
	CHECK(!der_value_ok(DER_UTF8 | 0x20, BYTES("\x0c\x00")));
	CHECK(!der_value_ok(0x10, BYTES("\x05\x00"))); /* not constructed */
	CHECK(der_value_ok(DER_SEQUENCE, BYTES("\x05\x00")));
	CHECK(!der_value_ok(0x50, BYTES("x"))); /* another class */
}

static void
test_write(void)
{
	static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 65535,
	    65536};
	static uint8_t room[70000], content[65536];

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct span in = {content, lengths[i]}, out, back;
		struct der_out w;
		struct der d;
		uint8_t *mark;
		bool bad = false;

		der_out_init(&w, room, sizeof(room));
		mark = der_mark(&w);
		der_put_value(&w, DER_OCTET_STRING, in);
		der_put_head(&w, DER_SEQUENCE, mark);
		out = der_out_span(&w);
		der_init(&d, out, &bad);
		d = der_enter(&d, DER_SEQUENCE);
		back = der_take(&d, DER_OCTET_STRING);
		der_end(&d);
		CHECK(!bad);
		CHECK_INT(back.len, lengths[i]);
		/* One octet less is too little, and says so. */
		der_out_init(&w, room, out.len - 1);
		mark = der_mark(&w);
		der_put_value(&w, DER_OCTET_STRING, in);
		der_put_head(&w, DER_SEQUENCE, mark);
		CHECK_INT(der_out_span(&w).len, 0);
		CHECK(w.failed);
	}
}

CHECK_MAIN(CHECK_ROW(test_read), CHECK_ROW(test_refuse), CHECK_ROW(test_values),
    CHECK_ROW(test_write))
