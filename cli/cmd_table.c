/*
 * The table of commands: its rows stand in commands/, here is what several of
 * them say.
 */
#include "cli/cli.h"
#include "cli/command.h"
#include "common/job/job_fsm.h"
#include "common/policy/rule_words.h"

#define REASONS \
	"unspecified|keyCompromise|caCompromise|affiliationChanged|" \
	"superseded|cessationOfOperation|certificateHold|privilegeWithdrawn"
#define REVOKE_OLD \
	"unspecified|keyCompromise|caCompromise|affiliationChanged|" \
	"superseded|cessationOfOperation|privilegeWithdrawn"
#define CERT_STATUS \
	"Pending|Active|Expiring|Expired|RenewalInProgress|Failed|Revoked|" \
	"Archived"
#define SEVERITIES "Warning|Error|Critical"

/* Words that others have too, each behind a bar; the first bar is passed
 * over. */
static const char event_statuses[] =
#define EVENT_STATUS(word) "|" word
#include "common/policy/event_statuses.def"
#undef EVENT_STATUS
    ;
static const char excluded_reasons[] =
#define EXCLUDED(word, says) "|" word
#include "common/issuer/excluded.def"
#undef EXCLUDED
    ;
#define LOCAL_ISSUER(symbol, type, words, keys) "|" type
#define ISSUER LOCAL_ISSUER
static const char issuer_types[] =
#include "common/issuer/issuers.def"
    ;
#undef ISSUER
#undef LOCAL_ISSUER
static const char job_states[] =
#define JOB_STATE(code, name, final) "|" name
    JOB_STATE_TABLE(JOB_STATE)
#undef JOB_STATE
    ;
static const char rule_types[] =
#define RULE_TYPE(type, sentence) "|" type
    RULE_TYPE_TABLE(RULE_TYPE)
#undef RULE_TYPE
    ;
#define EVENT_STATUSES (event_statuses + 1)
#define EXCLUDED_REASONS (excluded_reasons + 1)
#define ISSUER_TYPES (issuer_types + 1)
#define JOB_STATUS (job_states + sizeof("|none")) /* no job has that one */
#define RULE_TYPES (rule_types + 1)

/* How a row is written. */
#define GET(of) .method = "GET", .path = (of)
#define LIST(of) .method = "GET", .path = (of), .flags = COMMAND_LIST
#define PAGED(of) \
	.method = "GET", .path = (of), .flags = COMMAND_LIST | COMMAND_PAGED
#define CALL(how, of) .method = (how), .path = (of), .flags = COMMAND_CALL
#define BODY(how, of) \
	.method = (how), .path = (of), .flags = COMMAND_CALL | COMMAND_BODY
/* By code of its own, which shows more than the call. */
#define CALLED(how, of) .method = (how), .path = (of)
#define OPTIONS(...) \
	.options = (const struct option[]) \
	{ \
		__VA_ARGS__, \
		{ \
			NULL \
		} \
	}
#define COLUMNS(...) \
	.columns = (const struct column[]) \
	{ \
		__VA_ARGS__, \
		{ \
			NULL \
		} \
	}
#define MEMBERS(...) \
	.members = (const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}

/* Options of several rows. */
#define TIMEOUT \
	{ \
		"--timeout", "1..86400", "seconds to wait at most", OPTION_OWN \
	}
#define CONFIG \
	{ \
		"--config", "JSON", "its settings, an object", OPTION_JSON \
	}
#define ISSUER_CONFIG \
	{ \
		"--config", "JSON", \
		    "its settings, an object, as docs/reference/issuers says " \
		    "of each type; of GenericCA {\"validity_days\": 90}", \
		    OPTION_JSON, .secret = OPTION_SECRETS_IN \
	}
#define TARGET_CONFIG(needed) \
	{ \
		"--config", "JSON", \
		    "its settings, an object: cert_path and key_path, where " \
		    "the server's configuration looks; host, port and " \
		    "server_name, where a handshake proves what is served; " \
		    "all of them: docs/operator/agents.md", \
		    OPTION_JSON, .secret = OPTION_SECRETS_IN, needed \
	}
#define CRITERIA \
	{"--agent-id", "AGENT", "on that agent's targets"}, \
	    {"--issuer-id", "ISSUER", "of that issuer"}, \
	    {"--owner-id", "OWNER", "of that owner"}, \
	    {"--profile-id", "PROFILE", "of that profile"}, \
	{ \
		"--team-id", "TEAM", "of that team" \
	}
#define SCOPE \
	{"--scope-type", "global|profile|issuer", "limited to one such"}, \
	{ \
		"--scope-id", "TEXT", "to that one" \
	}
#define AUDIT_FILTERS \
	{"--category", "cert_lifecycle|auth|config", "of that category"}, \
	    {"--actor", "NAME", "by this one"}, \
	    {"--action", "ACTION", "of that name"}, \
	    {"--resource-type", "TYPE", "to objects of that type"}, \
	{ \
		"--resource-id", "TEXT", "to that object" \
	}
#define REPLACE_ENDS \
	{"--issuer", "ISSUER", "the one to leave", OPTION_OWN, \
	    .is_required = true}, \
	{ \
		"--to", "ISSUER", "the one to have", OPTION_OWN, \
		    .is_required = true \
	}
#define DAYS \
	{ \
		"--days", "1..365", "so many days; 30 without it" \
	}

/* Columns and members of several rows. */
#define VIOLATION_COLUMNS \
	COLUMNS({"SEVERITY", "severity"}, {"CERTIFICATE", "certificate_id"}, \
	    {"POLICY", "rule_id"}, {"SINCE", "created_at", COLUMN_TIME}, \
	    {"WHAT", "message"})
#define TARGET_COLUMNS \
	COLUMNS({"ID", "id"}, {"NAME", "name"}, {"TYPE", "type"}, \
	    {"AGENT", "agent_id"}, {"ENABLED", "enabled"}, \
	    {"TEST", "test_status"}, \
	    {"TESTED", "last_tested_at", COLUMN_TIME})
#define AGENT_COLUMNS \
	COLUMNS({"ID", "id"}, {"NAME", "name"}, {"HOSTNAME", "hostname"}, \
	    {"STATUS", "status", COLUMN_AGENT}, \
	    {"LAST HEARTBEAT", "last_heartbeat_at", COLUMN_TIME}, \
	    {"VERSION", "version"})
#define CHECK_MEMBERS \
	MEMBERS("id", "status", "endpoint", "enabled", "certificate_id", \
	    "network_scan_target_id", "expected_fingerprint", \
	    "observed_fingerprint", "failure_reason", "consecutive_failures", \
	    "degraded_threshold", "down_threshold", "check_interval_seconds", \
	    "response_time_ms", "tls_version", "cipher_suite", "cert_subject", \
	    "cert_issuer", "cert_expiry", "last_checked_at", \
	    "last_success_at", "last_failure_at", "last_transition_at", \
	    "acknowledged_by", "acknowledged_at")
#define SCAN_MEMBERS \
	MEMBERS("id", "name", "cidrs", "ports", "enabled", \
	    "scan_interval_hours", "timeout_ms", "last_scan_at", \
	    "last_scan_duration_ms", "last_scan_certs_found", "created_at", \
	    "updated_at")
#define INTERMEDIATE_MEMBERS \
	MEMBERS("id", "name", "state", "owning_issuer_id", "parent_ca_id", \
	    "subject", "not_before", "not_after", "path_len_constraint", \
	    "name_constraints", "ocsp_responder_url", "key_driver_id", \
	    "created_at", "updated_at")
#define KEY_MEMBERS \
	MEMBERS("actor_id", "key_value", "api_key_id", "created_at", \
	    "expires_at", "old_key_until", "message")
#define ROLE_MEMBERS \
	MEMBERS("id", "name", "description", "created_at", "updated_at")
#define GROUP_MEMBERS \
	MEMBERS("id", "name", "description", "match_os", "match_architecture", \
	    "match_ip_cidr", "match_version", "enabled", "created_at", \
	    "updated_at")
#define ISSUER_MEMBERS \
	MEMBERS("id", "name", "type", "config", "enabled", "test_status", \
	    "last_tested_at", "source", "hierarchy_mode", "created_at", \
	    "updated_at")
#define OWNER_MEMBERS \
	MEMBERS("id", "name", "email", "team_id", "created_at", "updated_at")
#define RULE_MEMBERS \
	MEMBERS("id", "name", "type", "severity", "config", "enabled", \
	    "created_at", "updated_at")
#define PROFILE_MEMBERS \
	MEMBERS("id", "name", "description", "enabled", "requires_approval", \
	    "max_ttl_seconds", "allow_short_lived", "must_staple", \
	    "allowed_key_algorithms", "allowed_ekus", "required_san_patterns", \
	    "spiffe_uri_pattern", "required_csr_attributes", "acme_auth_mode", \
	    "issuer_id", "acme_owner_id", "acme_renewal_policy_id", \
	    "acme_eab_required", "acme_limits", "created_at", "updated_at")
#define RENEWAL_MEMBERS \
	MEMBERS("id", "name", "renewal_window_days", "renewal_percent", \
	    "auto_renew", "max_retries", "retry_interval_seconds", \
	    "alert_thresholds_days", "alert_channels", "alert_severity_map", \
	    "certificates_behind", "created_at", "updated_at")
#define TARGET_MEMBERS \
	MEMBERS("id", "name", "type", "agent_id", "config", "enabled", \
	    "test_status", "last_tested_at", "served_serial_number", \
	    "served_issuer_dn", "served_not_after", "served_since", \
	    "served_by", "served_error", "created_at", "updated_at")
#define TEAM_MEMBERS \
	MEMBERS("id", "name", "description", "created_at", "updated_at")

static const struct option bulk_options[] = {
    {"--dry-run", NULL, "have the server count them, and do nothing",
	OPTION_OWN},
    {"--yes", NULL, "do it without being asked", OPTION_OWN},
    {"--idempotency-key", "KEY", "run again with it, it is done once",
	OPTION_OWN},
    {NULL},
};

static const struct option cert_options[] = {
    {"--sans", "NAME,NAME", "all names in it", OPTION_TEXTS},
    {"--environment", "TEXT", "where it is used"},
    {"--certificate-profile-id", "PROFILE", "what it may be"},
    {"--target-ids", "TARGET,TARGET", "where it is installed", OPTION_TEXTS},
    {"--tags", "KEY=VALUE,KEY=VALUE", "your own notes", OPTION_TAGS},
    {NULL},
};

static const struct option group_options[] = {
    {"--description", "TEXT", "what it is for"},
    {"--match-os", "TEXT", "those of that operating system"},
    {"--match-architecture", "TEXT", "those of that processor"},
    {"--match-ip-cidr", "CIDR", "those of these addresses"},
    {"--match-version", "TEXT", "those of that version"},
    {"--enabled", "true|false", "whether it is in use"},
    {NULL},
};

static const struct option check_options[] = {
    {"--certificate-id", "CERTIFICATE", "which certificate it serves; - none",
	.null = "-"},
    {"--network-scan-target-id", "SCAN", "which scan found it; - none",
	.null = "-"},
    {"--expected-fingerprint", "TEXT", "what it must serve"},
    {"--degraded-threshold", "1..1000", "looks that fail before it is so"},
    {"--down-threshold", "1..1000", "and before it is down"},
    {"--check-interval-seconds", "1..2592000", "how often it is looked at"},
    {"--enabled", "true|false", "whether it is looked at"},
    {NULL},
};

static const struct option scan_options[] = {
    {"--ports", "PORT,PORT", "which ports; 443 without it", OPTION_INTS},
    {"--scan-interval-hours", "1..8760", "how often"},
    {"--timeout-ms", "100..30000", "how long one is waited for"},
    {"--enabled", "true|false", "whether it is done"},
    {NULL},
};

/* One limit of ACME replaces them all, as the API has it. */
static const struct option profile_options[] = {
    {"--description", "TEXT", "what it is for"},
    {"--enabled", "true|false", "whether it is in use"},
    {"--requires-approval", "true|false", "whether somebody must agree"},
    {"--max-ttl-seconds", "0..2147483647", "how long one lives at most"},
    {"--allow-short-lived", "true|false", "whether days are enough"},
    {"--must-staple", "true|false", "whether OCSP must be stapled"},
    {"--allowed-key-algorithms", "JSON", "a list of objects", OPTION_JSON},
    {"--allowed-ekus", "EKU,EKU", "what it may be used for", OPTION_TEXTS},
    {"--required-san-patterns", "PATTERN,PATTERN", "names it may have",
	OPTION_TEXTS},
    {"--spiffe-uri-pattern", "PATTERN", "and of SPIFFE"},
    {"--required-csr-attributes", "NAME,NAME", "what requests must hold",
	OPTION_TEXTS},
    {"--acme-auth-mode", "trust_authenticated|challenge",
	"how ACME clients prove a name"},
    {"--issuer-id", "ISSUER", "who issues for ACME clients; - nobody",
	.null = "-"},
    {"--acme-owner-id", "OWNER", "whose their certificates are; - nobody's",
	.null = "-"},
    {"--acme-renewal-policy-id", "RENEWAL-POLICY",
	"when theirs are renewed; - as the default says", .null = "-"},
    {"--acme-eab-required", "true|false|server",
	"whether they need a key to begin; server: as its settings say",
	.null = "server"},
    {"--acme-orders-per-hour", "0..1000000000", "of an account",
	.member = "acme_limits.orders_per_hour"},
    {"--acme-concurrent-orders", "0..1000000000", "of an account",
	.member = "acme_limits.concurrent_orders"},
    {"--acme-key-changes-per-hour", "0..1000000000", "of an account",
	.member = "acme_limits.key_changes_per_hour"},
    {"--acme-challenge-responses-per-hour", "0..1000000000", "of an account",
	.member = "acme_limits.challenge_responses_per_hour"},
    {"--acme-server-limits", NULL, "all four as the server's settings say",
	.member = "acme_limits", .sends = "{}"},
    {NULL},
};

static const struct option renewal_options[] = {
    {"--renewal-window-days", "1..365", "days before the end"},
    {"--renewal-percent", "1..99",
	"or when so much of its life is over; =- takes that away", .null = "-"},
    {"--auto-renew", "true|false", "whether that is done by itself"},
    {"--max-retries", "0..10", "how often it is tried again"},
    {"--retry-interval-seconds", "60..86400", "and after how long"},
    {"--alert-thresholds-days", "N,N", "days before the end to alert",
	OPTION_INTS},
    {"--alert-channels", "JSON", "who is told, by severity", OPTION_JSON},
    {"--alert-severity-map", "JSON", "how bad it is, by days", OPTION_JSON},
    {NULL},
};

const struct noun nouns[] = {
    {"certs", "managed certificates"},
    {"jobs", "issuances, renewals and deployments"},
    {"events", "what changes, as it changes"},
    {"approvals", "issuances that wait for somebody"},
    {"targets", "where certificates are installed"},
    {"agents", "the hosts that install them"},
    {"agent-groups", "groups of agents"},
    {"issuers", "the CAs that issue them"},
    {"intermediates", "CAs of hierarchies"},
    {"crl", "revocation lists"},
    {"replace", "all certificates of one issuer given to another"},
    {"profiles", "what certificates may be"},
    {"renewal-policies", "when they are renewed"},
    {"policies", "rules, and what breaks them"},
    {"owners", "whose certificates are"},
    {"teams", "teams of owners"},
    {"notifications", "what people were told"},
    {"digest", "the summary that is mailed"},
    {"import", "certificates of other tools, adopted"},
    {"discovery", "certificates that were found"},
    {"network-scans", "networks that are looked through"},
    {"health-checks", "endpoints that are watched"},
    {"acme-accounts", "accounts of ACME clients"},
    {"acme-orders", "what they order"},
    {"eab-keys", "keys that admit ACME clients"},
    {"est", "the EST server"},
    {"scep", "the SCEP server"},
    {"api-keys", "who may ask the API"},
    {"roles", "what they may"},
    {"auth", "signing in"},
    {"audit", "the audit trail"},
    {"status", "whether all is well"},
    {"explain", "why something is not ready, and what to do"},
    {"top", "the control plane at work"},
    {"context", "servers by name"},
    {"doctor", "whether the installation is sound"},
    {"stats", "certificates and jobs in numbers"},
    {"metrics", "the metrics as Prometheus reads them"},
    {"scheduler", "duties that run by themselves"},
    {"recover", "after a restore of the database"},
    {"size", "what a deployment of some size takes"},
    {"version", "the server's version"},
    {"completion", "scripts that have shells complete all this"},
};
const size_t nnouns = ARRAY_LEN(nouns);

const struct command commands[] = {
#include "cli/commands/certs.def"
#include "cli/commands/config.def"
#include "cli/commands/server.def"
#include "cli/commands/work.def"
};
const size_t ncommands = ARRAY_LEN(commands);
