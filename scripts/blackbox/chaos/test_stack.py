"""A start that fails leaves nothing, wherever it fails."""

from __future__ import annotations

import subprocess
import unittest
from unittest import mock

from ..stack import Stack
from .stack import Beside, ChaosStack


class ChaosStackTests(unittest.TestCase):
    def setUp(self) -> None:
        self.golden = self.patched(ChaosStack, "_golden")
        self.commands = self.patched(subprocess, "run")
        self.stack = ChaosStack(None)
        self.patched(Stack, "__enter__", lambda stack: (stack.folder / "stack.json").write_text('{"processes": []}'))
        self.patched(ChaosStack, "_as_admin")
        self.patched(ChaosStack, "_mount", lambda stack: stack.mounted.append("redis"))

    def patched(self, place: object, name: str, *replaced: object) -> mock.MagicMock:
        patch = mock.patch.object(place, name, *replaced)
        self.addCleanup(patch.stop)
        return patch.start()

    def start_in_vain(self) -> None:
        with self.assertRaisesRegex(OSError, "no such thing"), self.stack:
            pass

    def assert_nothing_is_left(self) -> None:
        self.assertFalse(self.stack.folder.exists())
        self.assertFalse(self.stack.proxies._thread.is_alive())

    def test_what_comes_after_the_stack_fails(self) -> None:
        self.patched(Beside, "start", mock.Mock(side_effect=OSError("no such thing")))
        self.start_in_vain()
        self.assert_nothing_is_left()
        self.assertEqual([call.args for call in self.golden.call_args_list], [("down",), ("down", "--delete")])
        umount = ["umount", "--lazy", str(self.stack.folder / "redis")]
        self.commands.assert_called_once_with(umount, capture_output=True)

    def test_what_comes_before_the_stack_fails(self) -> None:
        self.patched(ChaosStack, "_mount", mock.Mock(side_effect=OSError("no such thing")))
        self.start_in_vain()
        self.assert_nothing_is_left()
        self.golden.assert_not_called()


if __name__ == "__main__":
    unittest.main()
