{{/*
CPU and memory of the container. If `resources` is empty, the memory follows from the configuration: the sum that
values.yaml writes out.
*/}}
{{- define "progressive-proxy.resources" -}}
{{- if .Values.resources -}}
{{ toYaml .Values.resources }}
{{- else -}}
{{- $mebibytes := 2048 -}}
{{- with include "progressive-proxy.needed" . -}}
{{- $mebibytes = divf . 1048576 | ceil | int -}}
{{- end -}}
requests: {cpu: 250m, memory: {{ div (mul 3 $mebibytes) 4 }}Mi}
limits: {memory: {{ $mebibytes }}Mi}
{{- end -}}
{{- end }}

{{/* Bytes that the limit must have for the cache of the configuration; empty if the cache takes what fits. */}}
{{- define "progressive-proxy.needed" -}}
{{- with include "progressive-proxy.cacheBytes" . -}}
{{- $cache := divf (float64 .) 0.85 | ceil | int64 -}}
{{- add (include "progressive-proxy.besideCache" $) $cache -}}
{{- end -}}
{{- end }}

{{/* Bytes that the limit must have beside the cache. */}}
{{- define "progressive-proxy.besideCache" -}}
{{- $workers := .Values.config.workers | default dict -}}
{{- $each := min 268435456 (include "progressive-proxy.bytes" ($workers.memory | default "2GiB") | int64) -}}
{{- $makes := not (empty .Values.config.alternates) -}}
{{- range .Values.config.origins -}}
{{- if ne (.rendered | default "origin") "origin" }}{{ $makes = true }}{{ end -}}
{{- end -}}
{{- $makers := ternary ($workers.number | default 2 | int) 0 $makes -}}
{{- add 201326592 (mul $makers $each) (mul 10240 (dig "bounds" "connections" 0 .Values.config | int)) -}}
{{- end }}

{{/* Bytes of `config.cache.bytes`; empty if they are `auto` or no number of bytes. */}}
{{- define "progressive-proxy.cacheBytes" -}}
{{- include "progressive-proxy.bytes" (dig "cache" "bytes" "auto" .Values.config) -}}
{{- end }}

{{/* Bytes of a number with a unit of the program's; empty if it is none. */}}
{{- define "progressive-proxy.bytes" -}}
{{- $units := dict "" 1 "B" 1 "KiB" 1024 "MiB" 1048576 "GiB" 1073741824 "kB" 1000 "MB" 1000000 "GB" 1000000000 -}}
{{- $text := ternary . (printf "%d" (int64 .)) (kindIs "string" .) -}}
{{- if regexMatch "^[0-9]+ *([kM]?B|GB|[KMG]iB)?$" $text -}}
{{- mul (regexFind "^[0-9]+" $text) (get $units (regexFind "[A-Za-z]*$" $text)) -}}
{{- end -}}
{{- end }}

{{/* Bytes of a quantity of Kubernetes; empty if it is none. */}}
{{- define "progressive-proxy.quantity" -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $text := ternary . (printf "%d" (int64 .)) (kindIs "string" .) -}}
{{- if regexMatch "^([0-9]+[.]?[0-9]*|[.][0-9]+)[eE][0-9]+$" $text -}}
{{- float64 $text | int64 -}}
{{- else if regexMatch "^([0-9]+[.]?[0-9]*|[.][0-9]+)(m|[kMGTPE]|[KMGTPE]i)?$" $text -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $units (regexFind "[A-Za-z]*$" $text) | float64) | int64 -}}
{{- end -}}
{{- end }}
