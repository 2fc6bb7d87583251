/*
 * GET /api/v1/admin/processes: every process of every host, from their rows.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"

enum { APISERVERS, SCHEDULERS, WORKERS, LEADER, DATABASE, NSTATEMENTS };

static op_step processes_done;

enum op_next
admin_processes_start(struct op *op)
{
	static const struct db_stmt stmts[NSTATEMENTS] = {
	    [APISERVERS] = {Q_ADMIN_APISERVERS, 0, NULL},
	    [SCHEDULERS] = {Q_ADMIN_SCHEDULERS, 0, NULL},
	    [WORKERS] = {Q_ADMIN_WORKERS, 0, NULL},
	    [LEADER] = {Q_ADMIN_LEADER, 0, NULL},
	    [DATABASE] = {Q_ADMIN_DATABASE, 0, NULL},
	};

	return op_batch(op, processes_done, NSTATEMENTS, stmts);
}

static void
write_texts(struct json_w *w, const struct db_result *r, size_t row,
    const char *const *names)
{
	for (size_t i = 0; names[i]; i++)
		json_w_kv(w, names[i], db_text(r, row, db_col(r, names[i])));
}

/* "" for one that is not known. */
static void
write_times(struct json_w *w, const struct db_result *r, size_t row,
    const char *const *names)
{
	char text[WIRETIME_SIZE];

	for (size_t i = 0; names[i]; i++) {
		text[0] = '\0';
		if (!db_is_null(r, row, db_col(r, names[i])))
			wiretime_text(db_text(r, row, db_col(r, names[i])),
			    text);
		json_w_kv(w, names[i], text);
	}
}

static void
write_numbers(struct json_w *w, const struct db_result *r, size_t row,
    const char *const *names)
{
	for (size_t i = 0; names[i]; i++)
		json_w_kv_int(w, names[i], db_i64(r, row, db_col(r, names[i])));
}

static void
write_rows(struct json_w *w, const char *key, const struct db_result *r,
    const char *const *texts, const char *const *times,
    const char *const *numbers)
{
	json_w_key(w, key);
	json_w_open(w, '[');
	for (size_t i = 0; i < db_nrows(r); i++) {
		json_w_open(w, '{');
		write_texts(w, r, i, texts);
		write_times(w, r, i, times);
		write_numbers(w, r, i, numbers);
		json_w_kv_bool(w, "alive", db_bool(r, i, db_col(r, "alive")));
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static void
write_one(struct json_w *w, const char *key, const struct db_result *r,
    const char *const *texts, const char *const *times,
    const char *const *numbers)
{
	json_w_key(w, key);
	json_w_open(w, '{');
	if (db_nrows(r) > 0) {
		write_texts(w, r, 0, texts);
		write_times(w, r, 0, times);
		write_numbers(w, r, 0, numbers);
	}
	json_w_close(w, '}');
}

static enum op_next
processes_done(struct op *op)
{
	static const char *const server[] = {"incarnation", "name", "host",
	    "url", "version", "server", NULL};
	static const char *const seen[] = {"started_at", "seen_at", NULL};
	static const char *const worker[] = {"incarnation", "name", "host",
	    "version", "server", "fault", "fault_detail", NULL};
	static const char *const leased[] = {"started_at", "lease_until",
	    "fault_since", NULL};
	static const char *const leader[] = {"name", "holder", NULL};
	static const char *const none[] = {NULL};
	static const char *const database[] = {"version", "name", NULL};
	static const char *const clock[] = {"now", "started_at", NULL};
	static const char *const pid[] = {"pid", NULL};
	static const char *const pid_slots[] = {"pid", "slots", NULL};
	static const char *const term[] = {"term", "expires_in_ms", NULL};
	static const char *const sizes[] = {"size_bytes", "connections", NULL};
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	write_rows(w, "apiservers", op_result(op, APISERVERS), server, seen,
	    pid);
	write_rows(w, "schedulers", op_result(op, SCHEDULERS), server, seen,
	    pid);
	write_rows(w, "workers", op_result(op, WORKERS), worker, leased,
	    pid_slots);
	write_one(w, "leader", op_result(op, LEADER), leader, none, term);
	write_one(w, "database", op_result(op, DATABASE), database, clock,
	    sizes);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field processes_fields[] = {
    {"apiservers", FIELD_OBJECTS},
    {"schedulers", FIELD_OBJECTS},
    {"workers", FIELD_OBJECTS},
    {"leader", FIELD_CONFIG},
    {"database", FIELD_CONFIG},
};
const struct shape shape_admin_processes_start = {
    .does = "List the running processes",
    .fields = SHAPE_TABLE(processes_fields),
};
