#include "worker/notifiers/notifier.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/plain.h"

#define WAIT_MAX_S 86400
#define WORDS_MAX 300

const struct notifier_ops *const notifiers[] = {
#define NOTIFIER(name) &notifier_##name,
#include "worker/notifiers/notifiers.def"
#undef NOTIFIER
    NULL,
};

const struct notifier_ops *
notifier_find(const char *channel)
{
	for (size_t i = 0; notifiers[i]; i++)
		if (strcmp(notifiers[i]->channel, channel) == 0)
			return notifiers[i];
	return NULL;
}

static size_t
place_of(const struct notifier_ops *ops)
{
	size_t i = 0;

	while (notifiers[i] != ops)
		i++;
	return i;
}

/* --- one that is under way --- */

struct sending { /* in the arena */
	struct arena *arena;
	unsigned *among; /* those of its channel */
	struct notifier_call call;
	struct http_call *under_way; /* NULL once it is over */
	notifier_done_fn *done;
	void *arg;
};

static void
stop(void *arg)
{
	struct sending *s = arg;

	if (!s->under_way)
		return;
	http_call_cancel(s->under_way);
	--*s->among;
}

/* --- what an answer means --- */

static enum notifier_verdict
http_verdict(rc code, int status)
{
	/* An answer that was too long came with its status. */
	if (code == RC_FORBIDDEN || code == RC_INVALID)
		return NOTIFIER_NEVER;
	if (code != RC_OK && code != RC_TOO_LARGE)
		return NOTIFIER_LATER;
	if (status >= 200 && status <= 299)
		return NOTIFIER_SENT;
	if (status == 408 || status == 425 || status == 429 || status >= 500 ||
	    status == 0)
		return NOTIFIER_LATER;
	return NOTIFIER_NEVER;
}

static enum notifier_verdict
mail_verdict(rc code, int status)
{
	if (code == RC_OK)
		return NOTIFIER_SENT;
	return code == RC_INVALID || status >= 500 ? NOTIFIER_NEVER
						   : NOTIFIER_LATER;
}

/* An answer may repeat what it was sent. */
static void
hide(char *text, const char *secret)
{
	size_t len = secret ? strlen(secret) : 0;
	char *at;

	if (len == 0)
		return;
	for (at = strstr(text, secret); at; at = strstr(at + len, secret))
		memset(at, '*', len);
}

static const char *
words_of(struct sending *s, const char *who, int status, const char *body,
    const char *error)
{
	char *text = arena_printf(s->arena, "%s%s%s", error ? error : "",
	    error && *body ? ": " : "", body);

	for (size_t i = 0; i < ARRAY_LEN(s->call.secrets); i++)
		hide(text, s->call.secrets[i]);
	if (status == 0)
		return notice_line(s->arena, text, WORDS_MAX);
	return notice_line(s->arena,
	    arena_printf(s->arena, "%s answered %d%s%s", who, status,
		*text ? ": " : "", text),
	    WORDS_MAX);
}

static void
on_done(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct sending *s = arg;
	bool is_mail = s->call.is_mail;
	int64_t wait_s = http_call_retry_after(s->under_way);
	struct notifier_answer answer = {
	    .verdict = is_mail ? mail_verdict(code, status)
			       : http_verdict(code, status),
	    .wait_s = wait_s < WAIT_MAX_S ? wait_s : WAIT_MAX_S,
	    .words = words_of(s, is_mail ? "the mail server" : "it", status,
		body, error),
	};

	s->under_way = NULL;
	--*s->among;
	s->done(s->arg, &answer);
}

rc
notifier_send(const struct notifier_env *env, struct arena *a,
    const struct notifier_ops *ops, const struct notice *n,
    notifier_done_fn *done, void *arg, const char **out_why)
{
	struct sending *s;
	unsigned *among = &env->under_way[place_of(ops)];
	rc ret;

	if (*among >= NOTIFIER_PARALLEL)
		return RC_BUSY;
	s = arena_alloc(a, sizeof(*s));
	s->among = among;
	s->arena = a;
	s->done = done;
	s->arg = arg;
	ret = ops->build(env->settings, a, n, &s->call, out_why);
	if (ret != RC_OK)
		return ret;
	if (s->call.is_mail)
		ret = mail_out_start(env->mail, &s->call.mail, on_done, s,
		    &s->under_way);
	else
		ret = http_out_start(env->http, &s->call.http, on_done, s,
		    &s->under_way);
	if (ret != RC_OK) {
		*out_why = "its settings make no request";
		return RC_INVALID;
	}
	++*among;
	arena_defer(a, stop, s);
	return RC_OK;
}
