{{- define "golden.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Labels that never change: (list root component) */}}
{{- define "golden.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: golden
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of an object: (list root component) */}}
{{- define "golden.labels" -}}
{{- $root := index . 0 -}}
{{ include "golden.selectorLabels" . }}
app.kubernetes.io/part-of: golden
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
golden.dev/environment: {{ $root.Values.environment }}
{{- end }}

{{/* An image by digest, its tag for people: (list root image) with image {repository, digest} */}}
{{- define "golden.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if not (regexMatch "^sha256:[0-9a-f]{64}$" ($image.digest | default "")) }}
{{- fail (printf "The image %s needs a digest (sha256:…): tags move, digests do not." $image.repository) }}
{{- end }}
{{- $tag := $root.Values.global.imageTag | default (printf "v%s" $root.Chart.AppVersion) -}}
{{- if eq $tag "latest" }}{{ fail "The tag latest says nothing: leave global.imageTag empty or name a version." }}{{ end -}}
{{ printf "%s/%s:%s@%s" $root.Values.global.imageRegistry $image.repository $tag $image.digest }}
{{- end }}

{{/* What the pod security standard "restricted" asks of a pod, and no rights at the API server. */}}
{{- define "golden.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "golden.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "golden.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* What a program connects to as settings: (list root needs), needs like golden.facts. Secrets come as files. */}}
{{- define "golden.connections" -}}
{{- $root := index . 0 -}}
{{- $needs := index . 1 -}}
{{- with $root.Values.tracing.endpoint }}
GOLDEN_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- if $needs.postgres }}
GOLDEN_POSTGRES_URL_FILE: /etc/golden/secrets/postgres-url
{{- end }}
{{- if $needs.nats }}
GOLDEN_NATS_URL: {{ $root.Values.stores.nats.url | quote }}
{{- if eq $root.Values.secrets.nats.kind "credentials" }}
GOLDEN_NATS_CREDENTIALS: /etc/golden/secrets/nats.creds
{{- else }}
GOLDEN_NATS_USER_FILE: /etc/golden/secrets/nats-user
GOLDEN_NATS_PASSWORD_FILE: /etc/golden/secrets/nats-password
{{- end }}
{{- if $root.Values.stores.ca.configMap }}
GOLDEN_NATS_CA: /etc/golden/ca/ca.crt
{{- end }}
{{- if $needs.natsReplicas }}
GOLDEN_NATS_REPLICAS: {{ $root.Values.stores.nats.replicas | quote }}
{{- end }}
{{- if $needs.natsStorage }}
GOLDEN_NATS_STORAGE: {{ $root.Values.stores.nats.storage | quote }}
{{- end }}
{{- end }}
{{- if $needs.redis }}
GOLDEN_REDIS_URL_FILE: /etc/golden/secrets/redis-url
{{- if $root.Values.stores.ca.configMap }}
GOLDEN_REDIS_CA: /etc/golden/ca/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/* The Secrets that a program reads, as sources of one projected volume: (list root needs) */}}
{{- define "golden.secretSources" -}}
{{- $root := index . 0 -}}
{{- $needs := index . 1 -}}
{{- $secrets := $root.Values.secrets -}}
{{- $lineageKey := "" }}
{{- if $needs.gateToken }}{{ $lineageKey = $secrets.releaseGate.lineageKey }}{{ end }}
{{- if and $needs.postgres (not $lineageKey) }}
- secret:
    name: {{ $secrets.postgres.name }}
    items: [{key: {{ $secrets.postgres.urlKey }}, path: postgres-url}]
{{- end }}
{{- if $needs.nats }}
- secret:
    name: {{ $secrets.nats.name }}
{{- if eq $secrets.nats.kind "credentials" }}
    items: [{key: nats.creds, path: nats.creds}]
{{- else }}
    items: [{key: user, path: nats-user}, {key: password, path: nats-password}]
{{- end }}
{{- end }}
{{- if $needs.redis }}
- secret:
    name: {{ $secrets.redis.name }}
    items: [{key: {{ $secrets.redis.urlKey }}, path: redis-url}]
{{- end }}
{{- if $needs.tokens }}
- secret:
    name: {{ $secrets.tokens.name }}
    items: [{key: {{ $secrets.tokens.secretKey }}, path: jwt-secret}]
{{- end }}
{{- if and $needs.deadLetterWebhook $secrets.deadLetterWebhook.name }}
- secret:
    name: {{ $secrets.deadLetterWebhook.name }}
    items: [{key: {{ $secrets.deadLetterWebhook.urlKey }}, path: dead-letter-webhook}]
{{- end }}
{{- if $needs.gateToken }}
- secret:
    name: {{ $secrets.releaseGate.name }}
    items:
      - {key: {{ $secrets.releaseGate.tokenKey }}, path: gate-token}
{{- with $lineageKey }}
      - {key: {{ . }}, path: postgres-url}
{{- end }}
{{- end }}
{{- if $needs.modelKey }}
- secret:
    name: {{ $needs.modelKey.secret }}
    items: [{key: {{ $needs.modelKey.key }}, path: model-key}]
{{- end }}
{{- end }}

{{/* Volumes of a program: scratch space, its secrets, the stores' authority: (list root needs) */}}
{{- define "golden.volumes" -}}
{{- $root := index . 0 -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ (index . 1).scratch | default "64Mi" }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
{{- include "golden.secretSources" . | nindent 6 }}
{{- with $root.Values.stores.ca.configMap }}
- name: ca
  configMap:
    name: {{ . }}
    items: [{key: {{ $root.Values.stores.ca.key }}, path: ca.crt}]
{{- end }}
{{- end }}

{{- define "golden.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: /etc/golden/secrets, readOnly: true}
{{- if .Values.stores.ca.configMap }}
- {name: ca, mountPath: /etc/golden/ca, readOnly: true}
{{- end }}
{{- end }}

{{/* Over zones first, then over nodes: (list root component) */}}
{{- define "golden.spread" -}}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
{{- include "golden.selectorLabels" $ | nindent 8 }}
{{- end }}
{{- end }}

{{/* The whole environment of a service: (list root name fact) */}}
{{- define "golden.settings" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $fact := index . 2 -}}
GLIBC_TUNABLES: glibc.malloc.tcache_count=200:glibc.malloc.arena_max=2
GOLDEN_HTTP_HOST: 0.0.0.0
GOLDEN_HTTP_PORT: {{ $fact.port | quote }}
GOLDEN_LOG_LEVEL: {{ $root.Values.logLevel }}
{{- include "golden.connections" (list $root $fact) }}
{{- if eq $name "orchestrator" }}
GOLDEN_JWT_SECRET_FILE: /etc/golden/secrets/jwt-secret
{{- with $root.Values.ingress.trustedProxies }}
GOLDEN_TRUSTED_PROXIES: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- if eq $name "release-gate" }}
GOLDEN_GATE_TOKEN_FILE: /etc/golden/secrets/gate-token
{{- /* Whose series it goes by, where environments share one Prometheus. */}}
GOLDEN_GATE_NAMESPACE: {{ $root.Release.Namespace }}
{{- if eq $root.Values.progressiveDelivery.provider "flagger" }}
GOLDEN_GATE_FLAGGER_PORT: {{ include "golden.flaggerPort" $root | quote }}
{{- end }}
{{- end }}
{{- if and (eq $name "dlq-worker") $root.Values.secrets.deadLetterWebhook.name }}
GOLDEN_DLQ_WEBHOOK_FILE: /etc/golden/secrets/dead-letter-webhook
{{- end }}
{{- range $key, $value := (index $root.Values.components $name).settings }}
{{ $key }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* What a service needs of Secrets and space, besides its facts: (list root name fact) */}}
{{- define "golden.needs" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $needs := dict "tokens" (eq $name "orchestrator") "deadLetterWebhook" (eq $name "dlq-worker") "gateToken" (eq $name "release-gate") }}
{{- if eq $name "sandbox-executor" }}{{ $_ := set $needs "scratch" "2Gi" }}{{ end }}
{{- merge $needs (index . 2) | toJson }}
{{- end }}

{{/* The whole environment of an agent: (list root agent needs) */}}
{{- define "golden.agentSettings" -}}
{{- $root := index . 0 -}}
{{- $agent := index . 1 -}}
GLIBC_TUNABLES: glibc.malloc.tcache_count=200:glibc.malloc.arena_max=2
GOLDEN_LOG_LEVEL: {{ $root.Values.logLevel }}
GOLDEN_HTTP_HOST: 0.0.0.0
GOLDEN_HTTP_PORT: {{ include "golden.agentPort" $root | quote }}
{{- include "golden.connections" (list $root (index . 2)) }}
{{- if $agent.modelKey }}
GOLDEN_MODEL_KEY_FILE: /etc/golden/secrets/model-key
{{- end }}
{{- range $key, $value := $agent.settings }}
{{ $key }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
