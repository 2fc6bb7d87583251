/*
 * rule_words: what a policy rule says of a certificate that breaks it, for
 * people.
 *
 * SQL finds what breaks a rule (migrations/code/23_policies.sql) and fills in,
 * by format(): %1$s what of the certificate breaks it, %2$s what the rule asks
 * for.  The sentences are ours and go along with the call as JSON, since they
 * are stored by the same transaction.
 */
#ifndef COMMON_POLICY_RULE_WORDS_H
#define COMMON_POLICY_RULE_WORDS_H

/*        type, sentence; neither needs escaping in JSON */
#define RULE_TYPE_TABLE(X) \
	X("AllowedIssuers", "its issuer is %1$s, allowed are: %2$s") \
	X("AllowedDomains", \
	    "the name %1$s is in none of the allowed domains: %2$s") \
	X("RequiredMetadata", "its tags lack: %1$s") \
	X("AllowedEnvironments", \
	    "its environment is '%1$s', allowed are: %2$s") \
	X("RenewalLeadTime", \
	    "it ends on %1$s UTC and was not renewed %2$s days before") \
	X("CertificateLifetime", "it lives %1$s days, allowed are %2$s")

#define RULE_WORD_MEMBER(type, sentence) ",\"" type "\":\"" sentence "\""
/* {"v":1,"AllowedIssuers":"its issuer is ...",...} */
#define RULE_WORDS_JSON "{\"v\":1" RULE_TYPE_TABLE(RULE_WORD_MEMBER) "}"

#endif
