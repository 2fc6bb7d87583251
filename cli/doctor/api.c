#include "cli/doctor/api.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/count.h"
#include "cli/moment.h"
#include "cli/unheard.h"
#include "common/base/attr.h"
#include "common/json/json.h"

enum {
	TEXT_MAX = 8192,
	CLOCK_WARNING_S = 5,
	CLOCK_ERROR_S = 60,
	END_WARNING_S = 14 * 86400,
	END_PART = 3, /* the last third of its life */
	DAY_S = 86400,
	POSTGRES_LEAST = 15,
	AGENTS_NAMED = 5,
};

static const char *
text(const struct cJSON *object, const char *name)
{
	const char *value = "";

	return json_str(object, name, TEXT_MAX, &value) == RC_OK ? value : "";
}

/* --- releases and processes --- */

static const char *const lists[][2] = {{"apiservers", "apiserver"},
    {"schedulers", "scheduler"}, {"workers", "worker"}};

static bool
is_alive(const struct cJSON *item)
{
	return cJSON_IsTrue(json_get(item, "alive"));
}

void
doctor_check_versions(struct doctor *d, const char *own, const char *server,
    const struct cJSON *processes)
{
	const struct cJSON *item;
	bool is_same = strcmp(own, server) == 0;

	if (!is_same)
		doctor_say(d, DOCTOR_WARNING, DOCTOR_version, "certctl",
		    "this command is %s and the server that it asks %s", own,
		    server);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		cJSON_ArrayForEach(item, json_get(processes, lists[i][0]))
		{
			const char *its = text(item, "version");

			if (!is_alive(item) || strcmp(its, server) == 0)
				continue;
			is_same = false;
			doctor_say(d, DOCTOR_WARNING, DOCTOR_version,
			    text(item, "name"),
			    "this %s is %s and the server that was asked %s",
			    lists[i][1], its, server);
		}
	}
	if (is_same)
		doctor_say(d, DOCTOR_OK, DOCTOR_version, "",
		    "this command and every process are %s", own);
}

static size_t
count_alive(const struct cJSON *list)
{
	const struct cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, list) n += is_alive(item);
	return n;
}

void
doctor_check_processes(struct doctor *d, const struct cJSON *processes)
{
	const struct cJSON *leader = json_get(processes, "leader");
	int64_t left = 0;
	rc ret = json_int(leader, "expires_in_ms", 0, INT64_MAX, &left);

	if (ret == RC_OK && left > 0)
		doctor_say(d, DOCTOR_OK, DOCTOR_leader, text(leader, "name"),
		    "it leads");
	else
		doctor_say(d, DOCTOR_ERROR, DOCTOR_leader, "",
		    "no scheduler leads");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		size_t n = count_alive(json_get(processes, lists[i][0]));

		if (n == 0)
			doctor_say(d, DOCTOR_ERROR, DOCTOR_processes, "",
			    "no %s lives", lists[i][1]);
		else
			doctor_say(d, DOCTOR_OK, DOCTOR_processes, "",
			    "%zu %s%s", n, lists[i][1],
			    n == 1 ? " lives" : "s live");
	}
}

void
doctor_check_database_version(struct doctor *d, const struct cJSON *processes)
{
	const char *version = text(json_get(processes, "database"), "version");
	long major = strtol(version, NULL, 10);

	if (major <= 0)
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_database_version, "",
		    "the server did not say PostgreSQL's version");
	else
		doctor_say(d,
		    major >= POSTGRES_LEAST ? DOCTOR_OK : DOCTOR_ERROR,
		    DOCTOR_database_version, "", "PostgreSQL is %s", version);
}

/* --- what is wrong --- */

void
doctor_check_conditions(struct doctor *d, const struct cJSON *conditions)
{
	const struct cJSON *item;
	size_t said = 0;

	cJSON_ArrayForEach(item, json_get(conditions, "data"))
	{
		const char *severity = text(item, "severity");

		/* A notice changes no exit code there and none here. */
		if (strcmp(severity, "notice") == 0)
			continue;
		doctor_say(d,
		    strcmp(severity, "critical") == 0 ? DOCTOR_ERROR
						      : DOCTOR_WARNING,
		    DOCTOR_condition, text(item, "name"), "%s%s%s: %s",
		    text(item, "what"), text(item, "subject")[0] ? " " : "",
		    text(item, "subject"), text(item, "detail"));
		doctor_fix(d, text(item, "advice"));
		said++;
	}
	if (said == 0)
		doctor_say(d, DOCTOR_OK, DOCTOR_condition, "",
		    "certctl status knows of nothing wrong");
}

/* How many were entered and have not reported since; the first are named. */
static size_t
name_unheard(struct doctor *d, const struct cJSON *online)
{
	const struct cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, json_get(online, "data"))
	{
		if (!unheard_is(item) || n++ >= AGENTS_NAMED)
			continue;
		doctor_say(d, DOCTOR_WARNING, DOCTOR_agents, text(item, "id"),
		    "this agent on host %s has not reported yet; it was "
		    "entered at %s",
		    text(item, "hostname"), text(item, "registered_at"));
	}
	if (n > AGENTS_NAMED)
		doctor_say(d, DOCTOR_WARNING, DOCTOR_agents, "",
		    "%zu agents have not reported yet: certctl agents list "
		    "--status Online",
		    n);
	return n;
}

static const char *
silence_of(const struct cJSON *agent)
{
	return unheard_is(agent) ? "has not reported since it was entered, at"
				 : "did not report since";
}

void
doctor_check_agents(struct doctor *d, const struct cJSON *offline,
    const struct cJSON *online)
{
	const struct cJSON *item;
	int64_t total = 0;
	size_t named = 0;

	if (json_int(offline, "total", 0, INT64_MAX, &total) != RC_OK) {
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_agents, "",
		    "the server did not say how many agents are offline");
		return;
	}
	if (name_unheard(d, online) == 0 && total == 0)
		doctor_say(d, DOCTOR_OK, DOCTOR_agents, "",
		    "every agent reports");
	cJSON_ArrayForEach(item, json_get(offline, "data"))
	{
		if (named++ == AGENTS_NAMED)
			break;
		doctor_say(d, DOCTOR_WARNING, DOCTOR_agents, text(item, "id"),
		    "this agent on host %s %s %s", text(item, "hostname"),
		    silence_of(item), text(item, "last_heartbeat_at"));
	}
	if (total > AGENTS_NAMED)
		doctor_say(d, DOCTOR_WARNING, DOCTOR_agents, "",
		    "%lld agents are offline: certctl agents list --status "
		    "Offline",
		    (long long)total);
}

void
doctor_check_ready(struct doctor *d, int status, const struct cJSON *ready)
{
	const char *warning = ready ? text(ready, "db_warning") : "";

	if (status != 200)
		doctor_say(d, DOCTOR_ERROR, DOCTOR_ready, "",
		    "the server is not ready: %s",
		    ready && text(ready, "error")[0] ? text(ready, "error")
						     : "it does not say why");
	else if (warning[0])
		doctor_say(d, DOCTOR_WARNING, DOCTOR_ready, "",
		    "the server is ready, but %s", warning);
	else
		doctor_say(d, DOCTOR_OK, DOCTOR_ready, "",
		    "the server is ready");
}

/* --- moments --- */

void
doctor_check_clock(struct doctor *d, enum doctor_check check,
    const char *subject, int64_t theirs, int64_t before, int64_t after)
{
	/* Theirs is cut to the second. */
	int64_t ahead = theirs > after        ? theirs - after
			: theirs + 1 < before ? theirs + 1 - before
					      : 0;
	int64_t by = ahead < 0 ? -ahead : ahead;
	enum doctor_level level = by >= CLOCK_ERROR_S     ? DOCTOR_ERROR
				  : by >= CLOCK_WARNING_S ? DOCTOR_WARNING
							  : DOCTOR_OK;

	if (by == 0)
		doctor_say(d, level, check, subject,
		    "its clock is as this host's");
	else
		doctor_say(d, level, check, subject,
		    "its clock is %lld s %s this host's", (long long)by,
		    ahead > 0 ? "ahead of" : "behind");
}

void
doctor_check_end(struct doctor *d, enum doctor_check check, const char *subject,
    int64_t begins, int64_t ends, int64_t now)
{
	/* One that lives for days is not near its end all its life. */
	int64_t near = (ends - begins) / END_PART < END_WARNING_S
			   ? (ends - begins) / END_PART
			   : END_WARNING_S;
	const char *at = moment_text(d->arena, ends);

	if (ends <= now)
		doctor_say(d, DOCTOR_ERROR, check, subject,
		    "its certificate ended at %s UTC", at);
	else
		doctor_say(d, ends - now < near ? DOCTOR_WARNING : DOCTOR_OK,
		    check, subject, "its certificate ends at %s UTC, in %s", at,
		    count_of(d->arena, (ends - now) / DAY_S, "day", "days"));
}
