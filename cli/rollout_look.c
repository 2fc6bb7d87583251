/*
 * rollout_handshakes: what the targets serve, seen from where this runs.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/out.h"
#include "cli/rollout.h"
#include "common/base/clock.h"
#include "common/json/json.h"

#define VERSIONS_LOOKED_AT 500
#define HANDSHAKE_SECONDS 5

static bool
is_installed(const struct target *t)
{
	return t->version && t->state == TARGET_DONE;
}

static void
take_serial(struct rollout *r, const struct cJSON *version)
{
	const char *id = "", *serial = "";

	IGNORE_RESULT(json_str(version, "id", 256, &id));
	IGNORE_RESULT(json_str(version, "serial_number", 40, &serial));
	for (size_t i = 0; i < r->ntargets; i++) {
		struct target *t = &r->targets[i];

		if (t->version && strcmp(t->version, id) == 0)
			memcpy(t->serial, serial, strlen(serial) + 1);
	}
}

/* What is to be seen: newest first, so what was just made is there. */
static int
find_serials(struct rollout *r)
{
	struct wait *w = r->wait;
	const char *path = arena_printf(w->cli->arena,
	    "/api/v1/certificates/%s/versions?per_page=%d", r->certificate,
	    VERSIONS_LOOKED_AT);
	const struct cJSON *data, *item;
	int exit_code;

	while (!wait_look(w, path) && wait_pause(w))
		continue;
	exit_code = client_check_list(w->cli, &w->last, NULL, &data);
	if (exit_code != EXIT_DONE)
		return exit_code;
	cJSON_ArrayForEach(item, data) take_serial(r, item);
	return EXIT_DONE;
}

static int
seconds_left(const struct wait *w)
{
	int64_t left = (w->deadline_ms - clock_boot_ms()) / 1000;

	if (left < 1)
		return 1;
	return left < HANDSHAKE_SECONDS ? (int)left : HANDSHAKE_SECONDS;
}

static bool
shows(const struct rollout *r, const struct target *t, char serial[41])
{
	serial[0] = '\0';
	return handshake_serial(t->host, t->port, t->server_name,
		   seconds_left(r->wait), serial) &&
	       t->serial[0] != '\0' && strcmp(serial, t->serial) == 0;
}

static int
wait_for(struct rollout *r, const struct target *t)
{
	struct cli *c = r->wait->cli;
	const char *host = out_harmless(c->arena, t->host);
	char serial[41];

	do {
		if (!shows(r, t, serial))
			continue;
		wait_tell(r->wait,
		    arena_printf(c->arena, "%s:%d serves serial %s", host,
			t->port, serial));
		return EXIT_DONE;
	} while (wait_pause(r->wait));
	out_error("%s:%d, as seen from here, serves serial %s, not %s", host,
	    t->port, serial[0] ? serial : "(no handshake)",
	    t->serial[0] ? t->serial
			 : "that of the version, which the server "
			   "does not say");
	/* Nobody there, or not in time, is no other certificate. */
	return serial[0] ? EXIT_FAILED : EXIT_UNREACHABLE;
}

int
rollout_handshakes(struct rollout *r)
{
	int exit_code = find_serials(r), found;

	if (exit_code != EXIT_DONE)
		return exit_code;
	for (size_t i = 0; i < r->ntargets; i++) {
		const struct target *t = &r->targets[i];

		if (!is_installed(t))
			continue;
		found = EXIT_DONE;
		if (!t->host)
			wait_tell(r->wait,
			    arena_printf(r->wait->cli->arena,
				"not looked at from here, for it names no "
				"host: %s",
				out_harmless(r->wait->cli->arena, t->id)));
		else
			found = wait_for(r, t);
		if (found == EXIT_FAILED || exit_code == EXIT_DONE)
			exit_code = found;
	}
	return exit_code;
}
