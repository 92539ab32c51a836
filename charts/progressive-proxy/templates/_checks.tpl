{{/* Refuses values that open more than they say, replace what the chart sets, or are ignored. Reports all faults at
once. */}}
{{- define "progressive-proxy.checks" -}}
{{- $faults := list -}}
{{- $isSidecar := eq .Values.mode "sidecar" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $placed := include "progressive-proxy.placedBy" . | splitList " " -}}
{{- range $key := list "serviceAccountName" "terminationGracePeriodSeconds" -}}
{{- if hasKey $.Values.podSpec $key -}}
{{- $instead := dict "serviceAccountName" "serviceAccount.name" "terminationGracePeriodSeconds" "config.listen.grace" -}}
{{- $faults = append $faults (printf "podSpec.%s: set %s instead" $key (get $instead $key)) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "initContainers" "ephemeralContainers" -}}
{{- range get $.Values.podSpec $key | default list -}}
{{- if eq (toString .name) "progressive-proxy" -}}
{{- $faults = append $faults (printf "podSpec.%s: progressive-proxy is the chart's own container" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.env -}}
{{- if hasPrefix "PROGRESSIVE_PROXY_LISTEN" (toString .name) -}}
{{- $faults = append $faults (printf "env: %s: set config.listen instead; ports and probes follow it" .name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.serviceAccount.name .Values.serviceAccount.annotations -}}
{{- $faults = append $faults "serviceAccount.annotations: have no effect with serviceAccount.name, because the chart then creates no account" -}}
{{- end -}}
{{- if and .Values.admin.secret .Values.admin.create -}}
{{- $faults = append $faults "admin: set secret, or create it, not both" -}}
{{- end -}}
{{- $own := include "progressive-proxy.metadata" . | fromYaml -}}
{{- range $place := list "monitoring" "dashboards" -}}
{{- range $label, $_ := (get $.Values $place).labels -}}
{{- if hasKey $own $label -}}
{{- $faults = append $faults (printf "%s.labels: %s is the chart's own" $place $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $isSidecar -}}
{{- range $key, $_ := .Values.podSpec -}}
{{- if not (has $key $placed) -}}
{{- $faults = append $faults (printf "podSpec.%s: has no effect in mode sidecar: the pod is the viewer's" $key) -}}
{{- end -}}
{{- end -}}
{{- $unused := dict
  "autoscaling.enabled" .Values.autoscaling.enabled
  "serviceAccount.name" .Values.serviceAccount.name
  "serviceAccount.annotations" .Values.serviceAccount.annotations
  "service.annotations" .Values.service.annotations
  "networkPolicy.origins" $policy.origins
  "networkPolicy.viewers" (ne (toJson $policy.viewers) (list (dict "podSelector" dict) | toJson)) -}}
{{- range $key, $value := $unused -}}
{{- if $value }}{{ $faults = append $faults (printf "%s: has no effect in mode sidecar: the pod is the viewer's" $key) }}{{ end -}}
{{- end -}}
{{- if and (eq (toString $policy.enabled) "true") (not $policy.ingress) -}}
{{- $faults = append $faults "networkPolicy.enabled: in mode sidecar it needs networkPolicy.ingress, the rules for the viewer's own ports" -}}
{{- end -}}
{{- $faults = concat $faults (include "progressive-proxy.opened" . | fromJson).faults -}}
{{- else if $policy.ingress -}}
{{- $faults = append $faults "networkPolicy.ingress: has no effect in mode standalone: set networkPolicy.viewers" -}}
{{- end -}}
{{- if $faults }}{{ fail (printf "\n%s" (join "\n" $faults)) }}{{ end -}}
{{- end }}

{{/* Lists what the viewer's ingress rules open besides the viewer's own ports, as a JSON object with a list. */}}
{{- define "progressive-proxy.opened" -}}
{{- $admin := include "progressive-proxy.port" (dict "context" . "listener" "admin") | int -}}
{{- $faults := list -}}
{{- range $i, $rule := .Values.networkPolicy.ingress -}}
{{- $at := printf "networkPolicy.ingress[%d]" $i -}}
{{- if and (hasKey $rule "from") (not $rule.from) -}}
{{- $faults = append $faults (printf "%s.from: is empty, which Kubernetes reads as anywhere; leave the key out if you mean that" $at) -}}
{{- end -}}
{{- if not $rule.ports -}}
{{- $faults = append $faults (printf "%s.ports: is missing, which opens every port; name the viewer's ports" $at) -}}
{{- end -}}
{{- range $rule.ports -}}
{{- $isTcp := eq (.protocol | default "TCP") "TCP" -}}
{{- if kindIs "invalid" .port -}}
{{- $faults = append $faults (printf "%s.ports: a port is missing, which opens every port; name the viewer's ports" $at) -}}
{{- else if and $isTcp (kindIs "string" .port) -}}
{{- if eq .port "proxy-admin" -}}
{{- $faults = append $faults (printf "%s.ports: proxy-admin is the proxy's port; set networkPolicy.metrics to allow access to it" $at) -}}
{{- end -}}
{{- else if and $isTcp (le (int .port) $admin) (ge (int (.endPort | default .port)) $admin) -}}
{{- $faults = append $faults (printf "%s.ports: %d is the proxy's admin port; set networkPolicy.metrics to allow access to it" $at $admin) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end }}

{{/* "true" if there is a NetworkPolicy: in mode standalone, and in mode sidecar only with the viewer's own rules. */}}
{{- define "progressive-proxy.hasPolicy" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $isAuto := eq (toString $policy.enabled) "auto" -}}
{{- if ternary (or (eq .Values.mode "standalone") (not (empty $policy.ingress))) $policy.enabled $isAuto }}true{{ end -}}
{{- end }}
