-- What all other functions rest on: time, ids and spellings.
--
-- Most functions run with their owner's rights, so that a process holds no more than the right to call what it needs;
-- docs/internals/database.md has the order of locks.
--
-- Some switch bitmap scans off: on a table filled faster than it is analysed the planner believes the partial index on
-- active jobs to be nearly empty and walks all of it for every certificate of a batch (eight times slower at twenty
-- thousand jobs).  Some switch sequential scans off too: a session keeps the plan that it made while the table was empty.
-- Functions for many certificates join unnest(ids), which is hashed or looked up, where "= ANY (ids)" is searched from its
-- beginning for each row.

-- Time as the engine sees it.  Tests own the clock by setting certctl.now for a database; nothing else sets it.
-- It is put into the query, and what is compared with something volatile is no condition of an index, which is then walked to
-- its end: where an index is to be used, (SELECT engine_now()) is written, which is asked once (test_policy).
CREATE FUNCTION engine_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('certctl.now', true), '')::timestamptz, clock_timestamp())
$$;

-- "<prefix>-<unix nanoseconds>-<counter>", as the API's own ids.
CREATE FUNCTION id_new(prefix text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT prefix || '-' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '000-' || nextval('id_seq')
$$;

-- Server-made ids hold the time they were made at: those made before p_at are below this one.
CREATE FUNCTION id_bound(p_prefix text, p_at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT p_prefix || '-' || (extract(epoch FROM p_at) * 1000000)::bigint || '000'
$$;

-- The wait after the p_n-th failure (from 0): twice as long each time.
CREATE FUNCTION back_off(p_first interval, p_most interval, p_n int) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(p_first, least(p_most, p_first * power(2, least(p_n, 20))))
$$;

-- A little more or less, so that what failed together does not come back together.
CREATE FUNCTION jittered(p_wait interval) RETURNS interval LANGUAGE sql VOLATILE AS $$
    SELECT p_wait * (1 + policy_jitter() * (2 * random() - 1))
$$;

-- Programs give times in milliseconds.
CREATE FUNCTION ms(p_n bigint) RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT make_interval(secs => p_n / 1000.0) $$;

-- Days of 24 hours, whatever the session's time zone.
CREATE FUNCTION days(p_n int) RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT make_interval(hours => 24 * p_n) $$;

-- Enumerated values are stored in one spelling; other letter cases that operators' SQL writes are folded to it, unknown
-- words are refused by the CHECK of the column.
CREATE FUNCTION enum_canonical(value text, spellings text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((SELECT s FROM unnest(spellings) s WHERE lower(s) = lower(value)), value)
$$;

-- Refuses what a program says by words of which one is unknown, or by lists that do not belong together: taken for another
-- word it would do harm in silence.
CREATE FUNCTION words_check(p_words text[], p_known text[], p_ids text[]) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF cardinality(p_words) IS DISTINCT FROM cardinality(p_ids) OR NOT p_words <@ p_known THEN
        RAISE EXCEPTION 'the words are %, for % ids; known are %', p_words, cardinality(p_ids), p_known
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;

-- --- what a row is ---
-- The indexes of numbered files spell these out.  A call of one is replaced by its text before a plan is made, so the index
-- is found by it.

-- A job that has not ended.
CREATE FUNCTION job_is_active(p_status text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT p_status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
$$;

-- A job that makes a certificate.
CREATE FUNCTION job_issues(p_type text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT p_type IN ('Issuance', 'Renewal') $$;

-- A job that its agent has to do something for.
CREATE FUNCTION job_needs_agent(j jobs) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT j.status = 'AwaitingCSR' OR (j.type = 'Deployment' AND j.status IN ('Pending', 'Running'))
$$;

-- Since when a job waits for its CSR or for an approval.
CREATE FUNCTION job_waits_since(j jobs) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE j.status WHEN 'AwaitingCSR' THEN greatest(j.created_at, j.run_after) ELSE j.created_at END
$$;

-- A certificate whose renewal may fall due.
CREATE FUNCTION certificate_renews(p_status text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT p_status IN ('Active', 'Expiring', 'Expired', 'Failed')
$$;

-- One that the scan has set aside, as its policy or its issuer is off; one whose first issuance failed too.
CREATE FUNCTION certificate_is_aside(c managed_certificates) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT c.renew_after IS NULL AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed') AND (c.expires_at IS NOT NULL OR c.status = 'Failed')
$$;

-- When the clock changes the status of one that is Active or Expiring.
CREATE FUNCTION certificate_changes_at(c managed_certificates) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE c.status WHEN 'Active' THEN least(c.expiring_at, c.expires_at) ELSE c.expires_at END
$$;

-- --- spelling ---
-- The words of a status, and where there is one of a type, are the trigger's arguments.
CREATE FUNCTION row_canonical() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := enum_canonical(NEW.status, TG_ARGV[0]::text[]);
    IF TG_NARGS > 1 THEN NEW.type := enum_canonical(NEW.type, TG_ARGV[1]::text[]); END IF;
    RETURN NEW;
END $$;

-- --- counters ---
CREATE FUNCTION lists_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN PERFORM nextval(TG_ARGV[0]::regclass); RETURN NULL; END $$;
