"""The service level objectives: their table, and what is written from it: Prometheus rules, their promtool tests, and the
objectives that the release gate goes by.

    python3 k8s/slos.py          writes k8s/charts/golden/rules/slo.yaml, k8s/tests/alerts/slo.yaml and release/slo/*.yaml
    python3 k8s/slos.py --check  exits with 1 when the committed files differ from what it would write

Each objective is a ratio of bad events, so that one rule fits all: "p95 below 1 s" is "at most 5% take longer". Bad events
are the total without the good ones, because histograms count what was in time. An alert needs a long window that says it
matters and a short one that says it still goes on. A burn factor is capped at half of what the budget allows, since a
budget of 5% cannot burn more than 20 times as fast as it may.

Rules and objectives count the same series. A rule names the namespace: `.*` in the files, the release's own in the chart;
an objective names the service, and the gate adds the side of the release.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

K8S = Path(__file__).resolve().parent
RULES = K8S / "charts" / "golden" / "rules" / "slo.yaml"
TESTS = K8S / "tests" / "alerts" / "slo.yaml"
OBJECTIVES = K8S.parent / "release" / "slo"

#: Matches every namespace, and series without one; the chart puts the release's own in its place.
NAMESPACE = 'namespace=~".*"'

#: Probes and scrapes are not traffic.
API = 'route!~"/health|/ready|/metrics"'


@dataclass(frozen=True)
class SLO:
    name: str
    alert: str
    budget: float
    #: What is promised, in words.
    promise: str
    #: Counters, added to and subtracted from each other.
    bad: str
    total: str
    #: Series that make a test's events: 100 a minute of the first, of which `bad` are bad.
    series: tuple[tuple[str, str], ...]
    #: What the gate knows it by: the service that is judged, the objective's name, and what is bad.
    service: str
    objective: str
    title: str
    #: Counts the bad events by who called, where that is told.
    callers: str = ""


#: A counter, with or without labels.
COUNTER = re.compile(r"([a-z_]+)(?:\{([^}]*)\})?")


def counters(expression: str, shape: Callable[[str, str], str]) -> str:
    """The expression with each counter, of a name and labels, in another shape."""
    return COUNTER.sub(lambda match: shape(match[1], match[2] or ""), expression)


def labelled(name: str, *labels: str) -> str:
    return f"{name}{{{','.join(label for label in labels if label)}}}"


def late(metric: str, edge: str, labels: str = "") -> str:
    """What took longer than a histogram's edge."""
    return f"""{labelled(f'{metric}_count', labels)} - {labelled(f'{metric}_bucket', labels, f'le="{edge}"')}"""


def histogram(metric: str, edge: str, labels: str) -> tuple[tuple[str, str], ...]:
    return ((f"{metric}_count{{{labels}}}", "total"), (f'{metric}_bucket{{{labels},le="{edge}"}}', "good"))


# Waiting for a sandbox is what POST /sandbox/execute is for; its time is judged by sandbox_time.
TIMED = API[:-1] + '|/sandbox/execute"'
FAILED = 'tasks_failed_total{state="failed"}'

SLOS = [
    SLO("http_errors", "HTTPErrorBudgetBurn", 0.01, "99% of requests do not fail through a fault of ours.",
        "http_requests_total{" + API + ',status=~"5.."}', "http_requests_total{" + API + "}",
        (('http_requests_total{job="orchestrator",route="/tasks",method="POST",status="202"}', "good"),
         ('http_requests_total{job="orchestrator",route="/tasks",method="POST",status="500"}', "bad")),
        "orchestrator", "http-errors", "HTTP requests that end with a 5xx status", "http_caller_errors_total"),
    SLO("api_latency", "APILatencyBudgetBurn", 0.05, "95% of requests are answered within 1 s.",
        late("http_request_duration_seconds", "1", TIMED), "http_request_duration_seconds_count{" + TIMED + "}",
        histogram("http_request_duration_seconds", "1", 'job="orchestrator",route="/tasks",method="POST"'),
        "orchestrator", "api-latency", "API requests that take longer than 1 s"),
    SLO("db_query", "DatabaseLatencyBudgetBurn", 0.05, "95% of statements take at most 100 ms.",
        late("db_query_duration_seconds", "0.1"), "db_query_duration_seconds_count",
        histogram("db_query_duration_seconds", "0.1", 'job="orchestrator",statement="AdmitTasks"'),
        "orchestrator", "db-latency", "Database statements that take longer than 100 ms"),
    SLO("task_failure", "TaskFailureBudgetBurn", 0.05, "95% of the tasks that end are completed.",
        FAILED, f"tasks_completed_total + {FAILED}",
        (('tasks_completed_total{job="orchestrator"}', "good"),
         ('tasks_failed_total{job="orchestrator",state="failed"}', "bad")),
        "orchestrator", "task-failures", "Tasks that fail"),
    SLO("peer_review", "PeerReviewBudgetBurn", 0.05, "95% of the reviews are decided within 180 s.",
        late("peer_review_consensus_time", "180"), "peer_review_consensus_time_count",
        histogram("peer_review_consensus_time", "180", 'job="peer-hub",decision="approved"'),
        "peer-hub", "review-latency", "Peer reviews that take longer than 180 s"),
    SLO("sandbox_time", "SandboxTimeBudgetBurn", 0.05, "95% of the sandbox's runs take at most 30 s.",
        late("sandbox_execution_time", "30"), "sandbox_execution_time_count",
        histogram("sandbox_execution_time", "30", 'job="sandbox-executor",language="python"'),
        "sandbox-executor", "sandbox-latency", "Runs in the sandbox that take longer than 30 s"),
    SLO("sandbox_timeout", "SandboxTimeoutBudgetBurn", 0.05, "At most 5% of the sandbox's runs are stopped for time.",
        "sandbox_executions_timeout_total", "sandbox_executions_total",
        (('sandbox_executions_total{job="sandbox-executor",language="python",status="completed"}', "total"),
         ('sandbox_executions_timeout_total{job="sandbox-executor"}', "bad")),
        "sandbox-executor", "sandbox-timeouts", "Runs in the sandbox that are stopped for time"),
]


@dataclass(frozen=True)
class Burn:
    long: str
    short: str
    factor: float
    severity: str
    #: Hold: no new release, see the release gate.
    action: str


BURNS = [
    Burn("1h", "5m", 14.4, "critical", "page"),
    Burn("6h", "30m", 6, "critical", "page"),
    Burn("1d", "2h", 3, "warning", "hold"),
    Burn("3d", "6h", 1, "warning", "ticket"),
]
WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
#: Looking back over hours costs more than it tells when done every few seconds.
SLOW_WINDOWS = {"2h", "6h", "1d", "3d"}
SLOW_INTERVAL = "1m"
RUNBOOKS = "docs/runbooks"


def threshold(slo: SLO, burn: Burn) -> float:
    return min(burn.factor, 0.5 / slo.budget) * slo.budget


def number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def ratio(slo: SLO, window: str) -> str:
    def rate(name: str, labels: str) -> str:
        return f"sum(rate({labelled(name, labels, NAMESPACE)}[{window}]))"

    bad, total = counters(slo.bad, rate), counters(slo.total, rate)
    # Where nothing failed yet, there is no series of failures.
    return f"(({bad}) or vector(0)) / (({total}) > 0)"


def rules() -> str:
    lines = ["# Written by k8s/slos.py from its table; change that and run it.", "groups:"]
    for name, slow in (("slo-ratios", False), ("slo-ratios-slow", True)):
        lines.append(f"  - name: {name}")
        if slow:
            lines.append(f"    interval: {SLOW_INTERVAL}")
        lines.append("    rules:")
        for window in WINDOWS:
            if (window in SLOW_WINDOWS) != slow:
                continue
            for slo in SLOS:
                lines += [
                    f"      - record: slo:bad_ratio:{window}", f"        expr: {ratio(slo, window)}",
                    f"        labels: {{slo: {slo.name}}}",
                ]
    lines += ["  - name: slo-budgets", f"    interval: {SLOW_INTERVAL}", "    rules:"]
    for slo in SLOS:
        lines += ["      - record: slo:budget", f"        expr: vector({slo.budget})",
                  f"        labels: {{slo: {slo.name}}}"]
    lines += ["  - name: slo-burn", "    rules:"]
    for slo in SLOS:
        lines.append(f"      # {slo.promise}")
        for burn in BURNS:
            limit = number(threshold(slo, burn))
            lines += [
                f"      - alert: {slo.alert}",
                "        expr: >-",
                f'          slo:bad_ratio:{burn.long}{{slo="{slo.name}",{NAMESPACE}}} > {limit}',
                f'          and slo:bad_ratio:{burn.short}{{slo="{slo.name}",{NAMESPACE}}} > {limit}',
                f"        labels: {{severity: {burn.severity}, action: {burn.action}, window: {burn.long}}}",
                "        annotations:",
                f'          summary: "{{{{ $value | humanizePercentage }}}} bad over {burn.long}: {slo.promise}"',
                f"          runbook_url: {RUNBOOKS}/{slo.alert}.md",
            ]
    return "\n".join(lines) + "\n"


def series(slo: SLO, bad: int, bad_minutes: int, minutes: int) -> list[str]:
    """100 events a minute, `bad` of them bad for so long and none from then on."""
    lines = []
    before = {"total": 100, "good": 100 - bad, "bad": bad}
    after = {"total": 100, "good": 100, "bad": 0}
    for name, kind in slo.series:
        reached = before[kind] * (bad_minutes + 1)
        later = f" {reached}+{after[kind]}x{minutes - bad_minutes}" if minutes > bad_minutes else ""
        lines += [f"      - series: '{name}'", f"        values: '0+{before[kind]}x{bad_minutes}{later}'"]
    return lines


def case(
    slo: SLO, title: str, bad: int, firing: list[Burn], bad_minutes: int = 12, minutes: int = 12
) -> list[str]:
    samples = [f"          - labels: '{{alertname=\"{slo.alert}\", window=\"{burn.long}\"}}'\n            value: 1"
               for burn in firing]
    lines = [f"  - name: {slo.alert} {title}", "    interval: 1m", "    input_series:",
             *series(slo, bad, bad_minutes, minutes), "    promql_expr_test:",
             f'      - expr: count by (alertname, window) (ALERTS{{alertname="{slo.alert}",alertstate="firing"}})',
             f"        eval_time: {minutes - 1}m"]
    return lines + (["        exp_samples:", *samples] if samples else ["        exp_samples: []"])


def tests() -> str:
    lines = ["# Written by k8s/slos.py from its table; change that and run it.",
             "rule_files: [../../charts/golden/rules/slo.yaml]", "evaluation_interval: 1m", "tests:"]
    for slo in SLOS:
        percent = slo.budget * 100
        # Between two thresholds each, so that every window is seen firing and not firing.
        lines += case(slo, "fires at once when most is bad", 80, BURNS)
        lines += case(slo, "is silent within the budget", int(percent / 2), [])
        lines += case(slo, "leaves a slow burn to the slowest window", round(percent * 2), [BURNS[3]])
        lines += case(slo, "leaves a moderate burn to the slower windows", round(percent * 8), BURNS[1:])
        lines += case(slo, "stops paging once the short window is clean", 80, BURNS[1:], 15, 23)
    return "\n".join(lines) + "\n"


def objective(slo: SLO) -> list[str]:
    """One OpenSLO document."""
    def of_service(name: str, labels: str) -> str:
        return labelled(name, f'service="{slo.service}"', labels)

    callers = ["    # One caller's retries are one failure.",
               f"    gate/callers: '{of_service(slo.callers, '')}'"] if slo.callers else []
    lines = [
        "apiVersion: openslo/v1", "kind: SLO", "metadata:", f"  name: {slo.objective}", f"  displayName: {slo.title}",
        "  annotations:", "    gate/class: blocking", "    gate/compare: baseline", *callers,
        "spec:", f"  service: {slo.service}", f"  description: {slo.title}", "  indicator:", "    metadata:",
        f"      name: {slo.objective}", "    spec:", "      ratioMetric:", "        counter: true",
    ]
    for kind, expression in (("bad", slo.bad), ("total", slo.total)):
        lines += [f"        {kind}:", "          metricSource:", "            type: Prometheus", "            spec:",
                  f"              query: '{counters(expression, of_service)}'"]
    return lines + ["  timeWindow:", "    - duration: 30d", "      isRolling: true", "  budgetingMethod: Occurrences",
                    "  objectives:", f"    - target: {number(1 - slo.budget)}"]


def objectives() -> dict[Path, str]:
    """By service: its objectives, as the gate reads them."""
    head = ["# Written by k8s/slos.py from its table; change that and run it."]
    services: dict[str, list[str]] = {}
    for slo in SLOS:
        lines = services.setdefault(slo.service, [])
        lines += (["---"] if lines else head) + objective(slo)
    return {OBJECTIVES / f"{service}.yaml": "\n".join(lines) + "\n" for service, lines in services.items()}


def main() -> int:
    files = {RULES: rules(), TESTS: tests()} | objectives()
    if "--check" in sys.argv[1:]:
        stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
        for path in stale:
            print(f"{path.relative_to(K8S.parent)} differs from what k8s/slos.py writes: run it.", file=sys.stderr)
        return 1 if stale else 0
    for path, text in files.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
