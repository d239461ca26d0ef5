"""The chaos suite's own rules must be able to fail: each against a run with that one defect planted."""

from __future__ import annotations

import itertools
import unittest
from dataclasses import fields, replace

from ..faults.checker import Evidence
from ..faults.test_checker import evidence
from .faults import CLUSTER_DECK, DECK, Faults, schedule
from .rules import RULES, Delivery, Story, check


def story(**changes: object) -> Story:
    """One reviewed task with a callback, and an unreadable message; or with the defect given."""
    base = evidence()
    sound = Story(
        **{field.name: getattr(base, field.name) for field in fields(Evidence)}, kinds={"key-a": "reviewed"},
        with_callback=frozenset({"key-a"}), deliveries=[Delivery("d", "a", 6, "task.completed", "delivered")],
        received={"d": {("a", 6, "task.completed")}}, votes=[("s", "security"), ("s", "tester")],
        sessions=[("a", 1, "approved")], poison={"p": (True, False, 1)},
    )
    return replace(sound, **changes)  # type: ignore[arg-type]


class RulesTests(unittest.TestCase):
    def assert_found(self, part: str, wrong: Story) -> None:
        rule = next(name for name in RULES if part in name)
        self.assertIn(rule, {finding.rule for finding in check(wrong)})

    def test_a_sound_run_has_no_findings(self) -> None:
        self.assertEqual(check(story()), [])

    def test_a_task_that_ended_as_its_kind_must_not(self) -> None:
        self.assert_found("as its kind must", story(kinds={"key-a": "doomed"}))

    def test_a_hold_that_was_left_open(self) -> None:
        self.assert_found("nothing is left over", story(open_holds=1))

    def test_a_message_that_was_never_sent(self) -> None:
        self.assert_found("nothing is left over", story(outbox=1))

    def test_a_callback_without_a_delivery(self) -> None:
        self.assert_found("one delivery, and it arrived", story(deliveries=[]))

    def test_a_callback_with_two_deliveries(self) -> None:
        twice = [Delivery(name, "a", 6, "task.completed", "delivered") for name in ("d", "e")]
        self.assert_found("one delivery, and it arrived", story(deliveries=twice))

    def test_a_delivery_that_was_given_up(self) -> None:
        failed = [Delivery("d", "a", 6, "task.completed", "failed")]
        self.assert_found("one delivery, and it arrived", story(deliveries=failed))

    def test_a_delivery_that_never_came(self) -> None:
        self.assert_found("one delivery id", story(received={}))

    def test_an_event_under_two_ids(self) -> None:
        event = {("a", 6, "task.completed")}
        self.assert_found("one delivery id", story(received={"d": event, "e": event}))

    def test_an_id_with_two_events(self) -> None:
        events = {("a", 6, "task.completed"), ("a", 5, "task.progress")}
        self.assert_found("one delivery id", story(received={"d": events}))

    def test_a_seat_that_voted_twice(self) -> None:
        self.assert_found("one vote", story(votes=[("s", "security"), ("s", "security")]))

    def test_a_task_that_was_approved_twice(self) -> None:
        self.assert_found("one vote", story(sessions=[("a", 1, "approved"), ("a", 2, "approved")]))

    def test_a_task_that_nobody_approved(self) -> None:
        self.assert_found("one vote", story(sessions=[("a", 1, "rejected")]))

    def test_a_dead_letter_that_was_never_filed(self) -> None:
        self.assert_found("dead letter", story(poison={"p": (True, False, 0)}))

    def test_a_dead_letter_that_was_filed_twice(self) -> None:
        self.assert_found("dead letter", story(poison={"p": (True, False, 2)}))

    def test_a_message_that_went_with_a_wiped_store(self) -> None:
        self.assertEqual(check(story(poison={"p": (True, True, 0)})), [])

    def test_a_message_of_goldens_own(self) -> None:
        self.assert_found("dead letter", story(other_letters=["results.worker.x undecodable"]))

    def test_a_broken_audit_chain(self) -> None:
        self.assert_found("audit", story(audit="entry 7 was changed"))


class ScheduleTests(unittest.TestCase):
    def test_the_same_seed_gives_the_same_faults(self) -> None:
        first, second = (list(itertools.islice(schedule(7), 40)) for _ in range(2))
        self.assertEqual([kind for kind, _ in first], [kind for kind, _ in second])
        self.assertEqual([chance.random() for _, chance in first], [chance.random() for _, chance in second])

    def test_every_kind_comes_before_one_comes_again(self) -> None:
        for deck in (DECK, CLUSTER_DECK):
            kinds = [kind for kind, _ in itertools.islice(schedule(7, deck), len(deck))]
            self.assertEqual(sorted(kinds), sorted(deck))

    def test_every_kind_is_a_fault(self) -> None:
        for kind in (*DECK, *CLUSTER_DECK):
            self.assertTrue(callable(getattr(Faults, kind)))


if __name__ == "__main__":
    unittest.main()
