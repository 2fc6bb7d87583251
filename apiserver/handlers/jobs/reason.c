/*
 * What a job or a certificate waits for, in words.
 *
 * job_reason() and certificate_reason() find by what is so now which word it
 * is, and give behind it, in lines of their own, the agent, issuer or target
 * it is about, a moment and what was said; each but the word may be empty.
 * The sentences are ours.
 */
#include <string.h>

#include "apiserver/handlers/jobs/jobs.h"
#include "common/base/attr.h"

enum moment { NO_MOMENT, SINCE, UNTIL };

struct sentence {
	const char *word;
	const char *before; /* of what the word is about */
	const char *after;
	enum moment moment;
};

/* Of a job: "it" and "the renewal" do what follows. */
static const struct sentence waits[] = {
    {"approval", "waits for an approval (certctl approvals list)", "",
	NO_MOMENT},
    {"no_target",
	"waits for an agent to hold its key: the certificate has no target; "
	"map it to a target",
	"", NO_MOMENT},
    {"csr", "waits for the CSR of agent ", "", NO_MOMENT},
    {"agent", "waits for agent ", " to take it", NO_MOMENT},
    {"agent_offline", "waits for agent ", ", which is offline", SINCE},
    {"agent_retired", "waits for agent ",
	", which is retired (map the certificate to another target and renew "
	"with force)",
	SINCE},
    {"later", "waits before it is tried again", NULL, UNTIL},
    {"order", "waits for its order at the CA, and asks again", NULL, UNTIL},
    {"order_uncertain",
	"waits for somebody who looks whether its order stands at the CA", NULL,
	NO_MOMENT},
    {"issuer_disabled", "waits for issuer ", ", which is disabled", NO_MOMENT},
    {"lane_closed", "waits for issuer ",
	", whose lane is closed (its cap is 0)", NO_MOMENT},
    {"lane_stopped", "waits for issuer ", ", whose calls failed", UNTIL},
    {"lane_rate", "waits for issuer ", ", whose rate allows no more just now",
	NO_MOMENT},
    {"no_worker", "waits for a worker: none lives", NULL, NO_MOMENT},
    {"worker_fault", "waits for a worker whose host can do it", NULL,
	NO_MOMENT},
    {"suspect",
	"waits until nothing else of its lane is due, as workers died with it",
	NULL, NO_MOMENT},
    {"turn", "waits for its turn at issuer ", "", NO_MOMENT},
};

/* Of a certificate, beside what its job waits for. */
static const struct sentence facts[] = {
    {"names_changed",
	"its names were changed after it was issued; the next renewal scan "
	"renews it",
	"", NO_MOMENT},
    {"issuer_changed",
	"its issuer was changed after it was issued; the next renewal scan "
	"renews it",
	"", NO_MOMENT},
    {"profile_changed",
	"its profile was changed after it was issued; the next renewal scan "
	"renews it",
	"", NO_MOMENT},
    {"by_hand", "nothing renews it by itself: auto_renew of renewal policy ",
	" is false", NO_MOMENT},
    {"issuer_off", "nothing renews it by itself: issuer ", " is disabled",
	NO_MOMENT},
    {"deployment_failing", "its last deployment to target ",
	" failed; the job's last error says why, and it is tried again",
	NO_MOMENT},
    {"served_other", "target ",
	" serves another certificate than the one that was deployed to it; "
	"its deployments say which, and another deployment puts it back",
	NO_MOMENT},
    {"failed", "its last job failed", NULL, NO_MOMENT},
    {"not_revoked_there", "it is revoked here, and not yet at its CA, issuer ",
	"", NO_MOMENT},
    {"revoke_by_hand", "it is revoked here; its CA, issuer ",
	", can't be told from here: revoke it there", NO_MOMENT},
    {"ends_with_ca",
	"it ends with its CA, under which renewing it gains nothing", NULL,
	NO_MOMENT},
};

enum { WORD, SUBJECT, MOMENT, WHY, PARTS };

/* Parts that are not there are "". */
static void
split(struct arena *a, const char *stored, const char *parts[PARTS])
{
	for (int i = 0; i < PARTS; i++) {
		/* What was said may have lines of its own. */
		size_t len = i == WHY ? strlen(stored) : strcspn(stored, "\n");

		parts[i] = arena_printf(a, "%.*s", (int)len, stored);
		stored += len + (stored[len] != '\0' ? 1 : 0);
	}
}

/* The sentence of what is stored, and its parts; NULL when none has its word.
 */
static const struct sentence *
find(struct arena *a, const struct sentence *all, size_t n, const char *stored,
    const char *parts[PARTS])
{
	split(a, stored, parts);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].word, parts[WORD]) == 0)
			return &all[i];
	}
	return NULL;
}

static const struct sentence *
find_wait(struct arena *a, const char *stored, const char *parts[PARTS])
{
	return find(a, waits, ARRAY_LEN(waits), stored, parts);
}

static const char *
put_sentence(struct arena *a, const struct sentence *s, const char *parts[])
{
	static const char *const joints[] =
	    {[SINCE] = " since ", [UNTIL] = " until "};
	const char *text = arena_printf(a, "%s%s%s", s->before,
	    s->after != NULL ? parts[SUBJECT] : "",
	    s->after != NULL ? s->after : "");

	if (s->moment != NO_MOMENT && parts[MOMENT][0] != '\0')
		text = arena_printf(a, "%s%s%s UTC", text, joints[s->moment],
		    parts[MOMENT]);
	if (parts[WHY][0] != '\0')
		text = arena_printf(a, "%s: %s", text, parts[WHY]);
	return text;
}

const char *
job_reason_say(struct arena *a, const char *stored)
{
	const char *parts[PARTS];
	const struct sentence *s = find_wait(a, stored, parts);

	return s != NULL ? put_sentence(a, s, parts) : parts[WORD];
}

const char *
cert_reason_say(struct arena *a, const char *stored)
{
	const char *parts[PARTS];
	const struct sentence *s =
	    find(a, facts, ARRAY_LEN(facts), stored, parts);

	if (s != NULL)
		return put_sentence(a, s, parts);
	return arena_printf(a, "its renewal %s", job_reason_say(a, stored));
}

static const char *
moment_of(struct arena *a, const char *stored, enum moment wanted)
{
	const char *parts[PARTS];
	const struct sentence *s = find_wait(a, stored, parts);

	return s != NULL && s->moment == wanted ? parts[MOMENT] : "";
}

const char *
job_reason_since(struct arena *a, const char *stored)
{
	return moment_of(a, stored, SINCE);
}

const char *
job_reason_until(struct arena *a, const char *stored)
{
	return moment_of(a, stored, UNTIL);
}
