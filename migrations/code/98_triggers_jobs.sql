-- What becomes of a job: made by tools/job_fsm_diagram --sql from
-- common/job/job_fsm.c; do not edit.  The conditions stand with the
-- triggers, so that an allowed change calls no function.
CREATE FUNCTION jobs_refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION 'a job that is % does not become %', coalesce(OLD.status, 'none'), NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_fsm', TABLE = 'jobs', DETAIL = 'job ' || NEW.id;
END $$;

CREATE OR REPLACE TRIGGER jobs_fsm_made BEFORE INSERT ON jobs FOR EACH ROW
    WHEN (NEW.status NOT IN ('Pending', 'AwaitingCSR', 'AwaitingApproval'))
    EXECUTE FUNCTION jobs_refuse_change();
CREATE OR REPLACE TRIGGER jobs_fsm_moved BEFORE UPDATE OF status ON jobs FOR EACH ROW
    WHEN (NEW.status <> OLD.status AND NOT CASE OLD.status
        WHEN 'Pending' THEN NEW.status IN ('Running', 'Cancelled', 'Failed', 'AwaitingCSR', 'AwaitingApproval')
        WHEN 'Running' THEN NEW.status IN ('Completed', 'Failed', 'Pending', 'Cancelled', 'AwaitingCSR', 'AwaitingApproval')
        WHEN 'AwaitingCSR' THEN NEW.status IN ('Pending', 'Failed', 'Cancelled', 'AwaitingApproval')
        WHEN 'AwaitingApproval' THEN NEW.status IN ('AwaitingCSR', 'Pending', 'Cancelled')
        ELSE false END)
    EXECUTE FUNCTION jobs_refuse_change();
