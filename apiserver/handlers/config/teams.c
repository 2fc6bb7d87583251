#include "apiserver/handlers/config/nouns.h"
#include "common/base/attr.h"

static const struct field team_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"description", FIELD_TEXT, FIELD_MULTILINE, .max = 4000, .dflt = "\"\""},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_teams = {
    .label = "Team",
    .fields = team_fields,
    .nfields = ARRAY_LEN(team_fields),
    .whole = RESOURCE_WHOLE,
    .filters = {"q"},
    RESOURCE_STATEMENTS(TEAM),
    .duplicate = "A team with this name already exists",
    .in_use = "Cannot delete team: owners or certificates still belong "
	      "to this team",
};
