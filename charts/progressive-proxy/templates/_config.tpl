{{/* The proxy's configuration file. */}}
{{- define "progressive-proxy.config" -}}
{{- $viewers := ternary "127.0.0.1:8080" "0.0.0.0:8080" (eq .Values.mode "sidecar") -}}
{{- $listen := dict "viewers" $viewers "admin" "0.0.0.0:8081" "grace" 60 -}}
{{- if and (ne .Values.mode "sidecar") (include "progressive-proxy.hasOwnProof" .) -}}
{{- $name := include "progressive-proxy.fullname" . -}}
{{- $space := printf "%s.%s" $name (include "progressive-proxy.namespace" .) -}}
{{- $hosts := list $name $space (printf "%s.svc" $space) (printf "%s.svc.cluster.local" $space) -}}
{{- if .Values.warm.enabled }}{{ $hosts = append $hosts (printf "%s-pods" $name) }}{{ end -}}
{{- if .Values.ingress.enabled }}{{ $hosts = concat $hosts .Values.ingress.hosts }}{{ end -}}
{{- if .Values.httpRoute.enabled }}{{ $hosts = concat $hosts .Values.httpRoute.hostnames }}{{ end -}}
{{- $_ := set $listen "hosts" ($hosts | uniq) -}}
{{- end -}}
{{- $ours := dict "listen" $listen -}}
{{- with include "progressive-proxy.adminSecret" . -}}
{{- $_ := set $ours "admin" (dict "token_file" (printf "/etc/progressive-proxy/secrets/%s/token" .)) -}}
{{- end -}}
{{- if .Values.disk.volume -}}
{{- $_ := set $ours "cache" (dict "disk" (dict "path" "/var/cache/progressive-proxy/frames")) -}}
{{- end -}}
{{- mergeOverwrite $ours (deepCopy .Values.config) | toYaml -}}
{{- end }}

{{/* Name of the Secret with the operator's token; empty if there is none. */}}
{{- define "progressive-proxy.adminSecret" -}}
{{- if .Values.admin.create -}}
{{- printf "%s-admin" (include "progressive-proxy.fullname" .) -}}
{{- else -}}
{{- .Values.admin.secret -}}
{{- end -}}
{{- end }}

{{/* Names of all Secrets that are mounted, as a JSON object with a list. */}}
{{- define "progressive-proxy.secrets" -}}
{{- $names := .Values.secrets -}}
{{- with include "progressive-proxy.adminSecret" . }}{{ $names = append $names . | uniq }}{{ end -}}
{{- dict "list" $names | toJson -}}
{{- end }}

{{/* "true" if the proxy has its own credentials at an origin, and so checks `Host`; otherwise empty. */}}
{{- define "progressive-proxy.hasOwnProof" -}}
{{- range .Values.config.origins -}}
{{- if or .credentials (dig "tls" "certificate_file" "" .) -}}true{{- end -}}
{{- end -}}
{{- end }}

{{/* The scheme of both listeners: http or https. */}}
{{- define "progressive-proxy.scheme" -}}
{{- ternary "https" "http" (not (empty (dig "listen" "tls" "certificate_file" "" .Values.config))) -}}
{{- end }}

{{/* The port of a listener: viewers or admin. */}}
{{- define "progressive-proxy.port" -}}
{{- $config := include "progressive-proxy.config" .context | fromYaml -}}
{{- regexFind "[0-9]+$" (get $config.listen .listener) -}}
{{- end }}

{{/* Seconds for a pod to end: until others notice, for running responses, and to close. */}}
{{- define "progressive-proxy.endsWithin" -}}
{{- $config := include "progressive-proxy.config" . | fromYaml -}}
{{- add 15 (ceil (include "progressive-proxy.seconds" $config.listen.grace)) -}}
{{- end }}

{{/* Seconds of a duration as in the configuration: 60, 30s, 1h30m. */}}
{{- define "progressive-proxy.seconds" -}}
{{- $text := toString . -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "min" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9.]+ *[a-z]+" $text -1 -}}
{{- $seconds = addf $seconds (mulf (regexFind "[0-9.]+" . | float64) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- ternary $seconds $text (regexMatch "[a-z]" $text) -}}
{{- end }}

{{/* The section `via` of an object of the configuration, as a JSON object; a URL stands for it. */}}
{{- define "progressive-proxy.via" -}}
{{- ternary (dict "url" .via) .via (kindIs "string" .via) | default dict | toJson -}}
{{- end }}

{{/* The ports of the origins, or of the HTTP proxies on the way to them, of token servers, of servers that decide about callers, of the collector and of tiers, each once, as a JSON object with a list. */}}
{{- define "progressive-proxy.outgoingPorts" -}}
{{- $ways := list -}}
{{- range .Values.config.origins -}}
{{- $ways = append $ways (dict "urls" (list .url) "via" .via) -}}
{{- with dig "credentials" "oauth2" dict . -}}
{{- $ways = append $ways (dict "urls" (list .token_url) "via" .via) -}}
{{- end -}}
{{- end -}}
{{- $access := .Values.config.access -}}
{{- if kindIs "map" $access -}}
{{- $ways = append $ways (dict "urls" (list $access.forward_auth (dig "jwt" "jwks_url" "" $access)) "via" $access.via) -}}
{{- end -}}
{{- with .Values.config.traces -}}
{{- $ways = append $ways (dict "urls" (list .endpoint) "via" .via) -}}
{{- end -}}
{{- with dig "cache" "objects" dict .Values.config -}}
{{- if .url -}}
{{- $ways = append $ways (dict "urls" (list (.endpoint | default "https://s3")) "via" .via) -}}
{{- end -}}
{{- end -}}
{{- $urls := list -}}
{{- range $ways -}}
{{- $direct := compact .urls -}}
{{- $via := include "progressive-proxy.via" . | fromJson -}}
{{- if and $direct (eq ($via.url | default "") "environment") -}}
{{- $urls = concat $urls $direct (include "progressive-proxy.namedByEnvironment" $ | fromJson).list -}}
{{- else if and $direct $via.url -}}
{{- $urls = append $urls $via.url -}}
{{- else -}}
{{- $urls = concat $urls $direct -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- range $urls -}}
{{- $url := urlParse . -}}
{{- $found := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $ports = append $ports (int ($found | default (ternary "443" "80" (eq $url.scheme "https")))) -}}
{{- end -}}
{{- $ports = concat $ports (include "progressive-proxy.sharedPorts" . | fromJson).ports -}}
{{- dict "ports" ($ports | uniq) | toJson -}}
{{- end }}

{{/* The ports of the server that replicas share, as a JSON object with a list; Sentinels name a primary at its usual port. */}}
{{- define "progressive-proxy.sharedPorts" -}}
{{- $url := dig "cache" "shared" "url" "" .Values.config | default "" -}}
{{- $ports := list -}}
{{- if and $url (not (hasPrefix "unix:" $url)) -}}
{{- $isSentinel := contains "+sentinel:" $url -}}
{{- range regexFind "//[^/]+" $url | trimPrefix "//" | splitList "," -}}
{{- $found := regexFind ":[0-9]+$" . | trimPrefix ":" -}}
{{- $ports = append $ports (int ($found | default (ternary "26379" "6379" $isSentinel))) -}}
{{- end -}}
{{- if $isSentinel }}{{ $ports = append $ports 6379 }}{{ end -}}
{{- end -}}
{{- dict "ports" $ports | toJson -}}
{{- end }}

{{/* HTTP proxies that `env` names by value, as a JSON object with a list. A chart can not look into a Secret. */}}
{{- define "progressive-proxy.namedByEnvironment" -}}
{{- $named := list -}}
{{- range .Values.env -}}
{{- if and (has (lower .name) (list "https_proxy" "http_proxy" "all_proxy")) .value -}}
{{- $named = append $named .value -}}
{{- end -}}
{{- end -}}
{{- dict "list" $named | toJson -}}
{{- end }}
