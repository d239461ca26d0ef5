"""The table of hostile messages knows every subject."""

from __future__ import annotations

import unittest

from .subjects import ROWS, declared


class Subjects(unittest.TestCase):
    def test_every_subject_has_a_row(self) -> None:
        self.assertGreater(len(declared()), 20)
        self.assertEqual(declared(), set(ROWS))
