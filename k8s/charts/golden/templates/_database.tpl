{{/* A Job of a wave for Argo CD, which takes Helm's hooks for its own, cannot tell an install from an upgrade, and would run
them before the volume for backups is there. */}}
{{- define "golden.argoHook" -}}
argocd.argoproj.io/hook: Sync
argocd.argoproj.io/sync-wave: {{ . | quote }}
argocd.argoproj.io/hook-delete-policy: BeforeHookCreation,HookSucceeded
{{- end }}

{{/* The Job that backs up, or that restores into the scratch database: (list root reason) */}}
{{- define "golden.backupJob" -}}
{{- $root := index . 0 -}}
{{- $reason := index . 1 -}}
{{- $isDrill := eq $reason "drill" -}}
{{- $secret := ternary $root.Values.secrets.restoreDrill $root.Values.secrets.postgres $isDrill -}}
backoffLimit: 2
activeDeadlineSeconds: {{ $root.Values.backup.deadlineSeconds }}
template:
  metadata:
    labels:
{{- include "golden.labels" (list $root "database") | nindent 6 }}
  spec:
    restartPolicy: Never
    serviceAccountName: {{ include "golden.fullname" $root }}-database
{{- include "golden.podSecurity" $root | nindent 4 }}
{{- include "golden.pullSecrets" $root | nindent 4 }}
    containers:
      - name: {{ ternary "restore" "backup" $isDrill }}
        image: {{ include "golden.image" (list $root (index $root.Values.images "database-tools")) }}
        imagePullPolicy: {{ $root.Values.global.imagePullPolicy }}
{{- if $isDrill }}
        command: [bash, /opt/golden/restore.sh, --replace, newest]
{{- else }}
        command: [bash, /opt/golden/backup.sh, {{ $reason }}]
{{- end }}
        env:
          - {name: GOLDEN_POSTGRES_URL_FILE, value: /etc/golden/secrets/postgres-url}
          - {name: BACKUP_FOLDER, value: /backups}
{{- if not $isDrill }}
          - {name: BACKUP_RETENTION_DAYS, value: {{ $root.Values.backup.retentionDays | quote }}}
          - {name: BACKUP_KEEP_MIN, value: {{ $root.Values.backup.keepMin | quote }}}
{{- end }}
        resources:
{{- toYaml $root.Values.backup.resources | nindent 10 }}
{{- include "golden.containerSecurity" $root | nindent 8 }}
        volumeMounts:
{{- include "golden.volumeMounts" $root | nindent 10 }}
          - {name: scripts, mountPath: /opt/golden, readOnly: true}
          - {name: backups, mountPath: /backups{{ if $isDrill }}, readOnly: true{{ end }}}
    volumes:
{{- $needs := dict "postgres" true }}
{{- $values := dict "stores" $root.Values.stores "secrets" (dict "postgres" $secret) }}
{{- include "golden.volumes" (list (dict "Values" $values) $needs) | nindent 6 }}
      - name: scripts
        configMap:
          name: {{ include "golden.fullname" $root }}-database-scripts
          defaultMode: 0555
      - name: backups
        persistentVolumeClaim: {claimName: {{ include "golden.fullname" $root }}-backups}
{{- end }}
