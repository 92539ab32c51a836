{{/* The proxy's container: the part that a sidecar and a pod of its own have in common. */}}
{{- define "progressive-proxy.container" -}}
{{- $scheme := ternary ", scheme: HTTPS" "" (eq (include "progressive-proxy.scheme" .) "https") -}}
name: progressive-proxy
image: {{ include "progressive-proxy.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/progressive-proxy/config/config.yaml]
{{- with .Values.env }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe: # the viewer starts after it succeeds; it waits for no origin
  httpGet: {path: /livez, port: proxy-admin{{ $scheme }}}
  periodSeconds: 1
  failureThreshold: {{ .Values.startupSeconds }}
readinessProbe:
  httpGet: {path: /readyz, port: proxy-admin{{ $scheme }}}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /livez, port: proxy-admin{{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext: {{- include "progressive-proxy.hardened" . | nindent 2 }}
volumeMounts: {{- include "progressive-proxy.mounts" . | nindent 2 }}
{{- end }}

{{- define "progressive-proxy.hardened" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Mounts directories instead of single files (subPath), because only directories change in a running pod. */}}
{{- define "progressive-proxy.mounts" -}}
- {name: progressive-proxy-config, mountPath: /etc/progressive-proxy/config, readOnly: true}
{{- range (include "progressive-proxy.secrets" . | fromJson).list }}
- {name: progressive-proxy-secret-{{ . }}, mountPath: /etc/progressive-proxy/secrets/{{ . }}, readOnly: true}
{{- end }}
{{- if .Values.disk.volume }}
- {name: progressive-proxy-disk, mountPath: /var/cache/progressive-proxy}
{{- end }}
{{- end }}
