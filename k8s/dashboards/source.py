"""The dashboards: their table, and the Grafana JSON written from it.

    python3 k8s/dashboards/source.py          writes k8s/charts/golden/dashboards/*.json
    python3 k8s/dashboards/source.py --check  exits with 1 when the committed files differ from what it would write

A panel is a title, a unit and queries with their legends. Grafana's layout follows from the order: three panels a row.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).resolve().parents[1] / "charts" / "golden" / "dashboards"
API = 'route!~"/health|/ready|/metrics|unmatched"'
COLUMNS = 3
WIDTH, HEIGHT = 24 // COLUMNS, 8


@dataclass(frozen=True)
class Panel:
    title: str
    #: Grafana's name of it: short, s, percentunit, reqps, bytes, none.
    unit: str
    #: Query and legend.
    queries: tuple[tuple[str, str], ...]
    #: What is promised, drawn as a line.
    limit: float | None = None
    #: A number instead of a curve.
    is_stat: bool = False


@dataclass(frozen=True)
class Dashboard:
    name: str
    title: str
    panels: tuple[Panel, ...]


def line(title: str, unit: str, *queries: tuple[str, str], limit: float | None = None) -> Panel:
    return Panel(title, unit, queries, limit)


def stat(title: str, unit: str, query: str, limit: float | None = None) -> Panel:
    return Panel(title, unit, ((query, ""),), limit, is_stat=True)


def quantile(q: float, metric: str, by: str = "", labels: str = "") -> str:
    selector = f"{{{labels}}}" if labels else ""
    return f"histogram_quantile({q}, sum by (le{', ' + by if by else ''}) (rate({metric}_bucket{selector}[5m])))"


DASHBOARDS = (
    Dashboard("system", "Golden: system", (
        stat("Services up", "none", 'sum(up{job=~"orchestrator|peer-hub|supervisor|dlq-worker|sandbox-executor"})'),
        stat("Requests failing", "percentunit", 'slo:bad_ratio:5m{slo="http_errors"}', limit=0.01),
        stat("Alerts firing", "none", 'count(ALERTS{alertstate="firing"}) or vector(0)', limit=1),
        line("Requests", "reqps", (f"sum by (route) (rate(http_requests_total{{{API}}}[1m]))", "{{route}}")),
        line("Answers by status", "reqps", (f"sum by (status) (rate(http_requests_total{{{API}}}[1m]))", "{{status}}")),
        line("Time of requests", "s",
             *((quantile(q, "http_request_duration_seconds", labels=API), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)),
             limit=1),
        line("Tasks", "short", ("sum(rate(tasks_created_total[1m]))", "created/s"),
             ("sum(rate(tasks_completed_total[1m]))", "completed/s"),
             ("sum by (state) (rate(tasks_failed_total[1m]))", "{{state}}/s")),
        line("Tasks on their way", "none", ("max(orchestrator_active_tasks)", "handed out"),
             ("max(orchestrator_task_queue_depth)", "waiting")),
        line("Time of tasks", "s", (quantile(0.5, "task_duration_seconds"), "p50"),
             (quantile(0.95, "task_duration_seconds"), "p95")),
        line("Slowest statements, p95", "s",
             (f"topk(8, {quantile(0.95, 'db_query_duration_seconds', by='statement')})", "{{statement}}"), limit=0.1),
        line("Waiting in JetStream", "none",
             ("max by (stream, consumer) (jetstream_consumer_pending)", "{{consumer}}")),
        line("Oldest message in the outbox", "s", ("max(outbox_oldest_seconds)", "age"), limit=30),
        line("Stores reachable", "none", ("min by (dependency) (dependency_up)", "{{dependency}}")),
        line("Memory", "bytes", ("process_resident_memory_bytes", "{{job}}")),
        line("Processors in use", "none", ("rate(process_cpu_seconds_total[1m])", "{{job}}")),
    )),
    Dashboard("peer-review", "Golden: peer review", (
        stat("Decided within 180 s", "percentunit", '1 - slo:bad_ratio:1h{slo="peer_review"}'),
        stat("Escalations unresolved", "none", "max(supervisor_unresolved_escalations)", limit=1),
        stat("Sessions opened", "none", "sum(peer_review_sessions_opened_total)"),
        line("Decisions", "short",
             ("sum by (decision) (rate(peer_review_consensus_time_count[5m]))", "{{decision}}/s")),
        line("Time to a decision", "s", (quantile(0.5, "peer_review_consensus_time"), "p50"),
             (quantile(0.95, "peer_review_consensus_time"), "p95"), limit=180),
        line("Votes", "short", ("sum by (outcome) (rate(peer_review_votes_total[5m]))", "{{outcome}}/s")),
        line("Seats offered again, sessions closed", "short",
             ("sum(rate(peer_review_seats_offered_again_total[5m]))", "offered again/s"),
             ("sum(rate(peer_review_sessions_canceled_total[5m]))", "closed/s")),
        line("Escalations", "none", ("max by (status) (supervisor_escalations)", "{{status}}")),
        line("Prompt updates proposed", "none", ("sum(supervisor_proposals_total)", "proposed")),
    )),
    Dashboard("budgets", "Golden: budgets", (
        stat("Tenants without tokens", "none", "count(tenant:budget_tokens:ratio >= 1) or vector(0)", limit=1),
        stat("Highest use", "percentunit", "max(tenant:budget_tokens:ratio)", limit=0.9),
        stat("Ledger differences", "none", "max(budget_ledger_differences)", limit=1),
        line("Used and reserved", "percentunit", ("topk(10, tenant:budget_tokens:ratio)", "{{tenant}}"), limit=1),
        line("Tokens used", "short", ('topk(10, max by (tenant) (budget_tokens{state="used"}))', "{{tenant}}")),
        line("Tokens reserved", "short", ('topk(10, max by (tenant) (budget_tokens{state="reserved"}))', "{{tenant}}")),
        line("Limits", "short", ('topk(10, max by (tenant) (budget_tokens{state="limit"}))', "{{tenant}}")),
        line("Overage", "short", ('topk(10, max by (tenant) (budget_tokens{state="overage"}))', "{{tenant}}")),
        line("Requests for tokens", "reqps",
             ('sum by (route, status) (rate(http_requests_total{route=~"/budget/.*"}[1m]))', "{{route}} {{status}}")),
    )),
    Dashboard("sandbox", "Golden: sandbox", (
        stat("Runs under way", "none", "sum(sandbox_executions_running)"),
        stat("Runs waiting", "none", "max(sandbox_execution_queue_depth)", limit=20),
        stat("Stopped for time", "percentunit", 'slo:bad_ratio:5m{slo="sandbox_timeout"}', limit=0.05),
        line("Runs by how they ended", "short",
             ("sum by (status) (rate(sandbox_executions_total[1m]))", "{{status}}/s")),
        line("Runs by language", "short", ("sum by (language) (rate(sandbox_executions_total[1m]))", "{{language}}/s")),
        line("Time of runs, p95", "s", (quantile(0.95, "sandbox_execution_time", by="language"), "{{language}}"),
             limit=30),
        line("Queue and slots", "none", ("max(sandbox_execution_queue_depth)", "waiting"),
             ("sum(sandbox_executions_running)", "running")),
        line("Warm interpreters", "none", ("sum by (language) (sandbox_warm_interpreters)", "{{language}}")),
        line("The sandbox holds", "none", ('min(dependency_up{dependency="sandbox"})', "1: yes")),
    )),
    Dashboard("breakers", "Golden: breakers and dead letters", (
        stat("Breakers not closed", "none", "count(max by (name) (circuit_breaker_state) > 0) or vector(0)", limit=1),
        stat("Dead letters unresolved", "none", "max(dlq_messages_unresolved)", limit=10),
        stat("Of them critical", "none", "max(dlq_messages_unresolved_critical)", limit=1),
        line("State: 0 closed, 1 half-open, 2 open", "none",
             ("max by (name) (circuit_breaker_state)", "{{name}}"), limit=2),
        line("Dead letters", "none", ("max(dlq_messages_unresolved)", "unresolved"),
             ("max(dlq_messages_unresolved_critical)", "critical"), limit=10),
        line("Dead letters filed since the start", "none", ("sum by (reason) (dlq_messages_filed_total)", "{{reason}}")),
        line("Refused requests", "reqps",
             ('sum by (status) (rate(http_requests_total{status=~"401|403|429|402"}[1m]))', "{{status}}")),
        line("Webhooks due", "s", ("max(webhook_oldest_due_seconds)", "oldest"), limit=600),
        line("Tasks tried again", "short", ("sum(rate(tasks_retried_total[1m]))", "attempts/s")),
    )),
    Dashboard("releases", "Golden: release lineage", (
        stat("Processes of another version than released", "none",
             "count(golden_build_info unless on (version) release_info) or vector(0)", limit=1),
        stat("Budgets that hold releases", "none",
             "count(slo:bad_ratio:1d > on (slo, namespace) (3 * slo:budget)) or vector(0)", limit=1),
        stat("Process starts, 1 h", "none", "sum(changes(process_start_time_seconds[1h]))"),
        line("Version of each environment", "none", ("release_info", "{{environment}} {{version}}")),
        line("Behind what was sealed in dev", "none", ("release_version_drift", "{{environment}}")),
        line("Releases: begun, failed", "none", ("release_deployments", "{{environment}} begun"),
             ("release_rollbacks", "{{environment}} failed or rolled back")),
        line("Share of releases that failed", "percentunit", ("release_rollback_ratio", "{{environment}}")),
        line("Time since it last happened", "s", ("time() - release_event_timestamp_seconds", "{{environment}} {{event}}")),
        line("Decisions of the gate", "none", ("release_decisions", "{{environment}} {{outcome}}")),
        line("Processes by version", "none", ("count by (version, job) (golden_build_info)", "{{job}} {{version}}")),
        line("Age of processes", "s", ("time() - process_start_time_seconds", "{{job}} {{instance}}")),
        line("Burn of the error budgets, 1 h", "none", ("slo:bad_ratio:1h / on (slo, namespace) slo:budget", "{{slo}}"), limit=14.4),
        line("Bad share now", "percentunit", ("slo:bad_ratio:5m", "{{slo}}")),
        line("Bad share, 3 days", "percentunit", ("slo:bad_ratio:3d", "{{slo}}")),
        line("Alerts firing", "none", ('count by (alertname) (ALERTS{alertstate="firing"}) or vector(0)', "{{alertname}}")),
    )),
)


def grafana(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": f"golden-{dashboard.name}", "title": dashboard.title, "tags": ["golden"], "schemaVersion": 38, "version": 1,
        "editable": False, "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "timezone": "utc",
        "templating": {"list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]},
        "panels": [grafana_panel(panel, index) for index, panel in enumerate(dashboard.panels)],
    }


def grafana_panel(panel: Panel, index: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if not panel.is_stat:
        drawn = "line" if panel.limit is not None else "off"
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 5, "thresholdsStyle": {"mode": drawn}}
    return {
        "id": index + 1, "title": panel.title, "type": "stat" if panel.is_stat else "timeseries", "datasource": source,
        "gridPos": {"x": index % COLUMNS * WIDTH, "y": index // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }


def files() -> dict[Path, str]:
    return {
        OUTPUT / f"{dashboard.name}.json": json.dumps(grafana(dashboard), indent=1) + "\n" for dashboard in DASHBOARDS
    }


def main() -> int:
    if "--check" in sys.argv[1:]:
        stale = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
        stale += [path for path in OUTPUT.glob("*.json") if path not in files()]
        for path in stale:
            print(f"{path.name} differs from what k8s/dashboards/source.py writes: run it.", file=sys.stderr)
        return 1 if stale else 0
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
