#include "common/issuer/issuer_type.h"

#include <string.h>
#include <strings.h>

#include "common/base/attr.h"
#include "common/policy/policy.h"

#define KEY(name, type, min, max, is_required) \
	{name, KEY_##type, min, max, is_required},
#define ISSUER(symbol, type, words, keys) \
	static const struct configkey keys_##symbol[] = {keys};
#define LOCAL_ISSUER ISSUER
#include "common/issuer/issuers.def"
#undef ISSUER

#define ISSUER(symbol, type, words, keys) \
	{type, words, keys_##symbol, ARRAY_LEN(keys_##symbol)},
const struct issuer_type issuer_types[] = {
#include "common/issuer/issuers.def"
    {NULL, NULL, NULL, 0},
};

const struct issuer_type *
issuer_type_find(const char *type)
{
	for (const struct issuer_type *t = issuer_types; t->type; t++)
		if (strcmp(t->type, type) == 0)
			return t;
	return NULL;
}

static bool
is_among(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *w = words; *w; w += strspn(w, ",")) {
		size_t n = strcspn(w, ",");

		if (n == len && strncasecmp(w, word, n) == 0)
			return true;
		w += n;
	}
	return false;
}

const struct issuer_type *
issuer_type_of_word(const char *word)
{
	for (const struct issuer_type *t = issuer_types; t->type; t++)
		if (is_among(word, t->words))
			return t;
	return NULL;
}
