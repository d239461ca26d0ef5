"""What counts as taken by a stream: answers as nats-server 2.9.10 gave them."""

from __future__ import annotations

import unittest

from .poison import place_of


class AnswerTests(unittest.TestCase):
    def test_an_acknowledgement_names_the_place(self) -> None:
        self.assertEqual(place_of(b'{"stream":"PRC", "seq":1}'), ("PRC", 1))

    def test_a_refusal_names_the_stream_and_is_none(self) -> None:
        full = (
            b'{"error":{"code":503,"err_code":10077,"description":"write 1.blk: no space left on device"},'
            b'"stream":"PRC","seq":0}'
        )
        self.assertIsNone(place_of(full))

    def test_an_error_of_no_stream_is_none(self) -> None:
        self.assertIsNone(place_of(b'{"error":{"code":400,"description":"bad request"}}'))


if __name__ == "__main__":
    unittest.main()
