#include "worker/notifiers/notifier.h"

#include <string.h>

#include "worker/notifiers/answer.h"

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

static void
on_done(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct sending *s = arg;
	const struct answer_end end = {code, status, body, error,
	    http_call_retry_after(s->under_way)};
	struct notifier_answer answer = answer_read(s->arena, &s->call, &end);

	(void)len; /* of what follows a NUL nothing is shown */
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
