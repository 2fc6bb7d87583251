/*
 * What an operator should know of a certificate beside its status.
 *
 * certificate_reason() finds the word, by what is so now; the sentence is ours.
 */
#include <string.h>

#include "apiserver/handlers/certificates/certs.h"
#include "common/base/attr.h"

static const struct {
	const char *word;
	const char *before; /* of what the word names, an agent or target */
	const char *after;
} sentences[] = {
    {"names_changed",
	"its names were changed after it was issued; the next renewal scan "
	"renews it",
	""},
    {"issuer_changed",
	"its issuer was changed after it was issued; the next renewal scan "
	"renews it",
	""},
    {"profile_changed",
	"its profile was changed after it was issued; the next renewal scan "
	"renews it",
	""},
    {"no_target",
	"its renewal waits: it has no target, so no agent holds its key; map "
	"it to a target",
	""},
    {"agent_offline", "its renewal waits for the CSR of agent ",
	", which is offline"},
    {"agent_retired", "its renewal waits for the CSR of agent ",
	", which is retired; map it to another target and renew with force"},
    {"deployment_failing", "its last deployment to target ",
	" failed; the job's last error says why, and it is tried again"},
};

const char *
cert_reason_say(struct arena *a, const char *word)
{
	size_t len = strcspn(word, ":");

	for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
		if (strlen(sentences[i].word) != len ||
		    memcmp(sentences[i].word, word, len) != 0)
			continue;
		return arena_printf(a, "%s%s%s", sentences[i].before,
		    word[len] == ':' ? word + len + 1 : "", sentences[i].after);
	}
	return word;
}
