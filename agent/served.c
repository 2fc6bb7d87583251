#include "agent/served.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/deploy_int.h"
#include "agent/install_int.h"
#include "agent/probe.h"
#include "agent/spot.h"
#include "agent/standing.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/cert/cert.h"

#define JITTER_PERCENT 10
#define STEP_LIMIT_MS 300000
#define TELL_MS 30000
#define ERROR_MAX 300
#define TARGETS_MAX 1000
#define NO_TARGETS "none"

struct served {
	struct agent *agent;
	struct timer *next;
	struct op *looking, *telling; /* under way, or NULL */
	char *targets;                /* what the last look came to, JSON */
	char digest[65];
	bool is_again; /* something was installed during the look */
	bool is_stopping;
};

/* One target's certificate; texts in the op's arena. */
struct seen {
	const char *by;
	const char *fingerprint, *serial, *issuer;
	int64_t not_after_unix;
	const char *error; /* why it was not seen, or not by a handshake */
};

/* The state of the op of a look; its arg is the struct served. */
struct look {
	const char **targets; /* NULL-terminated */
	size_t at;
	struct install_journal j;
	struct target_plan plan;
	struct install_paths paths;
	const char **texts; /* JSON of those before that one */
	const char **jobs;  /* and who installed it there */
};

static op_step look_next;
static op_step look_asked;
static op_step tell_answered;

static void
add(struct op *op, const struct seen *s)
{
	struct look *k = op_state(op, sizeof(*k));
	char not_after[32] = "";
	struct json_w w;
	struct buf b;

	if (s->not_after_unix > 0)
		clock_format_rfc3339(s->not_after_unix * 1000000, not_after);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "target_id", k->targets[k->at]);
	json_w_kv(&w, "seen_by", s->by);
	json_w_kv_opt(&w, "fingerprint_sha256", s->fingerprint);
	json_w_kv_opt(&w, "serial_number", s->serial);
	json_w_kv_opt(&w, "issuer_dn", s->issuer);
	json_w_kv_opt(&w, "not_after", not_after);
	if (s->error) /* a thousand of them make one body */
		json_w_kv(&w, "error",
		    op_printf(op, "%.*s", ERROR_MAX, s->error));
	json_w_close(&w, '}');
	k->jobs[k->at] = k->j.job;
	k->texts[k->at++] = arena_strdup(op_arena(op), buf_cstr(&b));
	buf_fini(&b);
}

static rc
read_file(struct arena *a, const struct install_paths *paths,
    struct cert_info *out, const char **out_why)
{
	struct spots spots;
	size_t len;
	char *pem;
	X509 *x;
	rc ret;

	ret = spots_open(a, paths, &spots, out_why);
	if (ret != RC_OK)
		return ret;
	ret = standing_read_cert(a, paths, &spots, &pem, &len);
	spots_close(&spots);
	if (ret != RC_OK) {
		*out_why = "there is no readable file";
		return ret;
	}
	*out_why = "what stands there is no certificate";
	ret = cert_from_pem(pem, len, &x);
	if (ret != RC_OK)
		return ret;
	ret = cert_read(a, x, out);
	X509_free(x);
	return ret;
}

/* error: why no handshake told, or NULL. */
static void
look_at_file(struct op *op, const char *error)
{
	struct look *k = op_state(op, sizeof(*k));
	struct arena *scratch = arena_new();
	struct seen s = {.by = "file", .error = error};
	struct cert_info info;
	const char *why = "";
	rc ret;

	ret = read_file(scratch, &k->paths, &info, &why);
	if (ret == RC_OK) {
		s.fingerprint = info.fingerprint_sha256;
		s.serial = info.serial_hex;
		s.issuer =
		    op_printf(op, "%.*s", PROBE_ISSUER_MAX, info.issuer_dn);
		s.not_after_unix = info.not_after_unix;
	} else {
		s.error = op_printf(op, "%s%s%s: %s", error ? error : "",
		    error ? "; " : "", why, k->paths.cert_path);
	}
	add(op, &s);
	arena_free(scratch);
}

static char *
join(const struct look *k)
{
	struct json_w w;
	struct buf b;
	char *text;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '[');
	for (size_t i = 0; i < k->at; i++)
		json_w_raw(&w, k->texts[i]);
	json_w_close(&w, ']');
	text = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return text;
}

/* Of the targets, of the deployments, since the server waits to hear what came
 * of each, be it as before, and of a period, which begins at another time for
 * each agent. */
static void
make_digest(const struct look *k, const struct agent *a, char out[65])
{
	int64_t repeat_ms = cfg_int(a->cfg, "served_repeat");
	char of_id[65];
	struct buf b;

	enc_sha256_hex(a->id, strlen(a->id), of_id);
	of_id[7] = '\0';
	buf_init(&b, 0);
	buf_printf(&b, "%lld",
	    (long long)((clock_wall_us() / 1000 +
			    strtoll(of_id, NULL, 16) % repeat_ms) /
			repeat_ms));
	for (size_t i = 0; i < k->at; i++)
		buf_printf(&b, "\n%s %s", k->jobs[i], k->texts[i]);
	enc_sha256_hex(buf_cstr(&b), strlen(buf_cstr(&b)), out);
	buf_fini(&b);
}

static void
look_end(struct op *op)
{
	struct look *k = op_state(op, sizeof(*k));
	struct served *s = agent_arg(op);
	char before[sizeof(s->digest)];

	free(s->targets);
	s->targets = join(k);
	memcpy(before, s->digest, sizeof(before));
	if (k->at == 0) {
		memcpy(s->digest, NO_TARGETS, sizeof(NO_TARGETS));
		return;
	}
	make_digest(k, s->agent, s->digest);
	if (strcmp(before, s->digest) != 0 && s->agent->on_served_changed)
		s->agent->on_served_changed(s->agent);
}

static enum op_next
look_next(struct op *op)
{
	struct look *k = op_state(op, sizeof(*k));
	struct served *s = agent_arg(op);
	struct seen nothing = {.by = "file"};
	const char *why = "";

	op_extend(op, STEP_LIMIT_MS);
	if (!k->targets[k->at] || k->at == TARGETS_MAX) {
		look_end(op);
		return op_done(op);
	}
	k->plan = (struct target_plan){.host = NULL};
	k->j = (struct install_journal){.job = ""};
	if (install_journal_read_kept(s->agent, op_arena(op), k->targets[k->at],
		&k->j) != RC_OK)
		why = "what was installed last is not readable";
	else if (deploy_plan(op, &k->j, &k->plan, &k->paths, &why) == RC_OK)
		why = NULL;
	if (why) {
		nothing.error = why;
		add(op, &nothing);
		return op_goto(op, look_next);
	}
	if (k->plan.host)
		return call_handshake(op, k->plan.host, k->plan.port,
		    deploy_server_name(op, &k->plan, k->j.common_name),
		    cfg_int(s->agent->cfg, "verify_timeout"), look_asked);
	look_at_file(op, NULL);
	return op_goto(op, look_next);
}

static enum op_next
look_asked(struct op *op)
{
	struct look *k = op_state(op, sizeof(*k));
	const struct call_probe *p = call_probe(op);

	if (p->code == RC_OK)
		add(op, &(struct seen){
			    .by = "handshake",
			    .fingerprint = p->fingerprint,
			    .serial = p->serial,
			    .issuer = p->issuer,
			    .not_after_unix = p->not_after_unix,
			});
	else
		look_at_file(op,
		    op_printf(op, "no TLS handshake with %s:%d: %s",
			k->plan.host, k->plan.port, p->error));
	return op_goto(op, look_next);
}

static enum op_next
look_start(struct op *op)
{
	struct look *k = op_state(op, sizeof(*k));
	struct served *s = agent_arg(op);

	k->texts = arena_alloc(op_arena(op), TARGETS_MAX * sizeof(*k->texts));
	k->jobs = arena_alloc(op_arena(op), TARGETS_MAX * sizeof(*k->jobs));
	k->targets = install_journal_list_kept(s->agent, op_arena(op));
	return op_goto(op, look_next);
}

static void
looked(struct agent *a, void *arg)
{
	struct served *s = arg;

	s->looking = NULL;
	if (s->is_stopping || a->is_retired)
		return;
	timer_arm(s->next, s->is_again
			       ? 0
			       : rand_jitter(cfg_int(a->cfg, "served_interval"),
				     JITTER_PERCENT));
	s->is_again = false;
}

static void
look(void *arg)
{
	struct served *s = arg;

	s->looking = agent_op_start(s->agent, "look", STEP_LIMIT_MS, look_start,
	    s, looked);
}

/* --- telling it --- */

static enum op_next
tell_start(struct op *op)
{
	struct served *s = agent_arg(op);

	return call_api(op, "POST",
	    op_printf(op, "/api/v1/agents/%s/served", s->agent->id),
	    op_printf(op, "{\"digest\":\"%s\",\"targets\":%s}", s->digest,
		s->targets),
	    TELL_MS, tell_answered);
}

/* One that failed is asked for again by the next heartbeat. */
static enum op_next
tell_answered(struct op *op)
{
	const struct call_reply *reply = call_reply(op);
	struct served *s = agent_arg(op);
	const struct cJSON *one, *gone;

	if (reply->code != RC_OK || reply->status != 200) {
		log_warn("SERVED-FAILED", "%s",
		    reply->error ? reply->error : "unexpected answer");
		return op_done(op);
	}
	gone = reply->json ? json_get(reply->json, "forget") : NULL;
	cJSON_ArrayForEach(one, gone)
	{
		if (!cJSON_IsString(one))
			continue;
		install_journal_forget(s->agent, one->valuestring);
		served_look_soon(s);
	}
	return op_done(op);
}

static void
told(struct agent *a, void *arg)
{
	((struct served *)arg)->telling = NULL;
}

void
served_tell(struct served *s)
{
	if (!s || s->telling || !s->targets || s->is_stopping)
		return;
	s->telling = agent_op_start(s->agent, "served", TELL_MS * 2, tell_start,
	    s, told);
}

/* --- the whole --- */

struct served *
served_start(struct agent *a)
{
	struct served *s = mem_zalloc(sizeof(*s));
	int64_t spread = cfg_int(a->cfg, "start_spread");

	s->agent = a;
	s->next = timer_new(a->loop, look, s);
	timer_arm(s->next, spread > 0 ? rand_below((uint32_t)spread) : 0);
	return s;
}

void
served_stop(struct served *s)
{
	if (!s)
		return;
	s->is_stopping = true;
	timer_disarm(s->next);
	if (s->looking)
		op_abort(s->looking, RC_CANCELLED);
	if (s->telling)
		op_abort(s->telling, RC_CANCELLED);
}

void
served_free(struct served *s)
{
	if (!s)
		return;
	served_stop(s);
	timer_free(s->next);
	free(s->targets);
	free(s);
}

void
served_look_soon(struct served *s)
{
	if (!s || s->is_stopping)
		return;
	if (s->looking)
		s->is_again = true;
	else
		timer_arm(s->next, 0);
}

const char *
served_digest(const struct served *s)
{
	return s ? s->digest : "";
}
