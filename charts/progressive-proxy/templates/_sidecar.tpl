{{/*
For a viewer's chart that depends on this chart, with the alias `proxy`:

  metadata:
    labels:
      {{- include "progressive-proxy.labels" .Subcharts.proxy | nindent 6 }}
    annotations:
      {{- include "progressive-proxy.annotations" .Subcharts.proxy | nindent 6 }}
  spec:
    terminationGracePeriodSeconds: {{ include "progressive-proxy.endsWithin" .Subcharts.proxy }}
    initContainers:
      {{- include "progressive-proxy.sidecar" .Subcharts.proxy | nindent 6 }}
    volumes:
      {{- include "progressive-proxy.volumes" .Subcharts.proxy | nindent 6 }}
*/}}

{{/* The container, for `initContainers`: it starts before the viewer's containers and ends after them. */}}
{{- define "progressive-proxy.sidecar" -}}
{{- if ne .Values.mode "sidecar" }}{{ fail (printf "mode: progressive-proxy.sidecar is for mode sidecar; in mode %s the proxy has its own pods" .Values.mode) }}{{ end -}}
- restartPolicy: Always
  ports: [{name: proxy-admin, containerPort: {{ include "progressive-proxy.port" (dict "context" . "listener" "admin") }}}]
  {{- include "progressive-proxy.container" . | nindent 2 }}
{{- end }}

{{/* The volumes that the container mounts. */}}
{{- define "progressive-proxy.volumes" -}}
- name: progressive-proxy-config
  configMap: {name: {{ include "progressive-proxy.configMap" . }}}
{{- range (include "progressive-proxy.secrets" . | fromJson).list }}
- name: progressive-proxy-secret-{{ . }}
  secret: {secretName: {{ . }}, defaultMode: 0444}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- with .Values.disk.volume }}
- name: progressive-proxy-disk
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Annotations for the pod: they roll the pod for a change that the proxy can't apply while it runs. */}}
{{- define "progressive-proxy.annotations" -}}
{{- $config := include "progressive-proxy.config" . | fromYaml -}}
checksum/progressive-proxy: {{ omit $config "profiles" "profile" "choose" | toJson | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels for the pod, by which metrics and the NetworkPolicy select it. */}}
{{- define "progressive-proxy.labels" -}}
{{- include "progressive-proxy.selector" . }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}
