#include "common/bus/buscert.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/bus/certlife.h"
#include "common/log/log.h"

#define CERT_FILE_MAX (256 * 1024)

static rc
refuse(const char *file, const char *why)
{
	log_error("BUS-TLS", "%s: %s", file, why);
	return RC_INVALID;
}

static rc
read_text(struct arena *a, const char *file, char **out)
{
	size_t len;
	rc ret;

	ret = file_read(a, file, CERT_FILE_MAX, out, &len);
	if (ret != RC_OK)
		return refuse(file,
		    ret == RC_TOO_LARGE ? "is too large" : "cannot be read");
	return RC_OK;
}

static rc
set_own_cert(struct arena *a, nng_tls_config *cfg, const struct bus_tls *files)
{
	struct secret *key = NULL;
	char *cert, *key_text;
	size_t len;
	rc ret;
	int rv;

	ret = read_text(a, files->cert_file, &cert);
	if (ret != RC_OK)
		return ret;
	ret = secret_new_from_file(files->key_file, &key);
	if (ret != RC_OK)
		return refuse(files->key_file,
		    "must be a key file that only its owner can read");

	len = secret_len(key);
	key_text = mem_zalloc(len + 1); /* nng wants it NUL-terminated */
	memcpy(key_text, secret_bytes(key), len);
	rv = nng_tls_config_own_cert(cfg, cert, key_text, NULL);
	mem_wipe(key_text, len);
	mem_freep(&key_text);
	secret_free(key);
	if (rv != 0)
		return refuse(files->cert_file,
		    "is not a PEM certificate with the key in the key file");
	/* mbedTLS takes any two, and every handshake would fail. */
	if (!certlife_is_pair(files))
		return refuse(files->key_file,
		    "is not the key of the certificate");
	return RC_OK;
}

static rc
set_ca(struct arena *a, nng_tls_config *cfg, const struct bus_tls *files)
{
	char *ca;
	rc ret;
	int rv;

	ret = read_text(a, files->ca_file, &ca);
	if (ret != RC_OK)
		return ret;
	rv = nng_tls_config_ca_chain(cfg, ca, NULL);
	if (rv != 0)
		return refuse(files->ca_file, "is not a PEM certificate");
	return RC_OK;
}

rc
buscert_load(const struct bus_tls *files, const char *host,
    struct nng_tls_config **out)
{
	nng_tls_config *cfg = NULL;
	struct arena *a;
	rc ret;
	int rv;

	if (!files || !files->ca_file || !files->cert_file ||
	    !files->key_file) {
		log_error("BUS-TLS", "tls+tcp:// needs CERTCTL_BUS_CA, "
				     "CERTCTL_BUS_CERT and CERTCTL_BUS_KEY");
		return RC_INVALID;
	}
	rv = nng_tls_config_alloc(&cfg,
	    host ? NNG_TLS_MODE_CLIENT : NNG_TLS_MODE_SERVER);
	if (rv != 0) {
		log_error("BUS-TLS", "nng: %s", nng_strerror(rv));
		return RC_NOT_IMPLEMENTED;
	}
	/* Required on both sides: the listener too asks for a certificate. */
	rv = nng_tls_config_auth_mode(cfg, NNG_TLS_AUTH_MODE_REQUIRED);
	if (rv == 0)
		rv = nng_tls_config_version(cfg, NNG_TLS_1_2, NNG_TLS_1_2);
	if (rv == 0 && host)
		rv = nng_tls_config_server_name(cfg, host);
	if (rv != 0) {
		log_error("BUS-TLS", "nng: %s", nng_strerror(rv));
		ret = RC_INTERNAL;
	} else {
		a = arena_new();
		ret = set_ca(a, cfg, files);
		if (ret == RC_OK)
			ret = set_own_cert(a, cfg, files);
		arena_free(a);
	}
	if (ret != RC_OK) {
		nng_tls_config_free(cfg);
		return ret;
	}

	*out = cfg;
	return RC_OK;
}

static char *
copy_or_null(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

void
buscert_files_copy(const struct bus_tls *files, struct bus_tls *out)
{
	*out = (struct bus_tls){0};
	if (!files)
		return;
	*out = (struct bus_tls){
	    .ca_file = copy_or_null(files->ca_file),
	    .cert_file = copy_or_null(files->cert_file),
	    .key_file = copy_or_null(files->key_file),
	};
}

void
buscert_files_free(struct bus_tls *copy)
{
	free((char *)copy->ca_file);
	free((char *)copy->cert_file);
	free((char *)copy->key_file);
}
