#include "cli/unheard.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "common/json/json.h"

bool
unheard_is(const struct cJSON *agent)
{
	const struct cJSON *entered = json_get(agent, "registered_at");
	const struct cJSON *heard = json_get(agent, "last_heartbeat_at");

	return cJSON_IsString(entered) && cJSON_IsString(heard) &&
	       strcmp(entered->valuestring, heard->valuestring) == 0;
}
