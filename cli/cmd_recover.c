/*
 * recover: what was issued and the restored database does not know.  It only
 * shows unless --apply is given, and what is revoked then stays so: somebody
 * agrees before.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/count.h"
#include "cli/out.h"

#define PATH "/api/v1/admin/recovery"

/* No journal holds these. */
static void
tell_unknown(void)
{
	out_tell("Not to be known from the journals: approvals, "
		 "API keys, agents, targets, policies and certificates that "
		 "were made or changed since the backup; see "
		 "docs/operator/runbooks/postgres-backup.md.");
}

/* What is known in part: lists of the answer, and what they are. */
static void
tell_lists(struct cli *c, const struct cJSON *answer)
{
	static const struct {
		const char *member, *what;
	} lists[] = {
	    {"unknown_agents",
		"agents of journalled certificates that the database does not "
		"know (they come back by themselves, under new ids)"},
	    {"unknown_targets",
		"targets of journalled certificates that it does not know (to "
		"be made again)"},
	    {"outside_issuers",
		"issuers outside, of which there is no journal (look at their "
		"own lists)"},
	    {"taken_targets",
		"which of two certificates belongs to a target's files; left "
		"with the one that the copy has, and not given to"},
	    {"served_unknown",
		"certificates that agents serve and no journal that was read "
		"has (serial and target; those of the targets are renewed)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const char *items = cell(c, answer, lists[i].member);

		if (strcmp(items, "[]") != 0 && strcmp(items, "-") != 0)
			out_tell("Not to be known, %s: %s", lists[i].what,
			    items);
	}
}

/* What POST would do. */
static int
show_plan(struct cli *c)
{
	static const struct column columns[] = {
	    {"ISSUER", "issuer_id", COLUMN_TEXT},
	    {"SERIAL", "serial_number", COLUMN_TEXT},
	    {"CERTIFICATE", "certificate_id", COLUMN_TEXT},
	    {"KNOWN", "is_certificate_known", COLUMN_TEXT},
	    {"ISSUED", "journalled_at", COLUMN_TIME},
	    {"HOST", "host", COLUMN_TEXT},
	    {"WOULD", "outcome", COLUMN_TEXT},
	    {"SERVED AT", "target_id", COLUMN_TEXT},
	    {"BY AGENT", "agent_id", COLUMN_TEXT},
	    {"REASON", "reason", COLUMN_TEXT},
	};

	return show_rows(c, PATH, columns, ARRAY_LEN(columns));
}

static int
show(struct cli *c)
{
	int exit_code = show_plan(c);

	if (exit_code == EXIT_DONE) {
		tell_unknown();
		out_tell("Nothing was changed; --apply does what stands "
			 "under WOULD.");
	}
	return exit_code;
}

/* Where programs read the answer, it is the only one. */
static int
agree(struct cli *c)
{
	int exit_code = c->as_json ? EXIT_DONE : show_plan(c);

	if (exit_code != EXIT_DONE)
		return exit_code;
	out_tell("What stands under WOULD will be done; what is revoked stays "
		 "revoked.");
	return confirm();
}

/* A conflict may be another one than that all is known. */
static bool
is_settled(struct cli *c)
{
	struct answer look = client_call(c, "GET", PATH, NULL);

	return look.status == 200 &&
	       strcmp(cell(c, look.json, "total"), "0") == 0;
}

int
cmd_recover(struct cli *c)
{
	struct answer a;
	int exit_code;

	if (!args_flag(c, "--apply")) {
		exit_code = args_goes_with(c, "--yes", "--apply");
		return exit_code == EXIT_DONE ? show(c) : exit_code;
	}
	if (call_is_dry(c, "POST", PATH, NULL))
		return EXIT_DONE;
	exit_code = args_flag(c, "--yes") ? EXIT_DONE : agree(c);
	if (exit_code != EXIT_DONE)
		return exit_code;
	a = client_call(c, "POST", PATH, NULL);
	if (a.status == 409 && is_settled(c)) { /* by whomever */
		out_tell("There is nothing to recover: the database knows all "
			 "that the workers' journals hold and the agents "
			 "serve.");
		return EXIT_DONE;
	}
	exit_code = client_check(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	tell_unknown();
	tell_lists(c, a.json);
	if (strcmp(cell(c, a.json, "serials"), "0") == 0)
		return show_done(c, &a,
		    "No journal holds what the database does not know; what "
		    "agents serve instead of its certificates is renewed.");
	return show_done(c, &a,
	    arena_printf(c->arena,
		"%s unknown: %s put back, %s made again, %s revoked, %s of "
		"unknown issuers; %s renewed; the gap is from %s to %s; "
		"the audit trail goes on in epoch %s",
		count_text(c->arena, cell(c, a.json, "serials"), "serial was",
		    "serials were"),
		cell(c, a.json, "reentered"),
		count_text(c->arena, cell(c, a.json, "recreated"),
		    "with its certificate", "with their certificates"),
		cell(c, a.json, "revoked"), cell(c, a.json, "unknown_issuer"),
		count_text(c->arena, cell(c, a.json, "renewed"),
		    "certificate is", "certificates are"),
		cell_time(c, a.json, "gap_from"),
		cell_time(c, a.json, "gap_to"), cell(c, a.json, "epoch")));
}
