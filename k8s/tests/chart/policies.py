"""What a rendered chart must hold: one function a rule, with its requirements' ids. Each yields what breaks it."""

import security_rules  # noqa: F401 - registers its rules
from objects import RULES, containers, covers, of_kind, pod_of, violations, workloads
from workload_rules import backed_up_before_it_changes, labelled

__all__ = [
    "RULES",
    "backed_up_before_it_changes",
    "containers",
    "covers",
    "labelled",
    "of_kind",
    "pod_of",
    "violations",
    "workloads",
]
