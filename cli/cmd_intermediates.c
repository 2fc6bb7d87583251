/*
 * intermediates: the CAs of issuers' hierarchies.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/base/file.h"
#include "common/json/json.h"

enum { PEM_MAX = 16384 };

static const char *
path_of_issuer(struct cli *c)
{
	return client_path(c, "/api/v1/issuers", "/intermediates");
}

int
cmd_intermediates_list(struct cli *c)
{
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"STATE", "state", COLUMN_TEXT},
	    {"ABOVE", "parent_ca_id", COLUMN_TEXT},
	    {"SUBJECT", "subject", COLUMN_TEXT},
	    {"UNTIL", "not_after", COLUMN_TIME},
	    {"LEFT", "not_after", COLUMN_LEFT},
	};

	return show_rows(c, path_of_issuer(c), columns, ARRAY_LEN(columns));
}

static const char *const members[] = {"id", "name", "state", "owning_issuer_id",
    "parent_ca_id", "subject", "not_before", "not_after", "path_len_constraint",
    "name_constraints", "ocsp_responder_url", "key_driver_id", "created_at",
    "updated_at"};

int
cmd_intermediates_get(struct cli *c)
{
	return show_object(c, client_path(c, "/api/v1/intermediates", ""),
	    members, ARRAY_LEN(members));
}

/* --- new ones --- */

/* Ends and frees the body. */
static int
make(struct cli *c, struct json_w *w)
{
	struct answer a;
	int exit_code;

	json_w_close(w, '}');
	a = client_call(c, "POST", path_of_issuer(c), buf_cstr(w->b));
	buf_fini(w->b);
	exit_code = client_check_json(c, &a);
	if (exit_code == EXIT_DONE)
		show_answer(c, &a, members, ARRAY_LEN(members));
	return exit_code;
}

static void
put_text_list(struct json_w *w, const char *name, const char *text)
{
	if (text == NULL)
		return;
	json_w_key(w, name);
	json_w_open(w, '[');
	json_w_str(w, text);
	json_w_close(w, ']');
}

/* The usage has seen that the value is a number. */
static void
put_number(struct json_w *w, const char *name, const char *digits)
{
	if (digits != NULL)
		json_w_kv_int(w, name, strtoll(digits, NULL, 10));
}

int
cmd_intermediates_create(struct cli *c)
{
	struct json_w w;
	struct buf body;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "name", args_word(c, 1));
	json_w_kv_opt(&w, "parent_ca_id", args_value(c, "--parent-ca-id"));
	json_w_key(&w, "subject");
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "common_name", args_value(c, "--common-name"));
	put_text_list(&w, "organization", args_value(c, "--organization"));
	put_text_list(&w, "country", args_value(c, "--country"));
	json_w_close(&w, '}');
	json_w_kv_opt(&w, "algorithm", args_value(c, "--algorithm"));
	put_number(&w, "ttl_days", args_value(c, "--ttl-days"));
	put_number(&w, "path_len_constraint",
	    args_value(c, "--path-len-constraint"));
	json_w_kv_opt(&w, "ocsp_responder_url",
	    args_value(c, "--ocsp-responder-url"));
	return make(c, &w);
}

int
cmd_intermediates_register(struct cli *c)
{
	const char *path = args_value(c, "--root-cert");
	const char *key = args_value(c, "--key-driver-id");
	struct json_w w;
	struct buf body;
	char *pem;
	rc ret;

	if (path == NULL) {
		out_error("--root-cert is required: the root's certificate");
		return EXIT_USAGE;
	}
	ret = file_read(c->arena, path, PEM_MAX, &pem, NULL);
	if (ret != RC_OK) {
		out_error("%s can't be read, or is no certificate", path);
		return EXIT_USAGE;
	}
	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "name", args_word(c, 1));
	json_w_kv(&w, "root_cert_pem", pem);
	json_w_kv(&w, "key_driver_id", key != NULL ? key : "issuer");
	return make(c, &w);
}

/* --- their end --- */

int
cmd_intermediates_retire(struct cli *c)
{
	bool confirm = args_flag(c, "--confirm");
	struct answer a;
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "confirm", confirm);
	json_w_kv_opt(&w, "note", args_value(c, "--note"));
	json_w_close(&w, '}');
	a = client_call(c, "POST",
	    client_path(c, "/api/v1/intermediates", "/retire"),
	    buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a,
	    confirm ? "retired for good"
		    : "retiring: it signs no more; --confirm retires it for "
		      "good");
}
