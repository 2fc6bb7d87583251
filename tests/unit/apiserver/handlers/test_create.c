#include <stdlib.h>
#include <string.h>

#include "apiserver/handlers/certificates/certs.h"
#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

static const struct route route = {"POST", "/api/v1/certificates",
    "certificate.write", cert_create, ROUTE_NO_EVENT};

#define COLUMNS \
	"id|name|common_name|sans|environment|owner_id|team_id|issuer_id|" \
	"renewal_policy_id|target_ids|certificate_profile_id|status|" \
	"expires_at|tags|last_renewal_at|last_deployment_at|revoked_at|" \
	"revocation_reason|created_at|updated_at|source|needs_renewal|" \
	"deployment_status|reason|auto_renew"
#define MADE(id) \
	id "|" id "|c.test|[]||o|t|i|r|[]|\\N|Pending|\\N|{}|\\N|\\N|\\N|\\N|" \
	   "2026-01-01 00:00:00|2026-01-01 00:00:00||\\N|\\N|\\N|t"

static void
post(struct fixture *f, const char *name, struct answer *answer)
{
	char body[512];

	(void)snprintf(body, sizeof(body),
	    "{\"name\":\"%s\",\"common_name\":\"c.test\",\"owner_id\":\"o\","
	    "\"team_id\":\"t\",\"issuer_id\":\"i\",\"renewal_policy_id\":"
	    "\"r\"}",
	    name);
	fixture_request(f, &route, "POST", "/api/v1/certificates", body,
	    answer);
}

/* Of bodies: the names in the order that they came in. */
static void
expect_many(struct fixture *f, const char *names)
{
	char all[256];

	(void)snprintf(all, sizeof(all), "{%s}|*|*", names);
	db_script_expect(f->db, Q_CERT_CREATE_MANY, all);
}

static void
expect_alone(struct fixture *f, const char *body)
{
	char all[256];

	(void)snprintf(all, sizeof(all), "%s|ops|APIKey", body);
	db_script_expect(f->db, Q_CERT_CREATE, all);
}

/* What one turn reads goes together, and each hears of its own. */
static void
test_goes_together(void)
{
	struct answer a[3];
	struct fixture f;

	fixture_init(&f);
	expect_many(&f, "*\"a\\\\\"*\"b\\\\\"*\"c\\\\\"*");
	db_script_rows(f.db, "n|" COLUMNS,
	    "2|" MADE("b") "\n3|" MADE("c") "\n1|" MADE("a"));
	post(&f, "a", &a[0]);
	post(&f, "b", &a[1]);
	post(&f, "c", &a[2]);
	loop_sim_advance(f.api.loop, 0);
	for (int i = 0; i < 3; i++) {
		char id[] = "{\"id\":\"a\"";

		id[7] = (char)('a' + i);
		CHECK_INT(a[i].status, 201);
		CHECK(strncmp(a[i].body, id, strlen(id)) == 0);
	}
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* What came while two are on their way waits for one of them. */
static void
test_next_batch_waits(void)
{
	struct answer a[4];
	struct fixture f;

	fixture_init(&f);
	for (int i = 0; i < 4; i++) {
		if (i < 3) {
			expect_many(&f, "*");
			db_script_rows(f.db, "n|" COLUMNS,
			    i < 2 ? "1|" MADE("a")
				  : "1|" MADE("c") "\n2|" MADE("d"));
			db_script_after(f.db, i < 2 ? 10 + i : 0);
		}
		post(&f, "x", &a[i]);
		loop_sim_advance(f.api.loop, 0);
	}
	CHECK_INT((int)db_script_in_flight(f.db), 2);
	loop_sim_advance(f.api.loop, 10);
	CHECK_INT(a[0].status, 201);
	CHECK_INT(a[1].status, 0);
	CHECK_INT(a[2].status, 201);
	CHECK_INT(a[3].status, 201);
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT(a[1].status, 201);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* A name that is there already makes no row, and says so by itself. */
static void
test_taken(void)
{
	struct answer a[2];
	struct fixture f;

	fixture_init(&f);
	expect_many(&f, "*");
	db_script_rows(f.db, "n|" COLUMNS, "2|" MADE("b"));
	expect_alone(&f, "*\"a\"*");
	db_script_error(f.db, "23505", "duplicate key",
	    "managed_certificates_name_key");
	post(&f, "a", &a[0]);
	post(&f, "b", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 409);
	CHECK(strstr(a[0].body, "with this name already exists") != NULL);
	CHECK_INT(a[1].status, 201);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

static void
refuse(struct fixture *f, const char *names)
{
	expect_many(f, names);
	db_script_error(f->db, "23503", "no owner",
	    "managed_certificates_owner_id_fkey");
}

/* One of three that refers to nothing: halves, until it stands alone. */
static void
test_one_is_refused(void)
{
	struct answer a[3];
	struct fixture f;

	fixture_init(&f);
	refuse(&f, "*\"a\\\\\"*\"b\\\\\"*\"c\\\\\"*");
	refuse(&f, "*\"a\\\\\"*\"b\\\\\"*");
	expect_many(&f, "*\"c\\\\\"*");
	db_script_rows(f.db, "n|" COLUMNS, "1|" MADE("c"));
	expect_many(&f, "*\"a\\\\\"*");
	db_script_rows(f.db, "n|" COLUMNS, "1|" MADE("a"));
	refuse(&f, "*\"b\\\\\"*");
	expect_alone(&f, "*\"b\"*");
	db_script_error(f.db, "23503", "no owner",
	    "managed_certificates_owner_id_fkey");
	post(&f, "a", &a[0]);
	post(&f, "b", &a[1]);
	post(&f, "c", &a[2]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 201);
	CHECK_INT(a[1].status, 400);
	CHECK(strstr(a[1].body, "owner_id: what it refers to does not exist") !=
	      NULL);
	CHECK_INT(a[2].status, 201);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* Each may wait for by itself what somebody holds. */
static void
test_held(void)
{
	struct answer a[2];
	struct fixture f;

	fixture_init(&f);
	expect_many(&f, "*");
	db_script_error(f.db, "55P03", "lock timeout", NULL);
	expect_alone(&f, "*\"a\"*");
	db_script_rows(f.db, COLUMNS, MADE("a"));
	expect_alone(&f, "*\"b\"*");
	db_script_error(f.db, "55P03", "lock timeout", NULL);
	post(&f, "a", &a[0]);
	post(&f, "b", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 201);
	CHECK_INT(a[1].status, 503);
	CHECK(strstr(a[1].body, OP_HELD_WORDS) != NULL);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* Whether they were made is not known: nothing is asked again. */
static void
test_lost_connection(void)
{
	struct answer a[2];
	struct fixture f;

	fixture_init(&f);
	expect_many(&f, "*");
	db_script_error(f.db, "", "gone", NULL);
	post(&f, "a", &a[0]);
	post(&f, "b", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(a[i].status, 503);
		CHECK_INT(a[i].code, RC_UNAVAILABLE);
	}
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* Clients that go: one that waits is not made, one on its way harms nobody. */
static void
test_clients_go(void)
{
	struct answer a[5];
	struct fixture f;

	fixture_init(&f);
	for (int i = 0; i < 2; i++) {
		expect_many(&f, "*");
		db_script_rows(f.db, "n|" COLUMNS,
		    i == 0 ? "1|" MADE("a") : "1|" MADE("b") "\n2|" MADE("c"));
		db_script_after(f.db, 10);
	}
	expect_many(&f, "*\"e\\\\\"*");
	db_script_rows(f.db, "n|" COLUMNS, "1|" MADE("e"));
	post(&f, "a", &a[0]);
	loop_sim_advance(f.api.loop, 0);
	post(&f, "b", &a[1]);
	post(&f, "c", &a[2]);
	loop_sim_advance(f.api.loop, 0);
	post(&f, "d", &a[3]);
	post(&f, "e", &a[4]);
	loop_sim_advance(f.api.loop, 0);
	op_abort(a[1].op, RC_PEER_GONE);
	op_abort(a[3].op, RC_PEER_GONE);
	loop_sim_advance(f.api.loop, 10);
	CHECK_INT(a[0].status, 201);
	CHECK_INT(a[2].status, 201);
	CHECK(strncmp(a[2].body, "{\"id\":\"c\"", 9) == 0);
	CHECK_INT(a[4].status, 201);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

CHECK_MAIN(CHECK_ROW(test_goes_together), CHECK_ROW(test_next_batch_waits),
    CHECK_ROW(test_taken), CHECK_ROW(test_one_is_refused), CHECK_ROW(test_held),
    CHECK_ROW(test_lost_connection), CHECK_ROW(test_clients_go))
