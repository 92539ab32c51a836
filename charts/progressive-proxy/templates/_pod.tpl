{{/*
The spec of the proxy's own pod, merged with `podSpec`. Nothing in `podSpec` silently replaces the chart's values. Lists
are joined, maps are merged key by key, a single value takes precedence, and an entry with a name of the chart's is
refused.
*/}}
{{- define "progressive-proxy.pod" -}}
{{- $pod := include "progressive-proxy.podSpec" . | fromYaml -}}
{{- range $key, $theirs := omit .Values.podSpec "imagePullSecrets" -}}
{{- $ours := get $pod $key -}}
{{- if or (kindIs "invalid" $theirs) (not $ours) -}}
{{- if not (kindIs "invalid" $theirs) }}{{ $_ := set $pod $key $theirs }}{{ end -}}
{{- else if ne (kindOf $theirs) (kindOf $ours) -}}
{{- if or (kindIs "slice" $ours) (kindIs "map" $ours) -}}
{{- fail (printf "podSpec.%s: must be a %s, as in Kubernetes" $key (ternary "list" "mapping" (kindIs "slice" $ours))) -}}
{{- end -}}
{{- $_ := set $pod $key $theirs -}}
{{- else if kindIs "slice" $ours -}}
{{- $_ := set $pod $key (include "progressive-proxy.joined" (dict "key" $key "ours" $ours "theirs" $theirs) | fromJson).list -}}
{{- else if kindIs "map" $ours -}}
{{- range $name, $value := $theirs }}{{ $_ := set $ours $name $value }}{{ end -}}
{{- else -}}
{{- $_ := set $pod $key $theirs -}}
{{- end -}}
{{- end -}}
{{- toYaml $pod -}}
{{- end }}

{{/* Joins two lists, as a JSON object with a list. A spread over the same topology replaces the chart's. */}}
{{- define "progressive-proxy.joined" -}}
{{- $named := ternary "topologyKey" "name" (eq .key "topologySpreadConstraints") -}}
{{- $taken := list -}}
{{- range .theirs }}{{ $taken = append $taken (get . $named) }}{{ end -}}
{{- $joined := list -}}
{{- range .ours -}}
{{- if not (has (get . $named) $taken) -}}
{{- $joined = append $joined . -}}
{{- else if eq $named "name" -}}
{{- fail (printf "podSpec.%s: %s is the chart's own; change it with the chart's other values" $.key .name) -}}
{{- end -}}
{{- end -}}
{{- dict "list" (concat $joined .theirs) | toJson -}}
{{- end }}

{{/* Keys of `podSpec` that apply to every pod of the chart: how to pull the image, where to run, host names. */}}
{{- define "progressive-proxy.placedBy" -}}
imagePullSecrets nodeSelector tolerations affinity priorityClassName runtimeClassName dnsPolicy dnsConfig hostAliases
{{- end }}

{{/* The values of these keys, for the pods that run once. */}}
{{- define "progressive-proxy.placing" -}}
{{- $placed := dict -}}
{{- range $key := include "progressive-proxy.placedBy" . | splitList " " -}}
{{- with get $.Values.podSpec $key }}{{ $_ := set $placed $key . }}{{ end -}}
{{- end -}}
{{- with (include "progressive-proxy.pullSecrets" . | fromJson).list }}{{ $_ := set $placed "imagePullSecrets" . }}{{ end -}}
{{- if $placed }}{{ toYaml $placed }}{{ end -}}
{{- end }}
