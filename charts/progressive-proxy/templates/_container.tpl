{{/* The proxy's container, without what differs between a sidecar and a pod of its own. */}}
{{- define "progressive-proxy.container" -}}
name: progressive-proxy
image: {{ include "progressive-proxy.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/progressive-proxy/config/config.yaml]
env: {{- include "progressive-proxy.env" . | nindent 2 }}
startupProbe: # the viewer beside the proxy starts then; no origin is waited for
  httpGet: {path: /livez, port: proxy-admin}
  periodSeconds: 1
  failureThreshold: {{ .Values.startupSeconds }}
readinessProbe:
  httpGet: {path: /readyz, port: proxy-admin}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /livez, port: proxy-admin}
  periodSeconds: 10
  timeoutSeconds: 5
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext: {{- include "progressive-proxy.hardened" . | nindent 2 }}
volumeMounts: {{- include "progressive-proxy.mounts" . | nindent 2 }}
{{- end }}

{{/*
`env`, after what glibc needs so that memory of readers who left goes back to the system, as in the image. The first
16 MiB of an arena are kept, since pages that come anew with every chunk cost more than the chunk.
*/}}
{{- define "progressive-proxy.env" -}}
{{- $names := list -}}
{{- range .Values.env }}{{ $names = append $names .name }}{{ end -}}
{{- $env := list -}}
{{- range $name, $value := dict "MALLOC_MMAP_THRESHOLD_" "65536" "MALLOC_TOP_PAD_" "16777216" "MALLOC_TRIM_THRESHOLD_" "33554432" -}}
{{- if not (has $name $names) }}{{ $env = append $env (dict "name" $name "value" $value) }}{{ end -}}
{{- end -}}
{{- concat $env .Values.env | toYaml -}}
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

{{/* Directories, not files in them (subPath): only these change in a pod that runs. */}}
{{- define "progressive-proxy.mounts" -}}
- {name: progressive-proxy-config, mountPath: /etc/progressive-proxy/config, readOnly: true}
{{- range .Values.secrets }}
- {name: progressive-proxy-secret-{{ . }}, mountPath: /etc/progressive-proxy/secrets/{{ . }}, readOnly: true}
{{- end }}
{{- end }}
