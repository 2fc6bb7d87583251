/*
 * cli: what the commands share.
 *
 * One short-lived process, blocking calls.  Exit codes: 0 done, 1 failed,
 * 2 wrong usage, 3 not found, 4 not allowed, 5 conflict, 6 the server can't
 * be reached or is not ready, or the time to wait is over.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/buf.h"

struct args; /* args.h */
struct cJSON;

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_NOT_ALLOWED = 4,
	EXIT_CONFLICT = 5,
	EXIT_UNREACHABLE = 6
};

/* Of the output; the two for people come first. */
enum format {
	FORMAT_TABLE,
	FORMAT_WIDE,
	FORMAT_JSON,
	FORMAT_YAML,
	FORMAT_CSV,
	FORMAT_NAME
};

struct cli {
	const char *server;
	const char *api_key;
	const char *ca_file; /* "" : ca_pem */
	const char *ca_pem;  /* of a context; NULL or "": the system's roots */
	bool insecure;
	enum format format;
	/* The answer goes out as data, by render.h, and what is said beside it
	 * to standard error: any format that is not for people, and --fields.
	 */
	bool as_json;
	const char *const *fields; /* of --fields */
	size_t nfields;
	size_t nrendered; /* answers so far, for heads and separators */
	bool is_dry_told; /* that nothing was sent, of several calls once */
	bool is_unshown; /* an answer did not fit the format, and it was told */
	const char *idempotency_key; /* NULL: none is sent */
	bool wants_server;           /* date and cert_ends of answers */
	long call_seconds;   /* that a call may take; 0: a minute and half */
	int64_t deadline_ms; /* of clock_boot_ms, that no call outlives; 0:
				there is none */
	struct arena *arena; /* for the whole run */
	struct args *args;   /* args.h */
};

/* --- commands that are more than a call --- */
int cmd_agents_list(struct cli *c);
int cmd_audit_attachment(struct cli *c);
int cmd_audit_prove(struct cli *c);
int cmd_audit_verify(struct cli *c);
int cmd_certs_bulk_reassign(struct cli *c);
int cmd_certs_bulk_renew(struct cli *c);
int cmd_certs_bulk_revoke(struct cli *c);
int cmd_certs_renew(struct cli *c);
int cmd_completion(struct cli *c);
int cmd_context_add(struct cli *c);
int cmd_context_list(struct cli *c);
int cmd_context_remove(struct cli *c);
int cmd_context_show(struct cli *c);
int cmd_context_use(struct cli *c);
int cmd_doctor(struct cli *c);
int cmd_eab_keys_reseal(struct cli *c);
int cmd_events(struct cli *c);
int cmd_explain(struct cli *c);
int cmd_import(struct cli *c);
int cmd_intermediates_retire(struct cli *c);
int cmd_issuers_bundle(struct cli *c);
int cmd_network_scans_probe(struct cli *c);
int cmd_recover(struct cli *c);
int cmd_replace(struct cli *c);
int cmd_replace_excluded(struct cli *c);
int cmd_replace_watch(struct cli *c);
int cmd_scheduler_run(struct cli *c);
int cmd_size(struct cli *c);
int cmd_status(struct cli *c);
int cmd_targets_test(struct cli *c);
int cmd_top(struct cli *c);

/* --- client.c --- */
struct answer {
	int status; /* 0: no answer */
	const char *text;
	const struct cJSON *json; /* NULL when it is not JSON */
	const char *error;        /* when status is 0 */
	const char *fix;          /* likewise; NULL: nobody knows */
	const char *content_type; /* NULL: it was not said */
	const char *request_id;   /* NULL: none was made, or it was not said */
	int64_t retry_after_s;    /* 0: it was not said */
	/* With wants_server, in Unix seconds; 0: not known. */
	int64_t date; /* of the server's clock */
	int64_t cert_begins, cert_ends;
};
struct answer client_call(struct cli *c, const char *method, const char *path,
    const char *body);
/* The same, for a look that is repeated: the answer lives in *held until the
 * next look, which frees it; NULL before the first.  The caller frees the
 * last. */
struct answer client_look(struct cli *c, const char *path, struct arena **held);

/*
 * An answer that has no end: its bytes go to take, which says whether there may
 * be more.  last_id: Last-Event-ID, "" for none.  The answer's status is 200
 * once such a stream began, however it ended; one of another status is as of
 * client_call.  A minute without a byte ends it.
 */
struct answer client_stream(struct cli *c, const char *path,
    const char *last_id, bool (*take)(void *arg, const char *bytes, size_t n),
    void *arg);

/*
 * The same beside other calls, on a connection of its own: client_listen_run
 * takes what has come, and waits for it at most so long.  False: it has ended,
 * *out is as client_stream's.
 */
struct client_listen;
struct client_listen *client_listen_new(struct cli *c, const char *path,
    const char *last_id, bool (*take)(void *arg, const char *bytes, size_t n),
    void *arg);
bool client_listen_run(struct client_listen *l, int64_t ms,
    struct answer *out) MUST_CHECK;
void client_listen_free(struct client_listen *l); /* NULL is fine */

/* Ends the connection that the calls of a run have. */
void client_end(void);

/* --- answer.c --- */
/* Nothing that a later look could not find otherwise: no answer (a restart),
 * a failure of the server, or too many calls. */
bool client_is_passing(const struct answer *a);
/* Of one that is no success: the server's own words, harmless and cut, or why
 * there is none. */
const char *client_why(const struct cli *c, const struct answer *a);
/* Prints why and gives the exit code; EXIT_DONE for a 2xx, whose warnings it
 * prints. */
int client_check(const struct cli *c, const struct answer *a);
/* The same of an answer that is no JSON, such as the metrics. */
int client_check_text(const struct cli *c, const struct answer *a);
/* The same, and a 2xx must hold JSON. */
int client_check_json(const struct cli *c, const struct answer *a);
/* The same, and it or its member rows (NULL: "data") must be a list; null is an
 * empty one. */
int client_check_list(const struct cli *c, const struct answer *a,
    const char *rows, const struct cJSON **out_data);
/* After that: it must be an object with one of these members at least, for what
 * has none of them is an answer of somebody else's server. */
int client_check_object(const struct cli *c, const struct answer *a,
    const char *const *members, size_t n);
/* Percent-encodes one path segment or query value. */
const char *client_escape(struct cli *c, const char *text);
/* The path of what the command's first word names: list/WORD, and rest. */
const char *client_path(struct cli *c, const char *list, const char *rest);

/* --- table.c: columns as wide as their widest cell --- */
struct table;
struct table *table_new(struct cli *c, size_t ncols, const char *const *heads);
void table_row(struct table *t, const char *const *cells);
/* Cut to the terminal's width, if it is one and -o wide was not given. */
void table_print(const struct table *t);
/* Cut to so many columns; 0: to none. */
void table_print_within(const struct table *t, size_t columns);
/* A value as harmless text for a cell; "-" when absent or empty. */
const char *cell_value(struct cli *c, const struct cJSON *value);
/* Member as harmless text for a cell; "-" when absent or empty. */
const char *cell(struct cli *c, const struct cJSON *object, const char *name);
/* An RFC 3339 time as "2026-11-23 19:56:28", "-" when unset. */
const char *cell_time(struct cli *c, const struct cJSON *object,
    const char *name);
/* Time until an RFC 3339 time: "89 d", "in 3 h", "expired". */
const char *cell_left(struct cli *c, const struct cJSON *object,
    const char *name);

/* --- show.c: what list and get commands have in common --- */
/* A list endpoint as a table and its total, or as it came with -o json. */
int show_rows(struct cli *c, const char *path, const struct column *cols,
    size_t n);
/* The same of an answer that came; rows: the member that holds them, NULL:
 * "data". */
int show_list(struct cli *c, const struct answer *a, const char *rows,
    const struct column *cols, size_t n);
/* The same of an answer that came. */
void show_answer(struct cli *c, const struct answer *a,
    const char *const *members, size_t n);
/* The answer to a command that changes something: as it came with -o json,
 * else what. */
int show_done(struct cli *c, const struct answer *a, const char *what);

/* --- cmd_bulk.c --- */
/* EXIT_DONE when the person at the terminal says yes. */
int confirm(void);

/* --- handshake.c --- */
/* The serial a server shows (40 hex digits); false: no handshake within that
 * time. */
bool handshake_serial(const char *host, int port, const char *server_name,
    int seconds, char out[41]);

#endif
