{{/* Egress rule to peers on TCP ports: (list peers port…) */}}
{{- define "golden.egress" -}}
- to:
{{- toYaml (first .) | nindent 4 }}
  ports:
{{- range rest . }}
    - {port: {{ . }}, protocol: TCP}
{{- end }}
{{- end }}

{{/* Egress to the stores a component uses, and to the traces' collector: (list root needs) */}}
{{- define "golden.storeEgress" -}}
{{- $stores := (index . 0).Values.stores -}}
{{- $needs := index . 1 -}}
{{- if $needs.postgres }}
{{ include "golden.egress" (list $stores.postgres.peers $stores.postgres.port) }}
{{- end }}
{{- if $needs.nats }}
{{ include "golden.egress" (list $stores.nats.peers $stores.nats.port) }}
{{- end }}
{{- if $needs.redis }}
{{ include "golden.egress" (list $stores.redis.peers $stores.redis.port) }}
{{- end }}
{{- $tracing := (index . 0).Values.tracing }}
{{- if and $tracing.endpoint (not $needs.isTool) }}
{{ include "golden.egress" (list $tracing.peers $tracing.port) }}
{{- end }}
{{- end }}

{{/* The pods of the chart's own Prometheus. Their name and instance are what the operator says, whatever the chart does. */}}
{{- define "golden.prometheusLabels" -}}
app.kubernetes.io/component: prometheus
app.kubernetes.io/part-of: golden
{{- end }}

{{/* Egress to where every service and agent answers for its health and metrics. */}}
{{- define "golden.metricsEgress" -}}
{{- $facts := include "golden.facts" . | fromYaml }}
{{- range $name := include "golden.installed" . | fromJsonArray }}
{{- $peer := dict "podSelector" (dict "matchLabels" (include "golden.selectorLabels" (list $ $name) | fromYaml)) }}
{{ include "golden.egress" (list (list $peer) (index $facts $name).port) }}
{{- end }}
{{- range $name, $agent := .Values.agents }}
{{- if $agent.enabled }}
{{- $labels := include "golden.selectorLabels" (list $ (printf "agent-%s" $name)) | fromYaml }}
{{ include "golden.egress" (list (list (dict "podSelector" (dict "matchLabels" $labels))) (include "golden.agentPort" $)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Beginning of a policy for a component's pods: (list root name) */}}
{{- define "golden.policyHead" -}}
{{- $root := index . 0 -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "golden.fullname" $root }}-{{ index . 1 }}
  namespace: {{ $root.Release.Namespace }}
  labels:
{{- include "golden.labels" . | nindent 4 }}
{{- end }}
