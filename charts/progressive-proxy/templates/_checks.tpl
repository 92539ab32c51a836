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
{{- if .Values.warm.enabled -}}
{{- if ne .Values.mode "standalone" -}}
{{- $faults = append $faults (printf "warm.enabled: has no effect in mode %s; give the entries of config.warm a schedule of their own, by every or cron" .Values.mode) -}}
{{- end -}}
{{- if not (or .Values.admin.secret .Values.admin.create) -}}
{{- $faults = append $faults "warm.enabled: needs the operator's token; set admin.secret or admin.create" -}}
{{- end -}}
{{- if and .Values.warm.caFile (eq (include "progressive-proxy.scheme" .) "http") -}}
{{- $faults = append $faults "warm.caFile: has no effect without config.listen.tls" -}}
{{- end -}}
{{- if not (or .Values.config.warm .Values.existingConfigMap) -}}
{{- $faults = append $faults "warm.enabled: config.warm is missing; name the searches that find what to fetch" -}}
{{- end -}}
{{- end -}}
{{- $faults = concat $faults (include "progressive-proxy.replaced" . | fromJson).faults -}}
{{- $faults = concat $faults (include "progressive-proxy.sizes" . | fromJson).faults -}}
{{- $faults = concat $faults (include "progressive-proxy.merged" . | fromJson).faults -}}
{{- if not (or .Values.config.origins .Values.existingConfigMap) -}}
{{- $faults = append $faults "config.origins: is missing; name your DICOMweb server, such as [{name: pacs, url: \"https://pacs.example/dicom-web\"}]" -}}
{{- else if not .Values.config.origins -}}
{{- if and (ne .Values.mode "sidecar") (include "progressive-proxy.hasPolicy" .) -}}
{{- $faults = append $faults "config.origins: is missing; the NetworkPolicy needs the origins of existingConfigMap too, or set networkPolicy.enabled to false" -}}
{{- end -}}
{{- if .Values.measure.enabled }}{{ $faults = append $faults "config.origins: is missing; measure needs an origin" }}{{ end -}}
{{- else if and .Values.measure.enabled (include "progressive-proxy.via" (first .Values.config.origins) | fromJson).user -}}
{{- $faults = append $faults "measure.enabled: it can't log in at the HTTP proxy on the way to the first origin, but config.origins has a user there" -}}
{{- end -}}
{{- if $isSidecar -}}
{{- range $key, $_ := .Values.podSpec -}}
{{- if not (has $key $placed) -}}
{{- $faults = append $faults (printf "podSpec.%s: has no effect in mode sidecar: the pod is the viewer's" $key) -}}
{{- end -}}
{{- end -}}
{{- $unused := dict
  "autoscaling.enabled" .Values.autoscaling.enabled
  "extraContainers" .Values.extraContainers
  "initContainers" .Values.initContainers
  "ingress.enabled" .Values.ingress.enabled
  "httpRoute.enabled" .Values.httpRoute.enabled
  "service.labels" .Values.service.labels
  "service.trafficDistribution" .Values.service.trafficDistribution
  "serviceAccount.name" .Values.serviceAccount.name
  "serviceAccount.annotations" .Values.serviceAccount.annotations
  "service.annotations" .Values.service.annotations
  "service.nodePort" .Values.service.nodePort
  "service.spec" .Values.service.spec
  "workloadSpec" .Values.workloadSpec
  "networkPolicy.egress" $policy.egress
  "networkPolicy.origins" $policy.origins
  "networkPolicy.viewers" (ne (toJson $policy.viewers) (list (dict "podSelector" dict) | toJson)) -}}
{{- range $key, $value := $unused -}}
{{- if $value }}{{ $faults = append $faults (printf "%s: has no effect in mode sidecar: the pod is the viewer's" $key) }}{{ end -}}
{{- end -}}
{{- if and (eq (toString $policy.enabled) "true") (not $policy.ingress) -}}
{{- $faults = append $faults "networkPolicy.enabled: in mode sidecar it needs networkPolicy.ingress, the rules for the viewer's own ports" -}}
{{- end -}}
{{- $faults = concat $faults (include "progressive-proxy.opened" . | fromJson).faults -}}
{{- else -}}
{{- if $policy.ingress -}}
{{- $faults = append $faults (printf "networkPolicy.ingress: has no effect in mode %s: set networkPolicy.viewers" .Values.mode) -}}
{{- end -}}
{{- if and (eq .Values.mode "daemonset") .Values.autoscaling.enabled -}}
{{- $faults = append $faults "autoscaling.enabled: has no effect in mode daemonset: there is one pod on each node" -}}
{{- end -}}
{{- $isDefault := eq (toJson $policy.viewers) (list (dict "podSelector" dict) | toJson) -}}
{{- if and $isDefault (ne .Values.service.type "ClusterIP") (include "progressive-proxy.hasPolicy" .) -}}
{{- $faults = append $faults (printf "service.type: %s is for viewers from outside; name their addresses in networkPolicy.viewers, such as [{ipBlock: {cidr: 10.0.0.0/8}}]; only pods of this namespace are let in" .Values.service.type) -}}
{{- end -}}
{{- range $route := list "ingress" "httpRoute" -}}
{{- if (get $.Values $route).enabled -}}
{{- if and $isDefault (include "progressive-proxy.hasPolicy" $) -}}
{{- $faults = append $faults (printf "%s.enabled: name the pods of its controller in networkPolicy.viewers; only pods of this namespace are let in" $route) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}{{ $faults = append $faults "ingress.hosts: is empty, so nothing would reach the proxy" }}{{ end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}{{ $faults = append $faults "httpRoute.parentRefs: is empty, so no Gateway would use the route" }}{{ end -}}
{{- end -}}
{{- if $faults }}{{ fail (printf "\n%s" (join "\n" $faults)) }}{{ end -}}
{{- end }}

{{/* Lists values that would replace what the chart sets, or be replaced by it, as a JSON object with a list. */}}
{{- define "progressive-proxy.replaced" -}}
{{- $faults := list -}}
{{- $own := include "progressive-proxy.metadata" (dict "Values" (omit .Values "commonLabels") "Release" .Release "Chart" .Chart) | fromYaml -}}
{{- $own = merge $own (dict "app.kubernetes.io/component" "" "progressive-proxy" "") -}}
{{- $places := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels "service.labels" .Values.service.labels
  "ingress.labels" .Values.ingress.labels "httpRoute.labels" .Values.httpRoute.labels
  "monitoring.labels" .Values.monitoring.labels "dashboards.labels" .Values.dashboards.labels -}}
{{- range $place, $labels := $places -}}
{{- range $label, $_ := $labels -}}
{{- if hasKey $own $label -}}
{{- $faults = append $faults (printf "%s: %s is the chart's own" $place $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $key := list "initContainers" "extraContainers" -}}
{{- range get $.Values $key | default list -}}
{{- if eq (toString .name) "progressive-proxy" -}}
{{- $faults = append $faults (printf "%s: progressive-proxy is the chart's own container" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraVolumes -}}
{{- if hasPrefix "progressive-proxy-" (toString .name) -}}
{{- $faults = append $faults (printf "extraVolumes: %s is the chart's own; names that begin with progressive-proxy- are" .name) -}}
{{- end -}}
{{- end -}}
{{- range $ours := include "progressive-proxy.ownMounts" . | fromYamlArray -}}
{{- range $.Values.extraVolumeMounts -}}
{{- if eq (toString .mountPath) $ours.mountPath -}}
{{- $faults = append $faults (printf "extraVolumeMounts: %s is the chart's own" .mountPath) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end }}

{{/* Lists keys that would replace what other values say, and alerts that do not exist, as a JSON object with a list. */}}
{{- define "progressive-proxy.merged" -}}
{{- $faults := list -}}
{{- $instead := dict
  "workloadSpec" (dict "replicas" "replicas" "revisionHistoryLimit" "revisionHistoryLimit" "template" "podSpec" "selector" "nameOverride")
  "service.spec" (dict "type" "service.type" "sessionAffinity" "service.sessionAffinity" "trafficDistribution" "service.trafficDistribution" "ports" "service.port" "selector" "nameOverride" "internalTrafficPolicy" "mode")
  "monitoring.endpoint" (dict "interval" "monitoring.interval" "tlsConfig" "monitoring.tlsConfig" "port" "config.listen.admin" "path" "config.listen.admin" "scheme" "config.listen.tls")
  "monitoring.alerts.labels" (dict "severity" "monitoring.alerts.disabled" "window" "objectives") -}}
{{- $given := dict "workloadSpec" .Values.workloadSpec "service.spec" .Values.service.spec
  "monitoring.endpoint" .Values.monitoring.endpoint "monitoring.alerts.labels" .Values.monitoring.alerts.labels -}}
{{- range $place, $keys := $instead -}}
{{- range $key, $value := $keys -}}
{{- if hasKey (get $given $place) $key }}{{ $faults = append $faults (printf "%s.%s: is the chart's own; it follows %s" $place $key $value) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $others := dict "standalone" "updateStrategy" "daemonset" "strategy" -}}
{{- range $mode, $key := $others -}}
{{- if and (eq $.Values.mode $mode) (hasKey $.Values.workloadSpec $key) }}{{ $faults = append $faults (printf "workloadSpec.%s: is not a key of mode %s" $key $mode) }}{{ end -}}
{{- end -}}
{{- $alerts := list -}}
{{- range (include "progressive-proxy.rules" . | fromYaml).groups }}{{ range .rules }}{{ $alerts = append $alerts .alert }}{{ end }}{{ end -}}
{{- range .Values.monitoring.alerts.disabled -}}
{{- if not (has . $alerts) }}{{ $faults = append $faults (printf "monitoring.alerts.disabled: %s is no alert of the chart" .) }}{{ end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
{{- end }}

{{/* Lists sizes with units that do not exist, and a cache that does not fit the limit, as a JSON object with a list. */}}
{{- define "progressive-proxy.sizes" -}}
{{- $faults := list -}}
{{- $bytes := dig "cache" "bytes" "auto" .Values.config -}}
{{- $bytes = ternary $bytes (int64 $bytes) (kindIs "string" $bytes) -}}
{{- if not (or (eq (toString $bytes) "auto") (include "progressive-proxy.cacheBytes" .)) -}}
{{- $faults = append $faults (printf "config.cache.bytes: %v is no number of bytes; write one such as 512MiB or 4GiB, or auto" $bytes) -}}
{{- end -}}
{{- range $kind := list "requests" "limits" -}}
{{- range $name, $amount := get $.Values.resources $kind | default dict -}}
{{- if and (kindIs "string" $amount) (not (include "progressive-proxy.quantity" $amount)) -}}
{{- $faults = append $faults (printf "resources.%s.%s: %s is no quantity of Kubernetes; write one such as 500m, 512Mi or 4Gi" $kind $name $amount) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $limit := dig "limits" "memory" "" .Values.resources -}}
{{- $written := ternary $limit (int64 $limit) (kindIs "string" $limit) -}}
{{- $most := include "progressive-proxy.quantity" $limit -}}
{{- $needed := include "progressive-proxy.needed" . -}}
{{- if and $most $needed -}}
{{- if gt (int64 $needed) (int64 $most) -}}
{{- $faults = append $faults (printf "config.cache.bytes: %v needs a memory limit of %dMi, and resources.limits.memory is %v; raise the limit, lower the cache, or leave resources empty" $bytes (divf $needed 1048576 | ceil | int64) $written) -}}
{{- end -}}
{{- end -}}
{{- dict "faults" $faults | toJson -}}
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
{{- if ternary (or (not (eq .Values.mode "sidecar")) (not (empty $policy.ingress))) $policy.enabled $isAuto }}true{{ end -}}
{{- end }}
