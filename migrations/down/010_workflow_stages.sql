-- Takes 010 back: TENANTS' WORKFLOWS ARE FORGOTTEN. Make a backup first.
--
-- One transaction; refused while a later migration is applied or a task still needs what would go, and without effect
-- when 010 is not applied.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
    needed bigint;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 010 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 10) THEN
    RAISE NOTICE 'Migration 010 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 10;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 010. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
SELECT count(*) INTO needed FROM tasks t
WHERE t.ended_at IS NULL AND (t.draft IS NOT NULL OR EXISTS (
    SELECT FROM workflows w
    WHERE w.tenant_id = t.tenant_id AND w.name = t.workflow AND w.version = t.workflow_version
));
IF needed > 0 THEN
    RAISE EXCEPTION '% tasks of tenants'' own workflows have not ended: let them end or cancel them. '
        'Nothing was changed.', needed USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP INDEX tasks_waiting;
ALTER TABLE tasks DROP COLUMN rework, DROP COLUMN plan, DROP COLUMN draft;
DROP TRIGGER workflows_are_append_only ON workflows;
DELETE FROM workflows;
ALTER TABLE workflows DROP CONSTRAINT workflows_pkey, DROP COLUMN tenant_id, DROP COLUMN created_by,
    ADD PRIMARY KEY (name, version);
COMMENT ON TABLE workflows IS 'Every version of every workflow that a task was ever accepted under.';
DELETE FROM schema_migrations WHERE version = 10;
END
$migration$;
COMMIT;
