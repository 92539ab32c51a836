{{/* The proxy's container: the part that a sidecar and a pod of its own have in common. */}}
{{- define "progressive-proxy.container" -}}
{{- $scheme := ternary ", scheme: HTTPS" "" (eq (include "progressive-proxy.scheme" .) "https") -}}
name: progressive-proxy
image: {{ include "progressive-proxy.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/progressive-proxy/config/config.yaml]
{{- with include "progressive-proxy.environment" . }}
{{- . }}
{{- end }}
startupProbe: # the viewer starts after it succeeds; it waits for no origin
  httpGet: {path: /livez, port: proxy-admin{{ $scheme }}}
  {{- toYaml (mustMerge (deepCopy .Values.probes.startup) (dict "failureThreshold" .Values.startupSeconds)) | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: proxy-admin{{ $scheme }}}
  {{- toYaml .Values.probes.readiness | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: proxy-admin{{ $scheme }}}
  {{- toYaml .Values.probes.liveness | nindent 2 }}
resources: {{- include "progressive-proxy.resources" . | nindent 2 }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts: {{- include "progressive-proxy.mounts" . | nindent 2 }}
{{- end }}

{{/* Variables of the containers that run the program. */}}
{{- define "progressive-proxy.environment" -}}
{{- range $key := list "env" "envFrom" }}
{{- with get $.Values $key }}
{{ $key }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Mounts directories instead of single files (subPath), because only directories change in a running pod. */}}
{{- define "progressive-proxy.mounts" -}}
{{- include "progressive-proxy.ownMounts" . }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "progressive-proxy.ownMounts" -}}
- {name: progressive-proxy-config, mountPath: /etc/progressive-proxy/config, readOnly: true}
{{- range (include "progressive-proxy.secrets" . | fromJson).list }}
- {name: progressive-proxy-secret-{{ . }}, mountPath: /etc/progressive-proxy/secrets/{{ . }}, readOnly: true}
{{- end }}
{{- if .Values.disk.volume }}
- {name: progressive-proxy-disk, mountPath: /var/cache/progressive-proxy}
{{- end }}
{{- end }}
