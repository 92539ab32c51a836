{{/* The program's name in labels and names. */}}
{{- define "progressive-proxy.name" -}}
{{ .Values.nameOverride | default "progressive-proxy" }}
{{- end }}

{{/* The release's name, with the program's name added if it is not part of it. */}}
{{- define "progressive-proxy.fullname" -}}
{{- $name := include "progressive-proxy.name" . -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ .Values.fullnameOverride | default $both | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "progressive-proxy.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{/* Name of the ConfigMap with the configuration. */}}
{{- define "progressive-proxy.configMap" -}}
{{ .Values.existingConfigMap | default (include "progressive-proxy.fullname" .) }}
{{- end }}

{{/* The metadata of an object: `context`, and if there are any, `suffix`, `labels` and `annotations` of its own. */}}
{{- define "progressive-proxy.object" -}}
name: {{ include "progressive-proxy.fullname" .context }}{{ .suffix }}
namespace: {{ include "progressive-proxy.namespace" .context }}
labels: {{- mustMerge (include "progressive-proxy.metadata" .context | fromYaml) (.labels | default dict) | toYaml | nindent 2 }}
{{- with mustMerge (deepCopy (.annotations | default dict)) .context.Values.annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The metadata of a pod of the chart's own: `context`, and its own `labels` and `annotations`. */}}
{{- define "progressive-proxy.podMetadata" -}}
{{- $own := mustMergeOverwrite (include "progressive-proxy.metadata" .context | fromYaml) .labels -}}
labels: {{- mustMerge $own .context.Values.podLabels | toYaml | nindent 2 }}
{{- with mustMerge (.annotations | default dict) .context.Values.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Labels of all objects. */}}
{{- define "progressive-proxy.metadata" -}}
app.kubernetes.io/name: {{ include "progressive-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Selects the pods that contain a proxy. Selectors can't change, so they contain no version. */}}
{{- define "progressive-proxy.selector" -}}
{{- if eq .Values.mode "sidecar" -}}
progressive-proxy: {{ include "progressive-proxy.fullname" . }}
{{- else -}}
app.kubernetes.io/name: {{ include "progressive-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: proxy
{{- end -}}
{{- end }}

{{/* Selects the pods of the CronJob `warm`. */}}
{{- define "progressive-proxy.warmed" -}}
app.kubernetes.io/name: {{ include "progressive-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: warm
{{- end }}

{{- define "progressive-proxy.image" -}}
{{- with .Values.image -}}
{{ with $.Values.global.imageRegistry | default .registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* Secrets with logins of registries, each once, as a JSON object with a list. */}}
{{- define "progressive-proxy.pullSecrets" -}}
{{- $named := list -}}
{{- range concat .Values.imagePullSecrets .Values.global.imagePullSecrets (.Values.podSpec.imagePullSecrets | default list) -}}
{{- $named = append $named (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- dict "list" ($named | uniq) | toJson -}}
{{- end }}
