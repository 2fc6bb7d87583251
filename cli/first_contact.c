#include "cli/first_contact.h"

#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "cli/talk.h"
#include "common/base/enc.h"
#include "common/pki/cert/cert.h"

#define CONNECT_SECONDS 15L
#define PEM_MAX 65536

static bool
read_cert(struct cli *c, const char *pem, struct first_contact_cert *out)
{
	struct cert_info info;
	X509 *x = NULL;
	rc ret;

	if (strlen(pem) > PEM_MAX)
		return false;
	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return false;
	ret = cert_read(c->arena, x, &info);
	X509_free(x);
	if (ret != RC_OK)
		return false;
	memcpy(out->fingerprint_sha256, info.fingerprint_sha256,
	    sizeof(out->fingerprint_sha256));
	out->subject = out_harmless(c->arena,
	    info.common_name[0] ? info.common_name : "a certificate");
	out->is_ca = info.is_ca;
	out->pem = arena_strdup(c->arena, pem);
	return true;
}

static void
read_chain(struct cli *c, CURL *curl, struct first_contact *out)
{
	struct curl_certinfo *info = NULL;

	out->n = 0;
	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) != CURLE_OK ||
	    !info)
		return;
	for (int i = 0; i < info->num_of_certs; i++) {
		for (struct curl_slist *l = info->certinfo[i]; l; l = l->next) {
			if (strncmp(l->data, "Cert:", 5) == 0 &&
			    out->n < FIRST_CONTACT_MAX &&
			    read_cert(c, l->data + 5, &out->certs[out->n]))
				out->n++;
		}
	}
}

int
first_contact(struct cli *c, const char *server, struct first_contact *out)
{
	char said[CURL_ERROR_SIZE] = "";
	CURL *curl = curl_easy_init();
	CURLcode code = CURLE_FAILED_INIT;
	struct talk_failure f = {.fix = "Is the server up (make status), and "
					"is its URL right?"};

	out->n = 0;
	if (curl) {
		curl_easy_setopt(curl, CURLOPT_URL, server);
		curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
		curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
		curl_easy_setopt(curl, CURLOPT_SSLVERSION,
		    CURL_SSLVERSION_TLSv1_3);
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
		curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, said);
		/* What it shows is compared instead, by whoever asks. */
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
		code = curl_easy_perform(curl);
		if (code == CURLE_OK)
			read_chain(c, curl, out);
		curl_easy_cleanup(curl);
	}
	if (out->n > 0)
		return EXIT_DONE;
	f.why = arena_printf(c->arena, "%s: %s", server,
	    code == CURLE_OK ? "it shows no certificate"
	    : said[0]        ? said
			     : curl_easy_strerror(code));
	talk_failure(&f);
	return EXIT_UNREACHABLE;
}

bool
first_contact_read_fingerprint(const char *text, char out[65])
{
	size_t n = 0;

	if (strncasecmp(text, "sha256:", 7) == 0)
		text += 7;
	for (; *text; text++) {
		if (*text == ':' && n > 0 && n % 2 == 0 && n < 64)
			continue;
		if (n == 64 || enc_hex_value(*text) < 0)
			return false;
		out[n++] = "0123456789abcdef"[enc_hex_value(*text)];
	}
	out[n] = '\0';
	return n == 64;
}

const struct first_contact_cert *
first_contact_find(const struct first_contact *f, const char *fingerprint)
{
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->certs[i].fingerprint_sha256, fingerprint) == 0)
			return &f->certs[i];
	}
	return NULL;
}
