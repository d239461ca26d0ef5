"""The chart's archive against a real Postgres: any moment that it covers is restored, and no other is pretended to be."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import rendering
from database_pods import DatabasePods
from postgres_server import ACCOUNT, PostgresServer

DAY = 86_400
WAIT_SECONDS = 60


class ArchiveTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = rendering.render(rendering.bare(archive={"enabled": True}))

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="golden-archive-"))
        self.addCleanup(shutil.rmtree, self.folder)
        # The restored server reads the archive, and is not root.
        self.folder.chmod(0o755)
        self.pods = DatabasePods(self.objects, self.folder)
        self.archive = self.pods.archive
        self.server = PostgresServer().start()
        self.addCleanup(self.server.close)
        self.ask("CREATE TABLE kept (n int);")
        self.archiver = None
        self.addCleanup(self.stop_archiving)

    def ask(self, sql, server=None):
        return (server or self.server).ask("postgres", sql)

    def insert(self, count):
        """Inserts rows and answers a moment after they are there."""
        self.ask(f"INSERT INTO kept SELECT generate_series(1, {count});")
        return self.ask("SELECT clock_timestamp();")[0]

    def wait(self, what, condition):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.1)

    # The archive

    def start_archiving(self):
        bases = len(self.bases())
        self.archiver = self.pods.start("golden-archive", self.server.url("postgres"), ARCHIVE_LOOK_SECONDS="1")
        return bases

    def wait_for_base(self, more_than):
        self.wait("no base was made", lambda: len(self.bases()) > more_than)
        # What comes is later than the second that names it.
        time.sleep(1)

    def stop_archiving(self, expect=0):
        """What it said, once it has ended: all that the server holds is in the archive before it is asked to."""
        if self.archiver is None:
            return ""
        process, self.archiver = self.archiver, None
        if expect == 0:
            self.wait_until_archived()
            process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(process.returncode, expect, said)
        return said

    def wait_until_archived(self):
        end = self.ask("SELECT pg_current_wal_flush_lsn();")[0]
        there = f"SELECT restart_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = 'golden_archive';"
        self.wait("the log does not arrive", lambda: self.ask(there) == ["t"])

    def lines(self):
        return sorted(path for path in self.archive.iterdir() if path.is_dir())

    def bases(self):
        return sorted(self.archive.glob("*/bases/2*Z"))

    def segments(self, line):
        return sorted(path.name for path in (line / "wal").iterdir())

    # The restore

    def prepare(self, moment, data=None, expect=0):
        """What restore-to.sh makes, and what it says."""
        data = data or self.folder / f"restored-{time.monotonic_ns()}"
        done = subprocess.run(
            ["bash", self.folder / "opt/restore-to.sh", moment, data],
            env={"PATH": os.environ["PATH"], "ARCHIVE_FOLDER": str(self.archive)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return data, done.stdout + done.stderr

    def restore(self, moment):
        """A server as it was then."""
        data, _ = self.prepare(moment)
        if ACCOUNT:
            subprocess.run(["chown", "-R", "postgres:postgres", data, self.archive], check=True)
        server = PostgresServer(data)
        self.addCleanup(server.close)
        server.start()
        self.wait("the log was not read to its end", lambda: self.ask("SELECT pg_is_in_recovery();", server) == ["f"])
        return server

    def assert_not_restored(self, moment):
        """Its log ends before: at the start, or once it answers and has read that far."""
        self.assertRaises((subprocess.CalledProcessError, RuntimeError), self.restore, moment)

    def rows(self, server):
        return int(self.ask("SELECT count(*) FROM kept;", server)[0])

    # The tests

    def test_any_moment_is_restored(self):
        early = self.insert(1)
        self.wait_for_base(self.start_archiving())
        before = self.insert(50)
        self.insert(1000)
        # Over several segments, the last of which is not full.
        self.ask("SELECT pg_switch_wal();")
        after = self.insert(7)
        self.ask("DELETE FROM kept;")
        self.stop_archiving()
        self.server.stop()

        restored = self.restore(before)
        self.assertEqual(self.rows(restored), 51)
        # It takes writes.
        self.ask("INSERT INTO kept VALUES (1);", restored)
        self.assertEqual(self.rows(self.restore(after)), 1058)
        self.assertEqual(self.rows(self.restore("latest")), 0)
        self.assertIn("No base is older", self.prepare(early, expect=3)[1])
        # What the archive does not reach is not made up.
        self.assert_not_restored("2999-01-01 00:00:00+00")

    def test_what_ends_the_stream_leaves_no_gap(self):
        self.wait_for_base(self.start_archiving())
        self.insert(10)
        self.server.stop("fast")
        self.stop_archiving(expect=1)
        self.server.start_again()
        self.ask("SELECT pg_switch_wal();")
        self.insert(10)
        self.start_archiving()
        self.wait("it does not stream again", lambda: self.ask("SELECT active FROM pg_replication_slots;") == ["t"])
        self.assertNotIn("new line", self.stop_archiving())
        self.assertEqual((len(self.lines()), len(self.bases())), (1, 1))
        self.assertEqual(self.rows(self.restore("latest")), 20)

    def test_kills_leave_no_gap(self):
        self.wait_for_base(self.start_archiving())
        for _ in range(3):
            # In the middle of whatever it writes.
            self.insert(50_000)
            os.killpg(self.archiver.pid, signal.SIGKILL)
            self.stop_archiving(expect=-signal.SIGKILL)
            self.insert(50_000)
            # Until the server has noticed, the slot is taken, and the pod would be started again.
            self.wait("the slot stays taken", lambda: self.ask("SELECT active FROM pg_replication_slots;") == ["f"])
            self.start_archiving()
            self.wait("it does not stream again", lambda: self.ask("SELECT active FROM pg_replication_slots;") == ["t"])
        self.assertNotIn("new line", self.stop_archiving())
        self.assertEqual((len(self.lines()), len(self.bases())), (1, 1))
        self.assertEqual(self.rows(self.restore("latest")), 300_000)

    def test_a_gap_begins_a_new_line(self):
        self.wait_for_base(self.start_archiving())
        covered = self.insert(10)
        self.insert(1)
        self.stop_archiving()
        self.ask("SELECT pg_drop_replication_slot('golden_archive');")
        for _ in range(3):
            missing = self.insert(10)
            self.ask("SELECT pg_switch_wal();")
        self.ask("CHECKPOINT;")
        self.wait_for_base(self.start_archiving())
        self.insert(5)
        self.assertIn("A new line begins", self.stop_archiving())
        self.assertEqual(len(self.lines()), 2)
        self.assertEqual(self.rows(self.restore("latest")), 46)
        self.assertEqual(self.rows(self.restore(covered)), 10)
        self.assert_not_restored(missing)

    def insert_segments(self, count):
        """Rows in so many segments; none of them is left partial."""
        for _ in range(count):
            self.insert(1)
            self.ask("SELECT pg_switch_wal();")

    def goes_on(self):
        """Rows that come after a start of the archive are in the newest line, which is no new one."""
        self.start_archiving()
        self.insert(1)
        self.assertNotIn("new line", self.stop_archiving())

    def begins_a_new_line(self):
        """A moment of the new line with 5 more rows, followed by 2 more."""
        lines = len(self.lines())
        self.wait_for_base(self.start_archiving())
        moment = self.insert(5)
        self.insert(1)
        self.assertIn("A new line begins", self.stop_archiving())
        self.goes_on()
        self.assertEqual(len(self.lines()), lines + 1)
        return moment

    def test_the_restored_server_serves_in_the_old_ones_place(self):
        self.wait_for_base(self.start_archiving())
        good = self.insert(10)
        # The mistake, and what came of it: the archive has more of the old log than the restored server.
        self.ask("DELETE FROM kept;")
        self.insert_segments(4)
        lost = self.insert(3)
        self.insert(1)
        self.stop_archiving()
        self.server.stop()

        self.server = self.restore(good)
        later = self.begins_a_new_line()
        self.assertEqual(self.rows(self.restore(later)), 15)
        self.assertEqual(self.rows(self.restore("latest")), 17)
        self.assertEqual(self.rows(self.restore(good)), 10)
        self.assertEqual(self.rows(self.restore(lost)), 7)

    def test_another_server_with_such_a_slot_begins_a_new_line(self):
        self.wait_for_base(self.start_archiving())
        covered = self.insert(10)
        self.insert(1)
        self.stop_archiving()
        self.server.stop()
        self.server = PostgresServer().start()
        self.addCleanup(self.server.close)
        self.ask("CREATE TABLE kept (n int); SELECT pg_create_physical_replication_slot('golden_archive', true);")
        # Further than the other was, and from before.
        self.insert_segments(4)
        later = self.begins_a_new_line()
        self.assertEqual(self.rows(self.restore(later)), 9)
        self.assertEqual(self.rows(self.restore(covered)), 10)

    def test_a_server_put_back_with_its_slot_begins_a_new_line(self):
        self.wait_for_base(self.start_archiving())
        self.insert(10)
        self.stop_archiving()
        self.server.stop("fast")
        copy = self.server.folder / "copy"
        subprocess.run(["cp", "-a", self.server.data, copy], check=True)
        self.server.start_again()
        self.start_archiving()
        self.insert_segments(4)
        lost = self.insert(3)
        self.insert(1)
        self.stop_archiving()
        self.server.stop()

        shutil.rmtree(self.server.data)
        copy.rename(self.server.data)
        self.server.start_again()
        later = self.begins_a_new_line()
        self.assertEqual(self.rows(self.restore(later)), 15)
        self.assertEqual(self.rows(self.restore(lost)), 17)

    def test_only_what_the_days_need_is_kept(self):
        self.wait_for_base(self.start_archiving())
        for days in (50, 40, 30, 0):
            # As if that long had passed: it is old, so another is due at the next start.
            self.stop_archiving()
            newest = self.bases()[-1]
            os.utime(newest, (time.time() - days * DAY,) * 2)
            if days == 0:
                break
            self.insert(10)
            self.ask("SELECT pg_switch_wal();")
            self.wait_for_base_after(newest)
        # The one of 30 days ago leads to the first of the 14 days; those before are for nothing.
        self.assertEqual(len(self.bases()), 2)
        first = (self.bases()[0] / "start").read_text().strip()
        self.assertEqual(self.segments(self.lines()[0])[0], first)
        self.assertEqual(self.rows(self.restore("latest")), 30)

    def wait_for_base_after(self, base):
        self.start_archiving()
        self.wait("no base was made", lambda: self.bases()[-1] != base)

    def test_a_damaged_base_and_a_full_folder_are_refused(self):
        self.wait_for_base(self.start_archiving())
        self.stop_archiving()
        data, _ = self.prepare("latest")
        self.prepare("latest", data, expect=3)
        with open(self.bases()[0] / "base.tar.gz", "r+b") as base:
            base.seek(2000)
            base.write(b"damage")
        self.prepare("latest", expect=1)
        for moment in ("2026-11-28 14:05", "2026-13-28 14:05Z", "now'; rm -rf / #UTC", "", "UTC-"):
            self.prepare(moment, expect=2)


if __name__ == "__main__":
    unittest.main()
