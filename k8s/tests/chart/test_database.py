"""The chart's own Jobs and scripts against a real Postgres: migrate, fill, back up, destroy, restore, count."""

import os
import re
import subprocess
import tempfile
import threading
import time
import unittest

import rendering
from database_pods import DatabasePods
from postgres_server import PostgresServer

FILL = """
INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority, attempt_max,
    timeout_seconds, run_at, event_seq, input, created_at, updated_at)
SELECT gen_random_uuid(), 'acme', 'p', 'somebody', 'simple', 1, 'developer', 'queued', 5, 3, 60, now(), 1,
    json_build_object('n', n, 'text', repeat('ü', 100)), now(), now() FROM generate_series(1, {count}) AS n;
INSERT INTO outbox (message_id, subject, payload, tenant_id, task_id, created_at)
SELECT id::text || ':1', 'work.developer', '{{}}', tenant_id, id, now() FROM tasks ON CONFLICT DO NOTHING;
"""
COUNTS = (
    "SELECT format('%I.%I', schemaname, tablename), (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM "
    "%I.%I', schemaname, tablename), false, true, '')))[1]::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1;"
)


class DatabaseTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = rendering.environment_objects("prod")
        cls.server = PostgresServer().start()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.pods = DatabasePods(self.objects, folder.name)
        self.backups = self.pods.backups
        self.database = "golden_" + re.sub(r"\W", "_", self._testMethodName)
        self.make(self.database)

    def make(self, database):
        self.server.ask("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE);')
        self.server.ask("postgres", f'CREATE DATABASE "{database}";')

    def run_job(self, job, database=None, arguments=None, expect=0):
        process = self.pods.start(job, self.server.url(database or self.database), arguments)
        said, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, expect, said)
        return said

    def fill(self, count):
        self.server.ask(self.database, FILL.format(count=count))

    def counts(self, database=None):
        return self.server.ask(database or self.database, COUNTS)

    def dumps(self):
        return sorted(path.name for path in self.backups.glob("golden-*.dump"))

    def test_migrated_backed_up_destroyed_restored(self):
        self.assertIn("initial_schema  applied", self.run_job("golden-migrate"))
        # Again, as every upgrade does.
        self.assertIn("up to date", self.run_job("golden-migrate"))
        self.fill(2000)
        # Writers do not stop for a backup: what is counted is what was dumped.
        stop = threading.Event()

        def write():
            while not stop.is_set():
                self.fill(20)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            self.assertIn("tables", self.run_job("golden-backup"))
        finally:
            stop.set()
            writer.join()
        counted = (self.backups / self.dumps()[0].replace(".dump", ".counts")).read_text().split()
        self.assertGreaterEqual(int(dict(line.split("|") for line in counted)["public.tasks"]), 2000)

        self.make(self.database)
        self.assertEqual(self.counts(), [])
        said = self.restore("newest")
        self.assertIn("hold as many rows as were dumped", said)
        self.assertEqual(self.counts(), counted)
        # The schema is whole, too: the program knows it, and what may only grow still refuses to change.
        self.assertIn("up to date", self.run_job("golden-migrate"))
        self.assertRaisesRegex(RuntimeError, "append-only", self.server.ask, self.database, "TRUNCATE audit_log;")

    def restore(self, *arguments, expect=0):
        """What somebody does with the restore script by hand."""
        return self.run_job("golden-restore-drill", arguments=[*arguments], expect=expect)

    def test_the_drill_restores_into_the_scratch_database(self):
        self.run_job("golden-migrate")
        self.fill(50)
        self.run_job("golden-backup-pre-upgrade")
        self.make(self.database + "_scratch")
        for _ in range(2):
            # The second time it is full of the first.
            self.run_job("golden-restore-drill", database=self.database + "_scratch")
            self.assertEqual(self.counts(self.database + "_scratch"), self.counts())
        self.assertRegex(self.dumps()[0], r"^golden-\d{8}T\d{6}Z-pre-upgrade\.dump$")

    def test_a_full_database_is_not_touched_unasked(self):
        self.run_job("golden-migrate")
        self.run_job("golden-backup")
        self.fill(10)
        before = self.counts()
        self.assertIn("--replace", self.restore("newest", expect=3))
        self.assertEqual(self.counts(), before)
        self.restore("--replace", "newest")
        self.assertNotEqual(self.counts(), before)

    def test_a_damaged_dump_changes_nothing(self):
        self.run_job("golden-migrate")
        self.fill(3000)
        self.run_job("golden-backup")
        before = self.counts()
        name = self.dumps()[0]
        whole = (self.backups / name).read_bytes()
        (self.backups / name).write_bytes(whole[: len(whole) * 2 // 3])
        self.restore("--replace", name, expect=1)
        self.assertEqual(self.counts(), before)
        # Even when its checksum says that it is what it should be.
        subprocess.run(
            f"sha256sum {name} {name[:-5]}.counts > {name[:-5]}.sha256", shell=True, cwd=self.backups, check=True
        )
        self.restore("--replace", name, expect=1)
        self.assertEqual(self.counts(), before)

    def test_rows_that_are_missing_are_noticed(self):
        self.run_job("golden-migrate")
        self.run_job("golden-backup")
        stem = self.dumps()[0].removesuffix(".dump")
        counts = self.backups / f"{stem}.counts"
        counts.write_text(counts.read_text().replace("public.tasks|0", "public.tasks|1"))
        subprocess.run(f"sha256sum {stem}.dump {stem}.counts > {stem}.sha256", shell=True, cwd=self.backups, check=True)
        self.assertIn("does not hold what was dumped", self.restore("--replace", "newest", expect=1))

    def test_a_backup_that_fails_leaves_nothing(self):
        self.run_job("golden-backup", database="there_is_none", expect=1)
        self.assertEqual(list(self.backups.iterdir()), [])

    def test_old_dumps_go_but_the_newest_stay(self):
        self.run_job("golden-migrate")
        keep = int(
            next(one["value"] for one in self.pods.container("golden-backup")["env"] if one["name"] == "BACKUP_KEEP_MIN")
        )
        long_ago = time.time() - 400 * 86_400
        for number in range(keep + 3):
            for ending in ("dump", "counts", "sha256"):
                path = self.backups / f"golden-202001{number + 1:02}T000000Z-scheduled.{ending}"
                path.write_text("old")
                os.utime(path, (long_ago, long_ago))
        self.run_job("golden-backup")
        # The new one is one of those that are kept.
        self.assertEqual(len(self.dumps()), keep)
        self.assertEqual(len(list(self.backups.iterdir())), 3 * keep)
        self.assertFalse((self.backups / "golden-20200101T000000Z-scheduled.dump").exists())


if __name__ == "__main__":
    unittest.main()
