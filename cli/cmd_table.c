#include "cli/cli.h"

#define PAGE "[--page 1..1000000000] [--per-page 1..500]"
#define TIMEOUT "[--timeout 1..86400]"
#define REASON \
	"[--reason unspecified|keyCompromise|caCompromise|" \
	"affiliationChanged|superseded|cessationOfOperation|" \
	"certificateHold|privilegeWithdrawn]"
#define REVOKE_OLD \
	"[--revoke-old unspecified|keyCompromise|caCompromise|" \
	"affiliationChanged|superseded|cessationOfOperation|" \
	"privilegeWithdrawn]"
#define CERT_STATUS \
	"[--status Pending|Active|Expiring|Expired|RenewalInProgress|Failed|" \
	"Revoked|Archived]"
#define JOB_STATUS \
	"[--status Pending|AwaitingCSR|AwaitingApproval|Running|Completed|" \
	"Failed|Cancelled]"
#define EXCLUDED_REASON \
	"[--reason acme_client|agent_offline|approval|archived|" \
	"csr|expired|gone|held|job_open|key|life|moved_on|" \
	"name_constrained|name_email|name_ip|name_uri|" \
	"name_wildcard|no_key_holder|policy_forbids|profile_off|" \
	"profile_pins|revoked|short_lived|usage]"
/* Of all kinds of events. */
#define EVENT_STATUS \
	"[--status Pending|Active|Expiring|Expired|RenewalInProgress|Failed|" \
	"Revoked|Archived|AwaitingCSR|AwaitingApproval|Running|Completed|" \
	"Cancelled|Online|Offline|Degraded|Retired|Deployed|Raised]"
#define CRITERIA \
	"[--agent-id ID] [--issuer-id ID] [--owner-id ID] [--profile-id ID] " \
	"[--team-id ID]"
#define PROFILE \
	"[--description TEXT] [--enabled true|false] " \
	"[--requires-approval true|false] [--max-ttl-seconds 0..2147483647] " \
	"[--allow-short-lived true|false] " \
	"[--acme-auth-mode trust_authenticated|challenge] [--issuer-id ID] " \
	"[--acme-owner-id ID] [--acme-renewal-policy-id ID] " \
	"[--acme-eab-required true|false|server] " \
	"[--acme-orders-per-hour 0..1000000000] " \
	"[--acme-concurrent-orders 0..1000000000] " \
	"[--acme-key-changes-per-hour 0..1000000000] " \
	"[--acme-challenge-responses-per-hour 0..1000000000] " \
	"[--acme-server-limits]"

const struct command commands[] = {
    {"acme-accounts", "get", "ID", "one account of an ACME client",
	cmd_acme_accounts_get},
    {"acme-accounts", "list",
	"[--profile-id ID] [--status valid|deactivated|revoked] "
	"[--owner-id ID] " PAGE,
	"accounts of ACME clients, newest first", cmd_acme_accounts_list},
    {"acme-accounts", "revoke", "ID [--reason TEXT]",
	"end an account for good; what it had issued stays",
	cmd_acme_accounts_revoke},
    {"acme-orders", "get", "ID",
	"one order of an ACME client, with its authorizations and challenges",
	cmd_acme_orders_get},
    {"acme-orders", "list",
	"[--account-id ID] [--status pending|ready|processing|valid|invalid] "
	"[--certificate-id ID] " PAGE,
	"what ACME clients order, newest first", cmd_acme_orders_list},
    {"agents", "list", "[--retired] [--status Online|Offline|Degraded] " PAGE,
	"the fleet's agents", cmd_agents_list},
    {"approvals", "approve", "ID [--note TEXT]",
	"let an issuance that waits for approval go on", cmd_approvals_approve},
    {"approvals", "list",
	"[--state pending|approved|rejected|expired] [--certificate-id ID] "
	"[--requested-by NAME] " PAGE,
	"requests for approval, newest first", cmd_approvals_list},
    {"approvals", "reject", "ID [--note TEXT]",
	"cancel an issuance that waits for approval", cmd_approvals_reject},
    {"audit", "attachment", "ID",
	"the list beside a bulk call's event, its hash checked",
	cmd_audit_attachment},
    {"audit", "get", "ID", "one event", cmd_audit_get},
    {"audit", "list",
	"[--category cert_lifecycle|auth|config] [--since T] [--until T] "
	"[--actor A] [--action A] "
	"[--resource-type T] [--resource-id ID] " PAGE,
	"events, newest first", cmd_audit_list},
    {"audit", "prove", "ID",
	"a proof that anybody can check that the event is in its block",
	cmd_audit_prove},
    {"audit", "verify", "[--from N] [--anchor N:HASH@TIME]",
	"recompute the audit trail; names what was tampered with",
	cmd_audit_verify},
    {"certs", "bulk-reassign",
	"ID... --owner-id O [--team-id T] [--dry-run] [--yes] "
	"[--idempotency-key K]",
	"give many certificates another owner", cmd_certs_bulk_reassign},
    {"certs", "bulk-renew",
	"[ID...] " CRITERIA " [--dry-run] [--yes] [--idempotency-key K]",
	"renew many, once however often it is run with that key",
	cmd_certs_bulk_renew},
    {"certs", "bulk-revoke",
	"[ID...] " CRITERIA " " REASON " [--dry-run] [--yes] "
	"[--idempotency-key K]",
	"revoke many", cmd_certs_bulk_revoke},
    {"certs", "get", "ID", "one certificate", cmd_certs_get},
    {"certs", "list", CERT_STATUS " " PAGE, "certificates", cmd_certs_list},
    {"certs", "renew", "ID [--wait] " TIMEOUT " [--handshake] [--force]",
	"renew now; --wait follows it until every target has it, and says "
	"which of them the agents saw serve it; --handshake looks from here "
	"as well",
	cmd_certs_renew},
    {"certs", "revoke", "ID " REASON, "revoke one", cmd_certs_revoke},
    {"certs", "violations", "ID " PAGE, "the policies that one breaks",
	cmd_certs_violations},
    {"discovery", "claim", "ID CERTIFICATE",
	"say that what was found is that managed certificate's",
	cmd_discovery_claim},
    {"discovery", "dismiss", "ID",
	"say that what was found is nobody's to manage", cmd_discovery_dismiss},
    {"discovery", "get", "ID", "one certificate that was found",
	cmd_discovery_get},
    {"discovery", "list",
	"[--status Unmanaged|Managed|Dismissed] [--agent-id ID] " PAGE,
	"certificates that were found, last seen first", cmd_discovery_list},
    {"discovery", "scans", "[--agent-id ID] " PAGE,
	"what each scan found, newest first", cmd_discovery_scans},
    {"discovery", "summary", "", "how many were found, by status",
	cmd_discovery_summary},
    {"doctor", NULL, "[--json]",
	"check the installation from here: the server, and the processes of "
	"this host with their settings, files and database",
	cmd_doctor},
    {"eab-keys", "create",
	"[--profile-id ID] [--any-profile] [--owner-id ID] "
	"[--description TEXT] [--expires-at T] [--reusable]",
	"make a key that admits one client to the ACME server, or several if "
	"it is reusable; its HMAC key is shown once",
	cmd_eab_keys_create},
    {"eab-keys", "delete", "ID",
	"remove one; the accounts that it admitted stay", cmd_eab_keys_delete},
    {"eab-keys", "get", "ID", "one key, and the account that it admitted",
	cmd_eab_keys_get},
    {"eab-keys", "list",
	"[--status active|used|expired|revoked] [--profile-id ID] "
	"[--owner-id ID] " PAGE,
	"keys that admit ACME clients, newest first", cmd_eab_keys_list},
    {"eab-keys", "reseal", "",
	"seal all under the passphrase that the server has now; fails while "
	"some open under none that it has",
	cmd_eab_keys_reseal},
    {"eab-keys", "revoke", "ID", "have it admit nobody any more",
	cmd_eab_keys_revoke},
    {"events", NULL,
	"[--kind KIND[,KIND]] [--certificate-id ID] [--agent-id ID] "
	"[--job-id ID] [--issuer-id ID] [--team-id ID] [--target-id ID] "
	"[--condition NAME] " EVENT_STATUS " [--since ID] [--for 1..86400]",
	"what changes, as it changes; --since goes on behind an event's id, "
	"--for ends it after so many seconds",
	cmd_events},
    {"explain", NULL, "[certificate|job|target] ID [--json]",
	"why it is not ready, since when, what happens next and what to do",
	cmd_explain},
    {"health-checks", "acknowledge", "ID [--by NAME]",
	"say that somebody knows of it, until its status changes",
	cmd_health_checks_acknowledge},
    {"health-checks", "get", "ID", "one health check, and what it saw last",
	cmd_health_checks_get},
    {"health-checks", "history", "ID [--limit 1..1000]",
	"what it saw, newest first", cmd_health_checks_history},
    {"health-checks", "list",
	"[--status healthy|degraded|down|cert_mismatch|unknown] "
	"[--certificate-id ID] " PAGE,
	"endpoints that are watched", cmd_health_checks_list},
    {"health-checks", "summary", "", "how many there are, by status",
	cmd_health_checks_summary},
    {"import", NULL,
	"PATH... [--apply] [--yes] [--owner-id ID] [--team-id ID] "
	"[--issuer-id ID] [--agent-id ID] [--renewal-policy-id ID] "
	"[--environment TEXT] [--validate-command TEXT] "
	"[--reload-command TEXT] [--etc DIRECTORY]",
	"adopt certificates that certbot, acme.sh, lego, Caddy or "
	"cert-manager keep, or plain PEM files: a plan of what would be made "
	"for them; --apply makes it, --etc is where servers are configured "
	"(/etc)",
	cmd_import},
    {"intermediates", "create",
	"ISSUER NAME --parent-ca-id ID --common-name TEXT "
	"[--organization TEXT] [--country CC] "
	"[--algorithm ECDSA-P256|ECDSA-P384|RSA-2048|RSA-3072|RSA-4096] "
	"[--ttl-days 1..36500] [--path-len-constraint 0..14] "
	"[--ocsp-responder-url URL]",
	"have a worker make a CA below another", cmd_intermediates_create},
    {"intermediates", "get", "ID", "one CA of a hierarchy",
	cmd_intermediates_get},
    {"intermediates", "list", "ISSUER", "the CAs of an issuer's hierarchy",
	cmd_intermediates_list},
    {"intermediates", "register",
	"ISSUER NAME --root-cert FILE [--key-driver-id issuer|PATH]",
	"enter a root into an issuer's hierarchy; its key is the issuer's "
	"own, or a file of the workers' hosts",
	cmd_intermediates_register},
    {"intermediates", "retire", "ID [--confirm] [--note TEXT]",
	"have it sign no more; again, with --confirm, for good",
	cmd_intermediates_retire},
    {"issuers", "bundle", "ID",
	"the certificates of its CAs for clients to trust, PEM: the one that "
	"signs, its successor, those before",
	cmd_issuers_bundle},
    {"issuers", "cas", "ID", "its CAs: which one signs, and until when",
	cmd_issuers_cas},
    {"issuers", "list", PAGE, "issuers", cmd_issuers_list},
    {"issuers", "succeed", "ID",
	"have a successor of its root made now; it signs nothing yet",
	cmd_issuers_succeed},
    {"issuers", "switch", "ID FINGERPRINT",
	"sign with that successor from now on: once clients trust it",
	cmd_issuers_switch},
    {"issuers", "test", "ID", "have a worker try it now", cmd_issuers_test},
    {"jobs", "cancel", "ID", "cancel a job that waits", cmd_jobs_cancel},
    {"jobs", "get", "ID", "one job", cmd_jobs_get},
    {"jobs", "list",
	JOB_STATUS " [--type Issuance|Renewal|Deployment|Validation] "
		   "[--certificate-id ID] [--target-id ID] "
		   "[--version-id ID] " PAGE,
	"jobs, newest first", cmd_jobs_list},
    {"network-scans", "list", PAGE, "networks that are looked through",
	cmd_network_scans_list},
    {"network-scans", "probe", "URL",
	"ask a SCEP server what it can do, and for its CA",
	cmd_network_scans_probe},
    {"network-scans", "run", "ID", "look through one now",
	cmd_network_scans_run},
    {"policies", "list", PAGE, "the rules for certificates", cmd_policies_list},
    {"policies", "violations", "ID " PAGE, "what breaks one, newest first",
	cmd_policies_violations},
    {"profiles", "create", "NAME [--id ID] " PROFILE,
	"make a profile; it serves ACME clients once it has an issuer and an "
	"owner",
	cmd_profiles_create},
    {"profiles", "get", "ID", "one profile", cmd_profiles_get},
    {"profiles", "list", PAGE, "what certificates may be", cmd_profiles_list},
    {"profiles", "update", "ID [--name NAME] " PROFILE,
	"change what is named; =- takes the id of an issuer, owner or policy "
	"away, and one limit of ACME sets all four: what is not named is the "
	"server's",
	cmd_profiles_update},
    {"recover", NULL, "[--apply]",
	"after a restore: what the journals hold and the database does not; "
	"--apply puts it back or revokes it",
	cmd_recover},
    {"replace", "cancel", "ID",
	"end one; what has got nothing yet goes back to its issuer",
	cmd_replace_cancel},
    {"replace", "certificates", "ID [--state skipped|waiting|failed] " PAGE,
	"those of one that cannot go, wait or failed, and why",
	cmd_replace_certificates},
    {"replace", "excluded",
	"--issuer ID --to ID " EXCLUDED_REASON " [--move-profiles]",
	"those that a replacement could not take, and why",
	cmd_replace_excluded},
    {"replace", "get", "ID", "how far one is", cmd_replace_get},
    {"replace", "list",
	"[--state running|paused|cancelling|completed|cancelled] " PAGE,
	"replacements, newest first", cmd_replace_list},
    {"replace", "pause", "ID", "move nothing more for now", cmd_replace_pause},
    {"replace", "resume", "ID", "let one go on", cmd_replace_resume},
    {"replace", "watch", "ID " TIMEOUT,
	"follow one with its rate, until it has ended or only waits for "
	"somebody (exit code 5)",
	cmd_replace_watch},
    {"replace", NULL,
	"--issuer ID --to ID [--plan] [--within DURATION] [--wave "
	"1..100000] " REVOKE_OLD " [--move-profiles] [--yes]",
	"give all certificates of one issuer to another, in waves; --plan "
	"shows what would be done, how fast (--within: whether that is soon "
	"enough), and what cannot go",
	cmd_replace},
    {"scheduler", "run", "DUTY [--wait] " TIMEOUT,
	"run a duty now; --wait follows it to its end", cmd_scheduler_run},
    {"scheduler", NULL, "", "the duties: last run, outcome, next run",
	cmd_scheduler},
    {"size", NULL,
	"--certificates 1..100000000 --agents 0..10000000 --lifetime LIFETIME "
	"[--ca-rate R]",
	"the load of so many that live so long (47d, 36h), and settings for "
	"it, "
	"reckoned from what was measured; R is what the CA gives a second, "
	"without it the local CA issues; asks no server",
	cmd_size},
    {"status", NULL, "", "every process, and whether all is well", cmd_status},
    {"targets", "list", "[--agent-id ID] " PAGE, "where certificates go",
	cmd_targets_list},
    {"targets", "test", "ID", "have its agent try it now", cmd_targets_test},
    {"top", NULL, "[--interval 1..3600] [--once]",
	"the control plane at work: jobs a second, queues, lanes, slow CAs, "
	"workers, agents; --once prints one frame as text",
	cmd_top},
};
const size_t ncommands = ARRAY_LEN(commands);
