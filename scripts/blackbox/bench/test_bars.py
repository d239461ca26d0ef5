"""A bar must be able to be missed."""

from __future__ import annotations

import os
import subprocess
import unittest
from unittest import mock

from ..stack import Process
from ..wrk import answered_with
from . import memory


class BarTests(unittest.TestCase):
    def test_a_dead_service_is_not_a_small_one(self) -> None:
        for name in ("orchestrator-1", "agent-developer-1"):
            self.assertTrue(memory.row(Process(name, os.getpid())).value > 0)
            with self.assertRaisesRegex(RuntimeError, f"{name} does not run"):
                memory.row(Process(name, 0))

    def test_an_answer_with_another_status_counts_as_wrong(self) -> None:
        output = 'Running 1s test\n{"answers":10,"others":3,"broken":1}\n'
        done = subprocess.CompletedProcess([], 0, output, "")
        with mock.patch("subprocess.run", return_value=done) as run:
            self.assertEqual(answered_with(404, "http://127.0.0.1:1/tasks/none", "token", 1), (10, 4))
        self.assertEqual(run.call_args.kwargs["env"]["STATUS"], "404")

    def test_a_load_generator_that_failed_is_no_answer(self) -> None:
        done = subprocess.CompletedProcess([], 1, "", "unable to connect")
        with mock.patch("subprocess.run", return_value=done), self.assertRaisesRegex(RuntimeError, "unable to connect"):
            answered_with(404, "http://127.0.0.1:1/tasks/none", "token", 1)


if __name__ == "__main__":
    unittest.main()
