/*
 * job_words: why the engine ends a job by itself, for people.
 *
 * SQL decides and picks the word; the sentence is ours, and goes along with the
 * call as JSON, since it is stored by the same transaction.  %s is filled in
 * there, by format(): the agent, the order or the status.  A test compares the
 * words with those that migrations/code names.
 */
#ifndef COMMON_JOB_JOB_WORDS_H
#define COMMON_JOB_JOB_WORDS_H

#define JOB_NONSENSE "this job can never run: "

/* The API says it too. */
#define JOB_ORDER_CHANGED \
	"what its certificate is to be was changed, and the ACME client that " \
	"alone has its key has to place a new order"

/* The worker says it of a batch's end, SQL of a lease's. */
#define JOB_HELD \
	"given back: somebody's open transaction holds its certificate's row"

/*        word, sentence; neither needs escaping in JSON */
#define JOB_WORD_TABLE(X) \
	X("agent_gone", \
	    "its agent was retired, or fell silent with it and the " \
	    "certificate was revoked or archived") \
	X("approval_timeout", "nobody decided within the approval time limit") \
	X("csr_timeout", "agent %s sent no CSR within the time limit") \
	X("csr_timeout_no_holder", \
	    "no agent sent a CSR: the certificate has no target, so no agent " \
	    "holds its key; map it to a target") \
	X("held", JOB_HELD) \
	X("nonsense_far_ahead", \
	    JOB_NONSENSE "its run_after lies more than a year ahead") \
	X("nonsense_no_agent", JOB_NONSENSE "it names no agent") \
	X("nonsense_no_approval", JOB_NONSENSE \
	    "nobody was asked for the approval that it waits for") \
	X("nonsense_no_certificate", JOB_NONSENSE "it names no certificate") \
	X("nonsense_no_issuer", JOB_NONSENSE "it names no issuer") \
	X("nonsense_no_lease", JOB_NONSENSE "it is Running without a lease") \
	X("nonsense_no_target", JOB_NONSENSE "it names no target") \
	X("nonsense_no_version", \
	    JOB_NONSENSE "it names no version to install") \
	X("nonsense_validation", \
	    JOB_NONSENSE "nothing runs jobs of type Validation") \
	X("nonsense_waiting_deployment", \
	    JOB_NONSENSE "a deployment never waits in %s") \
	X("order_changed", JOB_ORDER_CHANGED) \
	X("refused_data", \
	    "the database refuses what is stored of it, its profile or its " \
	    "issuer's configuration: %s") \
	X("replacement_cancelled", \
	    "replacement %s was cancelled before the certificate was issued") \
	X("workers_died", "its workers died again and again while running " \
			  "it, at last with nothing else in hand") \
	X("workers_died_ordering", \
	    "its workers died again and again while order %s was under way, " \
	    "and it may exist at the CA: look there, then cancel this job " \
	    "and " \
	    "renew again")

#define JOB_WORD_MEMBER(word, sentence) ",\"" word "\":\"" sentence "\""
/* {"v":1,"agent_gone":"its agent was retired, or ...",...} */
#define JOB_WORDS_JSON "{\"v\":1" JOB_WORD_TABLE(JOB_WORD_MEMBER) "}"

#endif
