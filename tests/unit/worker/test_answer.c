/*
 * What receivers of messages answer: what it means, and what is told of it.
 */
#include <string.h>

#include "tests/unit/check.h"
#include "worker/notifiers/answer.h"

#define SECRET "https://hooks.example/T0/token"

/* Static, so that the words outlive the arena. */
static char words[2000];

static struct notifier_answer
answer_of(bool is_mail, rc code, int status, const char *body,
    const char *error)
{
	const struct notifier_call c = {.is_mail = is_mail,
	    .secrets = {SECRET, "/T0/token"}};
	const struct answer_end end = {code, status, body, error, INT64_MAX};
	struct arena *a = arena_new();
	struct notifier_answer answer = answer_read(a, &c, &end);

	(void)snprintf(words, sizeof(words), "%s", answer.words);
	answer.words = words;
	arena_free(a);
	return answer;
}

static void
test_verdicts(void)
{
	static const struct {
		bool is_mail;
		rc code;
		int status;
		enum notifier_verdict verdict;
	} cases[] = {
	    {false, RC_OK, 204, NOTIFIER_SENT},
	    {false, RC_TOO_LARGE, 200, NOTIFIER_SENT},
	    {false, RC_OK, 429, NOTIFIER_LATER},
	    {false, RC_OK, 503, NOTIFIER_LATER},
	    {false, RC_OK, 301, NOTIFIER_NEVER},
	    {false, RC_OK, 404, NOTIFIER_NEVER},
	    {false, RC_FORBIDDEN, 0, NOTIFIER_NEVER},
	    {false, RC_TIMEOUT, 0, NOTIFIER_LATER},
	    {true, RC_OK, 250, NOTIFIER_SENT},
	    {true, RC_UNAVAILABLE, 451, NOTIFIER_LATER},
	    {true, RC_UNAVAILABLE, 550, NOTIFIER_NEVER},
	    {true, RC_UNAUTHENTICATED, 535, NOTIFIER_NEVER},
	    {true, RC_TIMEOUT, 0, NOTIFIER_LATER},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_INT(answer_of(cases[i].is_mail, cases[i].code,
			      cases[i].status, "", NULL)
			      .verdict,
		    cases[i].verdict);
}

static void
test_words(void)
{
	struct notifier_answer said;

	said = answer_of(false, RC_OK, 500, "no\r\nway", NULL);
	CHECK_STR(said.words, "it answered 500: no  way");
	said = answer_of(true, RC_UNAVAILABLE, 550, "550 unknown", "refused");
	CHECK_STR(said.words,
	    "the mail server answered 550: refused: 550 unknown");
	said = answer_of(false, RC_TIMEOUT, 0, "", "timed out");
	CHECK_STR(said.words, "timed out");
	said = answer_of(false, RC_OK, 429, "", NULL);
	CHECK_STR(said.words, "it answered 429");
	CHECK_INT(said.wait_s, 86400);
}

/* Repeated as it is, with what can't be seen in it, and where it is cut. */
static void
test_secrets(void)
{
	static const char *const bodies[] = {
	    "no such hook: " SECRET,
	    "no such hook: https://hooks.example/T0/to\xe2\x80\x8bken",
	    "no such hook: https://hooks\x01.example/T0/token\x7f",
	    "path \xe2\x80\xae/T0/\xe2\x80\xactoken",
	};
	char body[320];

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		(void)answer_of(false, RC_OK, 404, bodies[i], NULL);
		CHECK(strstr(words, "***") && !strstr(words, "token"));
	}
	/* What is cut off is no part of one. */
	memset(body, 'x', sizeof(body));
	(void)snprintf(body + 275, sizeof(body) - 275, "%s",
	    "https://hooks.example/T0/to\xe2\x80\x8bken");
	(void)answer_of(false, RC_OK, 404, body, NULL);
	CHECK(!strstr(words, "http"));
}

CHECK_MAIN(CHECK_ROW(test_verdicts), CHECK_ROW(test_words),
    CHECK_ROW(test_secrets))
