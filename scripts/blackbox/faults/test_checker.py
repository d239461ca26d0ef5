"""The checker must be able to fail: each rule against a run with that one defect planted."""

from __future__ import annotations

import collections
import unittest
from dataclasses import replace

from .checker import RULES, EventRow, Evidence, Followed, Money, TaskRow, check
from .exact import ExactStorm


def history() -> list[EventRow]:
    """A task whose first attempt failed."""
    kinds = [
        ("task.created", 0), ("task.dispatched", 1), ("task.progress", 1), ("task.retrying", 1),
        ("task.dispatched", 2), ("task.completed", 2),
    ]
    return [EventRow(index + 1, kind, attempt, {}) for index, (kind, attempt) in enumerate(kinds)]


def row(task: str = "a", **changes: object) -> TaskRow:
    sound = TaskRow(task, f"key-{task}", "completed", 2, 6, has_output=True, has_ended=True)
    return replace(sound, **changes)  # type: ignore[arg-type]


def money(**changes: object) -> Money:
    sound = Money(
        samples=200, excesses=[], verdicts={"r1": {"reserved"}, "r2": {"denied"}}, differences=[],
        charges={"a": (7, "committed", 7)}, used_by_tasks=7,
    )
    return replace(sound, **changes)  # type: ignore[arg-type]


def evidence(task: TaskRow | None = None, events: list[EventRow] | None = None, **changes: object) -> Evidence:
    """One sound task, or one with the defect given."""
    sound = Evidence(
        accepted={"key-a": {"a"}}, tasks={"a": task or row()}, events={"a": history() if events is None else events},
        followed=[Followed("a", 1, history(), connections=3, ended=True)], money=money(),
    )
    return replace(sound, **changes)  # type: ignore[arg-type]


class CheckerTests(unittest.TestCase):
    def assert_found(self, rule: str, evidence: Evidence) -> None:
        self.assertIn(rule, RULES)
        self.assertIn(rule, {finding.rule for finding in check(evidence)})

    def test_a_sound_run_has_no_findings(self) -> None:
        self.assertEqual(check(evidence()), [])

    def test_an_accepted_task_that_is_gone(self) -> None:
        self.assert_found("every accepted task is stored", evidence(tasks={}))

    def test_one_key_answered_with_two_ids(self) -> None:
        self.assert_found("one key made at most one task", evidence(accepted={"key-a": {"a", "b"}}))

    def test_one_key_stored_twice(self) -> None:
        twice = {"a": row(), "b": row("b", name="key-a")}
        self.assert_found("one key made at most one task", evidence(tasks=twice))

    def test_a_task_that_never_ended(self) -> None:
        stuck = row(state="developing", has_ended=False, has_output=False, event_seq=5)
        self.assert_found("every accepted task is in one terminal state", evidence(stuck, history()[:5]))

    def test_no_terminal_event(self) -> None:
        self.assert_found("exactly one terminal event, and it is the last", evidence(events=history()[:5]))

    def test_two_terminal_events(self) -> None:
        events = history() + [EventRow(7, "task.failed", 2, {})]
        self.assert_found("exactly one terminal event, and it is the last", evidence(row(event_seq=7), events))

    def test_events_after_the_end(self) -> None:
        events = history() + [EventRow(7, "task.progress", 2, {})]
        self.assert_found("exactly one terminal event, and it is the last", evidence(row(event_seq=7), events))

    def test_a_state_that_contradicts_the_history(self) -> None:
        failed = row(state="failed", has_output=False)
        self.assert_found("exactly one terminal event, and it is the last", evidence(failed))

    def test_a_result_applied_twice(self) -> None:
        events = history() + [EventRow(7, "task.completed", 2, {})]
        self.assert_found("no result was applied twice", evidence(row(event_seq=7), events))

    def test_a_completion_without_output(self) -> None:
        self.assert_found("no result was applied twice", evidence(row(has_output=False)))

    def test_a_result_of_an_old_attempt(self) -> None:
        events = history()
        events[5] = replace(events[5], attempt=1)
        self.assert_found("attempts count up and events belong to theirs", evidence(events=events))

    def test_an_attempt_the_history_does_not_know(self) -> None:
        self.assert_found("attempts count up and events belong to theirs", evidence(row(attempt=3)))

    def test_a_gap_in_the_sequences(self) -> None:
        events = history()
        del events[2]
        self.assert_found("sequences run from 1 to n without gaps", evidence(events=events))

    def test_a_history_shorter_than_the_task_counts(self) -> None:
        self.assert_found("sequences run from 1 to n without gaps", evidence(row(event_seq=7)))

    def test_a_history_that_lacks_its_beginning(self) -> None:
        events = history()
        events[0] = replace(events[0], kind="task.progress")
        self.assert_found("sequences run from 1 to n without gaps", evidence(events=events))

    def test_a_stream_with_a_gap(self) -> None:
        seen = Followed("a", 1, [event for event in history() if event.sequence != 3], 2, True)
        self.assert_found("streams followed through the faults equal the database", evidence(followed=[seen]))

    def test_a_stream_that_repeats_an_event(self) -> None:
        seen = Followed("a", 1, [history()[0], *history()], 2, True)
        self.assert_found("streams followed through the faults equal the database", evidence(followed=[seen]))

    def test_a_stream_with_other_data(self) -> None:
        events = history()
        events[2] = replace(events[2], data={"message": "another"})
        seen = Followed("a", 1, events, 2, True)
        self.assert_found("streams followed through the faults equal the database", evidence(followed=[seen]))

    def test_a_stream_that_never_ended(self) -> None:
        seen = Followed("a", 1, history(), 2, ended=False)
        self.assert_found("streams followed through the faults equal the database", evidence(followed=[seen]))

    def test_a_task_that_failed(self) -> None:
        events = history()
        events[5] = replace(events[5], kind="task.failed")
        failed = row(state="failed", has_output=False)
        self.assert_found("no task failed because of a fault", evidence(failed, events))

    def test_an_account_beyond_its_limit(self) -> None:
        beyond = money(excesses=["storm 400 110 500"])
        self.assert_found("no account ever had more used and held than its limit", evidence(money=beyond))

    def test_a_request_with_two_verdicts(self) -> None:
        torn = money(verdicts={"r1": {"reserved", "denied"}})
        self.assert_found("each budget request has one verdict", evidence(money=torn))

    def test_a_ledger_that_does_not_add_up(self) -> None:
        self.assert_found("the ledger adds up to every account", evidence(money=money(differences=["{}"])))

    def test_a_task_charged_for_something_else(self) -> None:
        for charge in ((7, "committed", 14), (7, "pending", -1), (7, "missing", -1)):
            wrong = money(charges={"a": charge})
            self.assert_found("each task is charged once, with what its agents reported", evidence(money=wrong))

    def test_an_account_charged_twice(self) -> None:
        twice = evidence(money=money(used_by_tasks=14))
        self.assert_found("each task is charged once, with what its agents reported", twice)


class ExactStormTests(unittest.TestCase):
    """What it says of answers that are not as promised."""

    def wrongs(self, heard: dict[str, dict[int, int]]) -> list[str]:
        storm = ExactStorm([], "", None, 0)  # type: ignore[arg-type]
        for name, answers in heard.items():
            storm._heard[name] = collections.Counter(answers)
            storm.answers.update(answers)
        return storm.wrongs()

    def sound(self) -> dict[str, dict[int, int]]:
        held: dict[str, dict[int, int]] = {f"held-{number}": {201: 1, 200: 99} for number in range(100)}
        return held | {f"refused-{number}": {402: 100} for number in range(100)}

    def test_as_promised(self) -> None:
        self.assertEqual(self.wrongs(self.sound()), [])

    def test_one_too_many(self) -> None:
        self.assertEqual(len(self.wrongs(self.sound() | {"refused-0": {201: 1, 200: 99}})), 1)

    def test_held_twice(self) -> None:
        self.assertEqual(len(self.wrongs(self.sound() | {"held-0": {201: 2, 200: 98}})), 1)

    def test_two_verdicts(self) -> None:
        self.assertEqual(len(self.wrongs(self.sound() | {"held-0": {201: 1, 200: 98, 402: 1}})), 1)
        self.assertEqual(len(self.wrongs(self.sound() | {"refused-0": {402: 99, 503: 1}})), 1)

    def test_an_answer_that_is_missing(self) -> None:
        self.assertEqual(len(self.wrongs(self.sound() | {"refused-0": {402: 99}})), 2)


if __name__ == "__main__":
    unittest.main()
