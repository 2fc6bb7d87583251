/*
 * reseal: certctl-worker as a command: are the secrets of issuers sealed to the
 * first key of CERTCTL_ISSUER_SECRETS_KEYS, and seal those anew that are not.
 *
 * Only who has the former key can do so, which is a worker's host.  Each issuer
 * is one transaction, so whoever is killed in between is simply run again.
 */
#ifndef WORKER_RESEAL_H
#define WORKER_RESEAL_H

#include <stdbool.h>

#define RESEAL_HELP \
	"  --issuer-secrets\n" \
	"                  say how many secrets of issuers are sealed to the " \
	"first of\n" \
	"                  CERTCTL_ISSUER_SECRETS_KEYS, and end with status " \
	"1 while any\n" \
	"                  is not\n" \
	"  --reseal-issuer-secrets\n" \
	"                  seal those anew to it that are sealed to another, " \
	"likewise\n"

/* Whether an option asks for it; then it was done, and *out_exit is the
 * status. */
bool reseal_main(int argc, char **argv, int *out_exit);

#endif
