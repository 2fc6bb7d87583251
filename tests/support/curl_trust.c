/*
 * curl_trust: preloaded into a client of libcurl, has it verify servers with
 * the file CURL_TRUST.  For clients that take it from nowhere but the machine.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

#define OPTION_CAINFO \
	10065 /* CURLOPT_CAINFO; no header, so that any libcurl serves */

void *
curl_easy_init(void)
{
	void *(*init)(void) =
	    (void *(*)(void))dlsym(RTLD_NEXT, "curl_easy_init");
	int (*set)(void *, int, ...) =
	    (int (*)(void *, int, ...))dlsym(RTLD_NEXT, "curl_easy_setopt");
	void *made = init ? init() : NULL;

	if (made && set && getenv("CURL_TRUST"))
		set(made, OPTION_CAINFO, getenv("CURL_TRUST"));
	return made;
}
