{{/*
What each program is, as its source says: k8s/tests/test_drift.py compares this with Sources/. Nothing here is for users.

port            of /health, /ready and /metrics, and of the API of the orchestrator and the gate
postgres, nats, redis  what it connects to; redis "required", "shared" (circuit breakers only) or ""
natsReplicas, natsStorage  whether it reads these settings
pool            Postgres connections unless GOLDEN_POOL_SIZE says otherwise; spare: those it takes besides
drainSeconds    runServices: the drain and the cancellation after it
startSeconds    until /health answers at the latest
consumers       of JetStream, whose lag says how many pods are needed
metric          what an HPA goes by
*/}}
{{- define "golden.facts" -}}
orchestrator:
  port: 8080
  postgres: true
  nats: true
  redis: required
  natsReplicas: true
  natsStorage: true
  pool: 6
  spare: 1
  drainSeconds: 40
  startSeconds: 60
  consumers: []
  metric: {name: orchestrator_task_queue_depth, type: AverageValue}
peer-hub:
  port: 8081
  postgres: true
  nats: true
  redis: ""
  natsReplicas: true
  natsStorage: true
  pool: 4
  spare: 0
  drainSeconds: 40
  startSeconds: 60
  consumers:
    - {stream: PRC, consumer: peer-hub-requests}
    - {stream: PRC, consumer: peer-hub-responses}
  metric: {name: peer_review_consensus_time, type: Value}
supervisor:
  port: 8082
  postgres: true
  nats: true
  redis: ""
  natsReplicas: true
  natsStorage: true
  pool: 4
  spare: 0
  drainSeconds: 40
  startSeconds: 60
  consumers:
    - {stream: ESCALATIONS, consumer: supervisor-escalations}
    - {stream: ESCALATIONS, consumer: supervisor-analyses}
  metric: {name: supervisor_unresolved_escalations, type: AverageValue}
sandbox-executor:
  port: 8083
  postgres: true
  nats: true
  redis: shared
  natsReplicas: true
  natsStorage: true
  pool: 4
  spare: 0
  drainSeconds: 40
  startSeconds: 180
  consumers:
    - {stream: SANDBOX, consumer: sandbox-executor}
  metric: {name: sandbox_execution_queue_depth, type: AverageValue}
dlq-worker:
  port: 8084
  postgres: true
  nats: true
  redis: shared
  natsReplicas: true
  natsStorage: true
  pool: 3
  spare: 0
  drainSeconds: 40
  startSeconds: 60
  consumers: []
  metric: {}
release-gate:
  port: 8085
  postgres: true
  nats: false
  redis: ""
  natsReplicas: false
  natsStorage: false
  pool: 2
  spare: 0
  drainSeconds: 40
  startSeconds: 60
  consumers: []
  metric: {}
{{- end }}

{{/* Where an agent answers for its health; nobody asks it for anything else. */}}
{{- define "golden.agentPort" -}}8087{{- end }}

{{/* Where the gate answers Flagger, which can send no token, if Flagger is used: only Flagger is let in there. */}}
{{- define "golden.flaggerPort" -}}8088{{- end }}

{{/* Seconds before SIGTERM in which a pod that ends gets no new connections any more. */}}
{{- define "golden.preStopSeconds" -}}5{{- end }}

{{/* The names of the services that are installed, as JSON. */}}
{{- define "golden.installed" -}}
{{- $names := list }}
{{- range $name, $_ := include "golden.facts" . | fromYaml }}
{{- if (index $.Values.components $name).enabled }}{{ $names = append $names $name }}{{ end }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/*
The groups of a rules file for this release alone, since environments may share one Prometheus: every selector and whatever a
rule makes name the namespace, and who is missed is who is installed. The gate is not: no service waits for it.
(list root rules)
*/}}
{{- define "golden.ruleGroups" -}}
{{- $root := index . 0 -}}
{{- $own := printf "namespace=%q" $root.Release.Namespace -}}
{{- $absent := list -}}
{{- range $name := without (include "golden.installed" $root | fromJsonArray) "release-gate" -}}
{{- $absent = append $absent (printf "absent(up{job=%q,%s})" $name $own) -}}
{{- end -}}
{{- range $group := (index . 1).groups -}}
{{- range $rule := $group.rules -}}
{{- $_ := set $rule "labels" (merge (dict "namespace" $root.Release.Namespace) ($rule.labels | default dict)) -}}
{{- $_ := set $rule "expr" ($rule.expr | replace "namespace=~\".*\"" $own) -}}
{{- if eq ($rule.alert | default "") "ServiceAbsent" }}{{ $_ := set $rule "expr" (join " or " $absent) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml (index . 1).groups -}}
{{- end }}

{{/* How each of Argo Rollouts' metrics asks the gate: its address */}}
{{- define "golden.gateMetric" -}}
interval: 30s
failureLimit: 0
# No answer is no verdict: the gate being away holds the release, it does not fail it.
consecutiveErrorLimit: 20
failureCondition: result.rollBack
provider:
  web:
    method: GET
    url: "{{ . }}{{ include "golden.gatePath" "argo" }}?step={{ "{{args.step}}" }}"
    timeoutSeconds: 20
    headers:
      - {key: Authorization, value: "Bearer {{ "{{args.token}}" }}"}
    jsonPath: "{$}"
{{- end }}

{{/* The name of the service whose releases go step by step, as "argo" or "flagger" takes them; empty without either. */}}
{{- define "golden.canaried" -}}
{{- if ne .Values.progressiveDelivery.provider "none" }}orchestrator{{ end }}
{{- end }}

{{/* Where the gate answers Argo Rollouts ("argo") and each of Flagger's webhooks. */}}
{{- define "golden.gatePath" -}}
{{- if eq . "argo" }}/argo/decision{{ else }}/flagger/{{ . }}{{ end }}
{{- end }}
