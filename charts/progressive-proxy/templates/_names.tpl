{{/* The release's name, and the program's where that does not say it. */}}
{{- define "progressive-proxy.fullname" -}}
{{- if contains "progressive-proxy" .Release.Name -}}
{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-progressive-proxy" .Release.Name | trunc 53 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* Labels of everything. */}}
{{- define "progressive-proxy.metadata" -}}
app.kubernetes.io/name: progressive-proxy
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What pods with a proxy in them are found by; selectors can't change, so nothing of a version is in it. */}}
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
