{{/* The file that the program reads. */}}
{{- define "progressive-proxy.config" -}}
{{- $viewers := ternary "127.0.0.1:8080" "0.0.0.0:8080" (eq .Values.mode "sidecar") -}}
{{- $listen := dict "viewers" $viewers "admin" "0.0.0.0:8081" "grace" 60 -}}
{{- if and (eq .Values.mode "standalone") (include "progressive-proxy.hasOwnProof" .) -}}
{{- $name := include "progressive-proxy.fullname" . -}}
{{- $space := printf "%s.%s" $name .Release.Namespace -}}
{{- $_ := set $listen "hosts" (list $name $space (printf "%s.svc" $space) (printf "%s.svc.cluster.local" $space)) -}}
{{- end -}}
{{- mergeOverwrite (dict "listen" $listen) (deepCopy .Values.config) | toYaml -}}
{{- end }}

{{/* Whether the program has credentials of its own at an origin, and so looks at `Host`; empty if not. */}}
{{- define "progressive-proxy.hasOwnProof" -}}
{{- range .Values.config.origins -}}
{{- if or .credentials (dig "tls" "certificate_file" "" .) -}}true{{- end -}}
{{- end -}}
{{- end }}

{{/* Port of a listener: viewers or admin. */}}
{{- define "progressive-proxy.port" -}}
{{- $config := include "progressive-proxy.config" .context | fromYaml -}}
{{- regexFind "[0-9]+$" (get $config.listen .listener) -}}
{{- end }}

{{/* Seconds that a pod has to end: time for others to hear that it does, running answers, and to close. */}}
{{- define "progressive-proxy.endsWithin" -}}
{{- $config := include "progressive-proxy.config" . | fromYaml -}}
{{- add 15 (ceil $config.listen.grace) -}}
{{- end }}

{{/* Ports of the origins, each once, as a JSON object with a list. */}}
{{- define "progressive-proxy.originPorts" -}}
{{- $ports := list -}}
{{- range .Values.config.origins -}}
{{- $url := urlParse .url -}}
{{- $found := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $ports = append $ports (int ($found | default (ternary "443" "80" (eq $url.scheme "https")))) -}}
{{- end -}}
{{- dict "ports" ($ports | uniq) | toJson -}}
{{- end }}
