#include "agent/news.h"

#include "agent/heartbeat.h"
#include "agent/served.h"

static void
on_deployed(struct agent *a)
{
	served_look_soon(a->served);
}

static void
on_served_changed(struct agent *a)
{
	heartbeat_soon(a->heartbeat);
}

void
news_wire(struct agent *a)
{
	a->on_deployed = on_deployed;
	a->on_served_changed = on_served_changed;
}
