/*
 * event_words: what notifications say of what happened, for people.
 *
 * SQL fills in, by format() (notifications_make): %1$s the certificate's name,
 * %2$s its common name, %3$s the fact (an error, a target, a reason, what
 * breaks a rule), %4$s its end; in ".many", of one message for many, %1$s how
 * many they are, %2$s some names, %3$s the fact of one of them.
 */
#ifndef COMMON_POLICY_EVENT_WORDS_H
#define COMMON_POLICY_EVENT_WORDS_H

/*        type, of one, of many; none needs escaping in JSON */
#define EVENT_TYPE_TABLE(X) \
	X("RenewalSuccess", \
	    "Certificate %1$s (%2$s) was issued and ends on %4$s UTC", \
	    "%1$s certificates were issued, among them %2$s") \
	X("RenewalFailure", \
	    "Certificate %1$s (%2$s) could not be issued: %3$s", "") \
	X("DeploymentSuccess", \
	    "Certificate %1$s (%2$s) was deployed to target %3$s", \
	    "%1$s deployments were done, among them %2$s") \
	X("DeploymentFailure", \
	    "Certificate %1$s (%2$s) could not be deployed to target %3$s", \
	    "") \
	X("EndpointFailure", "Certificate %1$s (%2$s) is not served at %3$s", \
	    "") \
	X("PolicyViolation", "Certificate %1$s (%2$s) breaks policy %3$s", \
	    "%1$s certificates break a policy, among them %2$s: policy %3$s") \
	X("Revocation", "Certificate %1$s (%2$s) was revoked: %3$s", \
	    "%1$s certificates were revoked, among them %2$s: %3$s")

#define EVENT_WORD_MEMBERS(type, one, many) \
	",\"" type "\":\"" one "\",\"" type ".many\":\"" many "\""
/* {"v":1,"RenewalSuccess":"Certificate ...","RenewalSuccess.many":...} */
#define EVENT_WORDS_JSON "{\"v\":1" EVENT_TYPE_TABLE(EVENT_WORD_MEMBERS) "}"

#endif
