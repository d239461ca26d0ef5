{{/* "hpa", "keda" or "": what scales a service: (list root name). Never two at once. */}}
{{- define "golden.isScaled" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- if and (hasKey $root.Values.autoscaling $name) (ne $root.Values.autoscaling.mode "none") -}}
{{- $fact := index (include "golden.facts" $root | fromYaml) $name -}}
{{- if and (eq $root.Values.autoscaling.mode "keda") $fact.consumers -}}keda{{- else -}}hpa{{- end -}}
{{- end -}}
{{- end }}

{{/* The most pods of a service: (list root name) */}}
{{- define "golden.maxReplicas" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- if include "golden.isScaled" . -}}
{{ index $root.Values.autoscaling $name "max" }}
{{- else -}}
{{ (index $root.Values.components $name).replicas }}
{{- end -}}
{{- end }}

{{/* What is scaled: the Deployment, or the Rollout that stands in front of it: (list root name) */}}
{{- define "golden.scaleTarget" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- if and (eq $name "orchestrator") (eq $root.Values.progressiveDelivery.provider "argo") -}}
apiVersion: argoproj.io/v1alpha1
kind: Rollout
{{- else -}}
apiVersion: apps/v1
kind: Deployment
{{- end }}
name: {{ include "golden.fullname" $root }}-{{ $name }}
{{- end }}

{{/* Connections that Postgres may be asked for when every pool is full and one pod more of each service starts. */}}
{{- define "golden.connectionsMax" -}}
{{- $sum := 0 }}
{{- $facts := include "golden.facts" . | fromYaml }}
{{- range $name := include "golden.installed" . | fromJsonArray }}
{{- $fact := index $facts $name }}
{{- $pool := (index $.Values.components $name).settings.GOLDEN_POOL_SIZE | default $fact.pool | int }}
{{- $pods := add (include "golden.maxReplicas" (list $ $name) | int) 1 }}
{{- $sum = add $sum (mul $pods (add $pool ($fact.spare | int))) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* A trigger by one consumer's lag: (list root stream consumer) */}}
{{- define "golden.jetStreamTrigger" -}}
{{- $root := index . 0 -}}
- type: nats-jetstream
  metadata:
    natsServerMonitoringEndpoint: {{ $root.Values.stores.nats.monitoring | quote }}
    account: {{ $root.Values.stores.nats.account | quote }}
    stream: {{ index . 1 }}
    consumer: {{ index . 2 }}
    lagThreshold: {{ $root.Values.autoscaling.lagThreshold | quote }}
{{- end }}
