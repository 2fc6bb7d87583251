#include "cli/top/facts.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/fix.h"
#include "cli/out.h"
#include "cli/top/samples.h"
#include "cli/unheard.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/json/json.h"

#define PREFIX "certctl_"
#define REASON_MAX 200

struct facts *
facts_new(void)
{
	struct facts *f = mem_zalloc(sizeof(*f));

	f->arena = arena_new();
	f->at_ms = clock_boot_ms();
	f->wall_us = clock_wall_us();
	f->leader = "";
	return f;
}

void
facts_free(struct facts *f)
{
	if (!f)
		return;
	arena_free(f->arena);
	free(f);
}

static const char *
keep(struct facts *f, const char *text)
{
	return out_harmless(f->arena, text);
}

/* The lane of that issuer, a new one at need; NULL: there are too many. */
static struct fact_lane *
find_lane(struct facts *f, const char *issuer)
{
	for (size_t i = 0; i < f->nlanes; i++) {
		if (strcmp(f->lanes[i].issuer, issuer) == 0)
			return &f->lanes[i];
	}
	if (f->nlanes == FACTS_ROWS)
		return NULL;
	f->lanes[f->nlanes] = (struct fact_lane){.issuer = issuer, .rate = -1};
	return &f->lanes[f->nlanes++];
}

static void
take_lane(struct facts *f, const char *what, const struct sample *s)
{
	struct fact_lane *l = find_lane(f, keep(f, samples_label(s, "issuer")));

	if (!l)
		return;
	if (strcmp(what, "cap") == 0)
		l->cap = s->value;
	else if (strcmp(what, "breaker_open") == 0)
		l->is_open = s->value > 0;
	else if (strcmp(what, "failures") == 0)
		l->failures = s->value;
	else if (strcmp(what, "rate_per_second") == 0)
		l->rate = s->value;
	else if (strcmp(what, "uncertain_jobs") == 0)
		l->uncertain = s->value;
	else if (strcmp(what, "queue_jobs") == 0)
		l->queue += s->value; /* of each type */
	else if (strcmp(what, "queue_age_seconds") == 0 && s->value > l->age_s)
		l->age_s = s->value;
}

static void
take_ca(struct facts *f, const struct sample *s, bool is_sum)
{
	const char *type = keep(f, samples_label(s, "issuer_type"));
	size_t i = 0;

	while (i < f->ncas && strcmp(f->cas[i].type, type) != 0)
		i++;
	if (i == FACTS_ROWS)
		return;
	if (i == f->ncas)
		f->cas[f->ncas++] = (struct fact_ca){.type = type};
	if (is_sum)
		f->cas[i].seconds = s->value;
	else
		f->cas[i].issued = s->value;
}

static void
take_waiting(struct facts *f, const struct sample *s)
{
	const char *status = samples_label(s, "status");

	if (strcmp(status, "AwaitingCSR") == 0)
		f->wait_csr = s->value;
	else if (strcmp(status, "AwaitingApproval") == 0)
		f->wait_approval = s->value;
	else if (strcmp(samples_label(s, "type"), "deployment") == 0)
		f->wait_deployment = s->value;
	else
		f->wait_issuance = s->value;
}

static void
take_process(struct facts *f, const struct sample *s)
{
	const char *process = samples_label(s, "process");

	if (strcmp(process, "apiserver") == 0)
		f->apiservers = s->value;
	else if (strcmp(process, "scheduler") == 0)
		f->schedulers = s->value;
	else if (strcmp(process, "worker") == 0)
		f->workers_alive = s->value;
}

static void
take_sample(void *arg, const struct sample *s)
{
	struct facts *f = arg;
	const struct {
		const char *name;
		double *to;
	} plain[] = {
	    {"job_completed_total", &f->done},
	    {"job_failed_total", &f->failed},
	    {"agent_total", &f->agents},
	    {"agent_online", &f->agents_online},
	    {"certificate_total", &f->certificates},
	    {"certificate_expiring_soon", &f->ending},
	    {"certificate_expired", &f->ended},
	};
	const char *name = s->name;

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return;
	name += strlen(PREFIX);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		if (strcmp(name, plain[i].name) == 0)
			*plain[i].to = s->value;
	}
	if (strncmp(name, "lane_", 5) == 0)
		take_lane(f, name + 5, s);
	else if (strcmp(name, "issuance_duration_seconds_sum") == 0)
		take_ca(f, s, true);
	else if (strcmp(name, "issuance_duration_seconds_count") == 0)
		take_ca(f, s, false);
	else if (strcmp(name, "jobs_waiting") == 0)
		take_waiting(f, s);
	else if (strcmp(name, "processes_alive") == 0)
		take_process(f, s);
}

static const char *
text_of(struct facts *f, const struct cJSON *object, const char *name)
{
	const struct cJSON *v = json_get(object, name);

	return cJSON_IsString(v) ? keep(f, v->valuestring) : "";
}

static double
number_of(const struct cJSON *object, const char *name)
{
	const struct cJSON *v = json_get(object, name);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static void
take_workers(struct facts *f, const struct cJSON *list)
{
	const struct cJSON *one;

	cJSON_ArrayForEach(one, list)
	{
		const char *fault = text_of(f, one, "fault");
		bool is_alive = cJSON_IsTrue(json_get(one, "alive"));

		if (f->nworkers == FACTS_ROWS)
			return;
		f->workers[f->nworkers++] =
		    (struct fact_worker){.name = text_of(f, one, "name"),
			.host = text_of(f, one, "host"),
			.slots = number_of(one, "slots"),
			.state = !is_alive  ? "gone"
				 : fault[0] ? arena_printf(f->arena,
						  "fault: %s", fault)
					    : "alive"};
	}
}

static void
take_conditions(struct facts *f, const struct cJSON *list)
{
	const struct cJSON *one;

	cJSON_ArrayForEach(one, list)
	{
		if (f->nconditions == FACTS_ROWS)
			return;
		f->conditions[f->nconditions++] =
		    (struct fact_condition){text_of(f, one, "severity"),
			text_of(f, one, "name"), text_of(f, one, "subject"),
			number_of(one, "count")};
	}
}

static void
take_silent(struct facts *f, const struct cJSON *answer)
{
	const struct cJSON *one;
	double total = number_of(answer, "total");

	f->silent_total = total > 0 && total < 1e9 ? (size_t)total : 0;
	cJSON_ArrayForEach(one, json_get(answer, "data"))
	{
		if (f->nsilent == FACTS_SILENT)
			return;
		f->silent[f->nsilent++] =
		    (struct fact_agent){text_of(f, one, "name"),
			text_of(f, one, "hostname"),
			arena_printf(f->arena, "%.19s",
			    text_of(f, one, "last_heartbeat_at"))};
	}
	if (f->silent_total < f->nsilent)
		f->silent_total = f->nsilent;
}

/* Those that are counted as online since they were entered. */
static void
take_unheard(struct facts *f, const struct cJSON *answer)
{
	const struct cJSON *one;

	cJSON_ArrayForEach(one, json_get(answer, "data"))
	{
		if (!unheard_is(one))
			continue;
		f->nunheard++;
		f->silent_total++;
		if (f->nsilent < FACTS_SILENT)
			f->silent[f->nsilent++] =
			    (struct fact_agent){text_of(f, one, "name"),
				text_of(f, one, "hostname"),
				"not yet: start certctl-agent there"};
	}
}

void
facts_take(struct facts *f, const char *metrics, const struct cJSON *processes,
    const struct cJSON *conditions, const struct cJSON *silent,
    const struct cJSON *online)
{
	if (metrics)
		samples_read(f->arena, metrics, take_sample, f);
	if (processes) {
		take_workers(f, json_get(processes, "workers"));
		f->leader = text_of(f, json_get(processes, "leader"), "name");
	}
	if (conditions)
		take_conditions(f, json_get(conditions, "data"));
	if (silent)
		take_silent(f, silent);
	if (online)
		take_unheard(f, online);
}

/* NULL, or why the answer is none. */
static const char *
find_why(const struct cli *c, struct arena *a, const struct answer *answer,
    int *out_exit_code)
{
	*out_exit_code = EXIT_UNREACHABLE;
	if (answer->status == 0)
		return out_harmless(a, client_why(c, answer));
	if (answer->status == 401 || answer->status == 403) {
		*out_exit_code = EXIT_NOT_ALLOWED;
		return arena_printf(a,
		    "the server refuses this key (%d): it needs the "
		    "permissions "
		    "metrics.read and agent.read",
		    answer->status);
	}
	if (answer->status != 200)
		return arena_printf(a, "the server answers %d: %.*s",
		    answer->status, REASON_MAX, client_why(c, answer));
	return NULL;
}

/* Whether the answer is none, and then why. */
static bool
find_fault(const struct cli *c, struct arena *a, const struct answer *answer,
    struct facts_fault *out)
{
	const char *fix;

	out->why = find_why(c, a, answer, &out->exit_code);
	if (!out->why)
		return false;
	fix = fix_of(c, answer, client_why(c, answer));
	out->fix = fix ? out_harmless(a, fix) : NULL;
	return true;
}

struct facts *
facts_gather(struct cli *c, struct facts_fault *out)
{
	/* Of those online the newest: who does not report is soon offline. */
	static const char *const paths[] = {"/api/v1/metrics/prometheus",
	    "/api/v1/admin/processes", "/api/v1/admin/conditions",
	    "/api/v1/agents?status=Offline&per_page=50",
	    "/api/v1/agents?status=Online&per_page=50"};
	struct answer answers[ARRAY_LEN(paths)];
	struct facts *f = facts_new();
	struct arena *run = c->arena;
	bool has_all = true;

	c->arena = f->arena;
	for (size_t i = 0; i < ARRAY_LEN(paths) && has_all; i++) {
		answers[i] = client_call(c, "GET", paths[i], NULL);
		has_all = !find_fault(c, run, &answers[i], out);
		if (!has_all || i == 0 || answers[i].json)
			continue;
		has_all = false;
		*out = (struct facts_fault){"what answers is no certctl server",
		    "Give the certctl server's own URL as CERTCTL_SERVER_URL.",
		    EXIT_FAILED};
	}
	c->arena = run;
	if (!has_all) {
		facts_free(f);
		return NULL;
	}
	facts_take(f, answers[0].text, answers[1].json, answers[2].json,
	    answers[3].json, answers[4].json);
	return f;
}
