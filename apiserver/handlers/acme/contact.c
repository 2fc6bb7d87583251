#include "apiserver/handlers/acme/contact.h"

#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "apiserver/handlers/acme/answer.h"
#include "common/base/hostname.h"
#include "common/db/db.h"
#include "common/json/json.h"

#define MAILTO "mailto:"

enum {
	CONTACTS_MAX = 10,
	ADDRESS_MAX = 254, /* RFC 5321 section 4.5.3.1.3, without brackets */
	LOCAL_MAX = 64,
};

/* NULL, or what is wrong with "name@host" (RFC 6068 section 2, the plain part
 * of it). */
static const char *
address_fault(const char *address)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    ".!#$&'*+-/=^_`{|}~";
	const char *at = strchr(address, '@');

	if (strchr(address, '?'))
		return "header fields behind ? are not taken";
	if (strchr(address, ','))
		return "each entry has one address";
	if (strlen(address) > ADDRESS_MAX)
		return "the address is longer than 254 characters";
	if (!at || at == address || at - address > LOCAL_MAX)
		return "an address is name@host";
	if (strspn(address, letters) != (size_t)(at - address))
		return "the name before @ has a character that it may not have";
	if (!hostname_is_valid(at + 1, false))
		return "no host is called what stands behind @";
	return NULL;
}

/* True: it is one that is taken. */
static bool
check(struct op *op, const struct cJSON *item, const char **out,
    enum op_next *out_next)
{
	const char *text, *why;

	if (!cJSON_IsString(item)) {
		*out_next = acme_problem(op, ACME_MALFORMED,
		    "contact must be an array of texts, such as "
		    "\"mailto:admin@example.org\"");
		return false;
	}
	text = item->valuestring;
	if (strncasecmp(text, MAILTO, strlen(MAILTO)) != 0) {
		*out_next = acme_problem(op, ACME_UNSUPPORTED_CONTACT,
		    "a contact must begin with " MAILTO ": no other way is "
		    "used here");
		return false;
	}
	why = address_fault(text + strlen(MAILTO));
	if (why) {
		*out_next = acme_problem(op, ACME_INVALID_CONTACT,
		    "a contact cannot be used: %s", why);
		return false;
	}
	*out = text;
	return true;
}

bool
acme_contact_read(struct op *op, const struct cJSON *payload,
    const char **out_list, enum op_next *out_next)
{
	const struct cJSON *list = json_get(payload, "contact"), *item;
	const char *texts[CONTACTS_MAX];
	size_t n = 0;

	*out_list = NULL;
	if (!list || cJSON_IsNull(list))
		return true;
	if (!cJSON_IsArray(list)) {
		*out_next = acme_problem(op, ACME_MALFORMED,
		    "contact must be an array");
		return false;
	}
	if (cJSON_GetArraySize(list) > CONTACTS_MAX) {
		*out_next = acme_problem(op, ACME_INVALID_CONTACT,
		    "an account has %d contacts at most", CONTACTS_MAX);
		return false;
	}
	cJSON_ArrayForEach(item, list)
	{
		if (!check(op, item, &texts[n++], out_next))
			return false;
	}
	*out_list = db_text_array(op_arena(op), texts, n);
	return true;
}
