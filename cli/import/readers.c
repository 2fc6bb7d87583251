#include "cli/import/readers.h"

#include "common/base/attr.h"

/* The first that knows it reads it; pem knows all. */
static const struct import_reader *const readers[] = {
    &import_certbot,
    &import_caddy,
    &import_acme_sh,
    &import_lego,
    &import_cert_manager,
    &import_pem,
};

bool
readers_read(struct import *im, const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		if (readers[i]->knows(im, path)) {
			readers[i]->read(im, path);
			return true;
		}
	}
	return false;
}
