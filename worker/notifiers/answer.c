#include "worker/notifiers/answer.h"

#include <string.h>

#define WAIT_MAX_S 86400
#define WORDS_MAX 300

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

static char *
hide_all(const struct notifier_call *c, char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(c->secrets); i++)
		hide(text, c->secrets[i]);
	return text;
}

/* An answer may repeat what it was sent, and with what can't be seen in the
 * midst of it: so secrets are looked for again in the line that is shown, and
 * it is cut when there is none left that a cut would only shorten. */
static const char *
words_of(struct arena *a, const struct notifier_call *c,
    const struct answer_end *end)
{
	const char *who = c->is_mail ? "the mail server" : "it";
	char *said = arena_printf(a, "%s%s%s", end->error ? end->error : "",
	    end->error && *end->body ? ": " : "", end->body);
	const char *line = notice_line(a, hide_all(c, said), strlen(said));

	line = hide_all(c, arena_strdup(a, line));
	if (end->status == 0)
		return notice_line(a, line, WORDS_MAX);
	return notice_line(a,
	    arena_printf(a, "%s answered %d%s%s", who, end->status,
		*line ? ": " : "", line),
	    WORDS_MAX);
}

struct notifier_answer
answer_read(struct arena *a, const struct notifier_call *c,
    const struct answer_end *end)
{
	int64_t wait_s = end->retry_after_s;

	return (struct notifier_answer){
	    .verdict = c->is_mail ? mail_verdict(end->code, end->status)
				  : http_verdict(end->code, end->status),
	    .wait_s = wait_s < WAIT_MAX_S ? wait_s : WAIT_MAX_S,
	    .words = words_of(a, c, end),
	};
}
