"""Ways to break the chart on purpose, and the check that should notice each."""


def edit(file, old, new, count=1):
    """A mutation of the chart's text; `old` must be there."""

    def apply(chart):
        path = chart / file
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise AssertionError(f"{file} no longer holds {old!r}: mend this mutation.")
        path.write_text(text.replace(old, new, count), encoding="utf-8")
        return {}

    return apply


def add(file, text):
    def apply(chart):
        (chart / file).write_text(text, encoding="utf-8")
        return {}

    return apply


def setting(**over):
    return lambda chart: over


def flaggers(mutate):
    """The same, of the chart for Flagger."""
    return lambda chart: mutate(chart) | {"progressiveDelivery": {"provider": "flagger"}}


META = 'metadata:\n  name: extra\n  namespace: {{ .Release.Namespace }}\n  labels:\n{{- include "golden.labels" (list $ "extra") | nindent 4 }}\n'

# What is done -> the check that must notice: a rule of policies.py or drift.py, "validation" or "refused" (by Helm or the
# values' schema).
MUTATIONS = {
    "no readiness probe": (
        edit(
            "templates/deployments.yaml",
            "          readinessProbe:\n            httpGet: {path: /ready, port: http}\n"
            "            periodSeconds: 5\n            timeoutSeconds: 4\n            failureThreshold: 2\n",
            "",
        ),
        "probes_present",
    ),
    "liveness that depends on stores": (
        edit(
            "templates/deployments.yaml",
            "livenessProbe:\n            httpGet: {path: /health",
            "livenessProbe:\n            httpGet: {path: /ready",
        ),
        "probes_present",
    ),
    "a probe of a path that nobody answers": (
        edit("templates/deployments.yaml", "{path: /ready, port: http}", "{path: /readyz, port: http}"),
        "paths",
    ),
    "the tag latest": (
        edit(
            "templates/_helpers.tpl",
            '{{ printf "%s/%s:%s@%s" $root.Values.global.imageRegistry $image.repository $tag $image.digest }}',
            '{{ printf "%s/%s:latest" $root.Values.global.imageRegistry $image.repository }}',
        ),
        "images_by_digest",
    ),
    "an image by its tag": (
        edit(
            "templates/_helpers.tpl",
            '%s/%s:%s@%s" $root.Values.global.imageRegistry $image.repository $tag $image.digest',
            '%s/%s:%s" $root.Values.global.imageRegistry $image.repository $tag',
        ),
        "images_by_digest",
    ),
    "a privileged container": (
        edit("templates/_helpers.tpl", "  privileged: false", "  privileged: true"),
        "pod_security_restricted",
    ),
    "root": (
        edit(
            "templates/_helpers.tpl",
            "  runAsNonRoot: true\n  runAsUser: 65532\n  runAsGroup",
            "  runAsNonRoot: false\n  runAsGroup",
        ),
        "pod_security_restricted",
    ),
    "kept capabilities": (
        edit("templates/_helpers.tpl", "    drop: [ALL]", "    drop: [NET_RAW]"),
        "pod_security_restricted",
    ),
    "a writable root": (
        edit("templates/_helpers.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        "pod_security_restricted",
    ),
    "no seccomp": (
        edit(
            "templates/_helpers.tpl",
            '  seccompProfile:\n    type: RuntimeDefault\n{{- end }}\n\n{{- define "golden.containerSecurity"',
            '{{- end }}\n\n{{- define "golden.containerSecurity"',
        ),
        "pod_security_restricted",
    ),
    "a folder of the host": (
        edit(
            "templates/_helpers.tpl",
            '- name: tmp\n  emptyDir:\n    sizeLimit: {{ (index . 1).scratch | default "64Mi" }}',
            "- name: tmp\n  hostPath: {path: /tmp}",
        ),
        "pod_security_restricted",
    ),
    "wildcard RBAC": (
        add(
            "templates/extra.yaml",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n"
            + META
            + "rules:\n  - {apiGroups: ['*'], resources: ['*'], verbs: ['*']}\n",
        ),
        "least_privilege",
    ),
    "a role that reads secrets": (
        edit(
            "templates/accounts.yaml",
            "resources: [pods, pods/log, services,",
            "resources: [pods, pods/log, secrets, services,",
        ),
        "least_privilege",
    ),
    "a token of the API server": (
        edit("templates/_helpers.tpl", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
        "no_tokens_mounted",
    ),
    "the default account": (
        edit(
            "templates/deployments.yaml",
            'serviceAccountName: {{ include "golden.fullname" $ }}-{{ $name }}',
            "serviceAccountName: default",
        ),
        "no_tokens_mounted",
    ),
    "a service that selects nothing": (
        edit(
            "templates/services.yaml",
            '  selector:\n{{- include "golden.selectorLabels" (list $ $name) | nindent 4 }}',
            "  selector:\n    app: {{ $name }}",
        ),
        "selectors_match",
    ),
    "a service to a port that is not there": (
        edit("templates/services.yaml", "targetPort: http", "targetPort: web"),
        "selectors_match",
    ),
    "a monitor of a port that is not there": (
        edit("templates/monitoring.yaml", "    - port: http", "    - port: metrics"),
        "selectors_match",
    ),
    "another port than the service's own": (edit("templates/_components.tpl", "port: 8081", "port: 8181"), "ports"),
    "a password in a setting": (
        edit(
            "templates/_helpers.tpl",
            "GOLDEN_POSTGRES_URL_FILE: /etc/golden/secrets/postgres-url",
            "GOLDEN_POSTGRES_URL: postgresql://golden:hunter2@postgres/golden",
        ),
        "no_secrets_in_the_chart",
    ),
    "a Secret in the chart": (
        add("templates/extra.yaml", "apiVersion: v1\nkind: Secret\n" + META + "stringData: {password: hunter2}\n"),
        "no_secrets_in_the_chart",
    ),
    "a secret in the values": (setting(stores={"nats": {"url": "tls://golden:hunter2@nats.nats:4222"}}), "refused"),
    "a model's key among the settings": (
        setting(
            agents={
                "echo": {
                    "backend": "openai",
                    "settings": {
                        "GOLDEN_MODEL_URL": "https://m.example.com",
                        "GOLDEN_MODEL_NAME": "m",
                        "GOLDEN_MODEL_KEY": "sk-abc",
                    },
                }
            }
        ),
        "refused",
    ),
    "a pod less while rolling": (
        edit("templates/deployments.yaml", "maxUnavailable: 0", "maxUnavailable: 1"),
        "rolls_without_a_gap",
    ),
    "killed before it has drained": (
        edit(
            "templates/deployments.yaml",
            'terminationGracePeriodSeconds: {{ add $fact.drainSeconds (include "golden.preStopSeconds" $ | int) 5 }}',
            "terminationGracePeriodSeconds: 30",
        ),
        "grace",
    ),
    "an agent killed at its work": (
        edit("templates/agents.yaml", "add $agent.drainSeconds 10 10 5", "add $agent.drainSeconds 0"),
        "grace",
    ),
    "no wait for the endpoints": (
        edit(
            "templates/deployments.yaml",
            '          lifecycle:\n            preStop:\n              sleep:\n                seconds: {{ include "golden.preStopSeconds" $ }}\n',
            "",
        ),
        "drains_before_it_is_killed",
    ),
    "no limits": (
        edit(
            "templates/deployments.yaml",
            "          resources:\n{{- toYaml $component.resources | nindent 12 }}",
            "          resources:\n            requests: {cpu: 1m, memory: 1Mi, ephemeral-storage: 1Mi}",
        ),
        "resources_bounded",
    ),
    "a quota that is too small": (setting(quota={"hard": {"requests.memory": "8Gi"}}), "fits_the_quota"),
    "scaled by two": (
        add(
            "templates/extra.yaml",
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
            + META
            + "spec:\n  minReplicas: 2\n  maxReplicas: 10\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: golden-peer-hub}\n"
            + "  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]\n",
        ),
        "scaled_by_one",
    ),
    "other bounds": (setting(autoscaling={"orchestrator": {"min": 1}}), "scaling_bounds"),
    "no default deny": (
        edit(
            "templates/network.yaml",
            "  podSelector: {}\n  policyTypes: [Ingress, Egress]",
            "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n  egress: [{to: [{namespaceSelector: {}}], ports: [{port: 443}]}]",
        ),
        "every_pod_has_a_policy",
    ),
    "everybody may call": (
        edit(
            "templates/network.yaml",
            "    # Prometheus, and `helm test`.\n    - from:",
            "    - ports: [{port: 8080}]\n    - from:",
        ),
        "every_pod_has_a_policy",
    ),
    "a way to a store that is not used": (
        edit(
            "templates/network.yaml",
            '{{- include "golden.storeEgress" (list $ $fact) | indent 4 }}',
            '{{- include "golden.storeEgress" (list $ (merge (dict "redis" "shared") $fact)) | indent 4 }}',
        ),
        "call_graph",
    ),
    "services that call each other": (
        edit(
            "templates/network.yaml",
            '(list $ "test") | nindent 14 }}\n{{- if $.Values.prom',
            '(list $ "supervisor") | nindent 14 }}\n{{- if $.Values.prom',
        ),
        "call_graph",
    ),
    "a store's secret that is not used": (
        edit("templates/_components.tpl", 'redis: ""', "redis: shared"),
        "connections",
    ),
    "a setting spelled wrong": (
        edit("templates/_helpers.tpl", "GOLDEN_NATS_USER_FILE:", "GOLDEN_NATS_USERNAME_FILE:"),
        "variables",
    ),
    "a stream that is not there": (
        edit("templates/_components.tpl", "stream: SANDBOX", "stream: SANDBOXES"),
        "consumers",
    ),
    "another service's consumer": (
        edit("templates/_components.tpl", "consumer: supervisor-analyses", "consumer: orchestrator-resolutions"),
        "consumers",
    ),
    "a metric that nothing measures": (
        edit("templates/_components.tpl", "name: orchestrator_task_queue_depth", "name: orchestrator_queue_depth"),
        "metrics",
    ),
    "a field that does not exist": (
        edit("templates/deployments.yaml", "      serviceAccountName:", "      serviceAcountName:"),
        "validation",
    ),
    "a malformed apiVersion": (
        edit("templates/disruption.yaml", "apiVersion: policy/v1", "apiVersion: policy/v1beta1"),
        "refused",
    ),
    "a field of a custom kind that does not exist": (
        edit("templates/monitoring.yaml", "      interval: {{", "      intervall: {{"),
        "validation",
    ),
    "a volume twice": (
        edit("templates/_helpers.tpl", "- name: secrets\n  projected:", "- name: tmp\n  projected:"),
        "names_are_unique",
    ),
    "no TLS redirect": (
        edit("templates/ingress.yaml", 'force-ssl-redirect: "true"', 'force-ssl-redirect: "false"'),
        "ingress_is_encrypted",
    ),
    "the metrics published": (
        edit("templates/ingress.yaml", "- path: {{ . }}", "- path: /metrics"),
        "ingress_is_encrypted",
    ),
    "debug logs in prod": (setting(logLevel="debug"), "refused"),
    "NATS in the clear in prod": (
        edit(
            "templates/_helpers.tpl",
            "{{- if $root.Values.stores.ca.configMap }}\nGOLDEN_NATS_CA: /etc/golden/ca/ca.crt\n{{- end }}\n",
            "",
        ),
        "stores_by_tls_in_prod",
    ),
    "migrated before it is backed up": (
        edit("templates/database.yaml", 'helm.sh/hook-weight: "-5"', 'helm.sh/hook-weight: "5"'),
        "backed_up_before_it_changes",
    ),
    "backups that go with the release": (
        edit("templates/database.yaml", "    helm.sh/resource-policy: keep", "    golden.dev/kept: yes-please"),
        "backed_up_before_it_changes",
    ),
    "no disruption budget": (
        edit("templates/disruption.yaml", "{{- range $name := $names }}", "{{- range $name := rest $names }}"),
        "disruption_budgets",
    ),
    "on one node": (
        edit(
            "templates/_helpers.tpl",
            'list "topology.kubernetes.io/zone" "kubernetes.io/hostname"',
            'list "topology.kubernetes.io/zone"',
        ),
        "spread_over_nodes",
    ),
    "Flagger's port open to Prometheus": (
        edit("templates/_components.tpl", "port: 8085", "port: 8088"),
        "flagger",
    ),
    "a canary like all the others": (edit("templates/delivery.yaml", "{track: canary}", "{role: canary}"), "sides"),
    "services by their Services": (edit("templates/monitoring.yaml", "{targetLabel: service", "{targetLabel: name"), "sides"),
    "objectives of no canary": (edit("templates/deployments.yaml", "key: orchestrator.yaml", "key: peer-hub.yaml"), "sides"),
    "a step that ends with time": (edit("templates/delivery.yaml", "result.proven", "result.goOn"), "proof"),
    "Flagger goes back where the gate holds": (
        flaggers(edit("templates/delivery.yaml", "threshold: 1000000", "threshold: 1")),
        "proof",
    ),
    "Flagger waits for proof before any traffic": (
        flaggers(edit("templates/delivery.yaml", "        type: rollout", "        type: {{ $hook }}")),
        "proof",
    ),
    "Flagger goes on without proof": (
        flaggers(edit("templates/delivery.yaml", '"confirm-rollout" "confirm-traffic-increase"', '"confirm-rollout"')),
        "proof",
    ),
    "steps that are all the last": (edit("templates/_components.tpl", "?step=", "?"), "proof"),
    "another step than it is": (edit("templates/delivery.yaml", "add1 $index", "add $index 2"), "proof"),
    "a way back that nobody is asked about": (
        edit(
            "templates/delivery.yaml",
            "  progressDeadlineAbort: true\n",
            "  progressDeadlineAbort: true\n  rollbackWindow: {revisions: 3}\n",
        ),
        "proof",
    ),
    "an answer of nobody's": (edit("templates/delivery.yaml", "result.goOn", "result.fine"), "proof"),
    "a file that the gate does not see": (setting(releaseGate={"files": []}), "gate_files"),
    "images of anybody to debug with": (
        edit("templates/namespace.yaml", "[pods, pods/ephemeralcontainers]", "[pods]"),
        "admission_holds",
    ),
    "an image that is not let in": (
        edit("templates/namespace.yaml", "startsWith('{{ .Values.global.imageRegistry }}/", "startsWith('registry.example.org/"),
        "admission_holds",
    ),
    "a service that is not measured": (
        edit(
            "templates/monitoring.yaml",
            '{{- $names := include "golden.installed" . | fromJsonArray }}',
            '{{- $names := include "golden.installed" . | fromJsonArray | rest }}',
        ),
        "everything_is_measured",
    ),
}

# Of what Argo CD is told: environment, change, and the rule that must notice.
APPLICATIONS = {
    "prod syncs by itself": (
        "prod",
        "Application",
        ("spec", "syncPolicy", "automated"),
        {"prune": False, "selfHeal": True},
        "sync_policy",
    ),
    "dev prunes": ("dev", "Application", ("spec", "syncPolicy", "automated", "prune"), True, "sync_policy"),
    "staging retries for ever": ("staging", "Application", ("spec", "syncPolicy", "retry", "limit"), -1, "sync_policy"),
    "a floating version": ("prod", "Application", ("spec", "source", "targetRevision"), "*", "pinned"),
    "an image without a digest": (
        "prod",
        "Application",
        ("spec", "source", "helm", "valuesObject", "images", "orchestrator", "digest"),
        "",
        "pinned",
    ),
    "dev in prod's namespace": (
        "dev",
        "Application",
        ("spec", "destination", "namespace"),
        "golden-architecture",
        "namespaces",
    ),
    "pods of any kind": (
        "prod",
        "Application",
        ("spec", "syncPolicy", "managedNamespaceMetadata", "labels", "pod-security.kubernetes.io/enforce"),
        "privileged",
        "namespaces",
    ),
    "another environment's project": ("prod", "Application", ("spec", "project"), "golden-dev", "projects"),
    "a maintenance window that stops nobody": (
        "prod",
        "AppProject",
        ("spec", "syncWindows", 0, "manualSync"),
        True,
        "sync_policy",
    ),
    "no maintenance window": ("prod", "AppProject", ("spec", "syncWindows"), [], "sync_policy"),
    "everybody syncs prod": (
        "prod",
        "AppProject",
        ("spec", "roles", 0, "policies"),
        ["p, proj:golden-prod:viewer, applications, sync, golden-prod/golden-prod, allow"],
        "projects",
    ),
}
