#include "apiserver/handlers/config/nouns.h"
#include "common/base/attr.h"

static const struct field owner_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"email", FIELD_TEXT, 0, .max = 255, .dflt = "\"\""},
    {"team_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = 128},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_owners = {
    .label = "Owner",
    .fields = owner_fields,
    .nfields = ARRAY_LEN(owner_fields),
    .whole = RESOURCE_WHOLE,
    .filters = {"q", "team_id"},
    RESOURCE_STATEMENTS(OWNER),
    .duplicate = "An owner with this id already exists",
    .in_use = "Cannot delete owner: certificates are still assigned to "
	      "this owner, or a profile, an ACME account or a key for one "
	      "names it",
};
