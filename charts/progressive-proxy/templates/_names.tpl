{{/* The release's name, with the program's name added if it is not part of it. */}}
{{- define "progressive-proxy.fullname" -}}
{{- if contains "progressive-proxy" .Release.Name -}}
{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-progressive-proxy" .Release.Name | trunc 53 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* Labels of all objects. */}}
{{- define "progressive-proxy.metadata" -}}
app.kubernetes.io/name: progressive-proxy
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Selects the pods that contain a proxy. Selectors can't change, so they contain no version. */}}
{{- define "progressive-proxy.selector" -}}
{{- if eq .Values.mode "sidecar" -}}
progressive-proxy: {{ include "progressive-proxy.fullname" . }}
{{- else -}}
app.kubernetes.io/name: progressive-proxy
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: proxy
{{- end -}}
{{- end }}

{{- define "progressive-proxy.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}
