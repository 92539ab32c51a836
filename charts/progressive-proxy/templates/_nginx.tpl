{{/*
For the viewer's nginx, in `http`: the upstream `progressive_proxy`. In mode standalone, all frames of a study come from
one pod, so they are fetched and cached only once; `resolve` needs nginx 1.27.3. In mode daemonset, they come from the
pod of the viewer's node.
*/}}
{{- define "progressive-proxy.nginx" -}}
{{- $port := include "progressive-proxy.port" (dict "context" . "listener" "viewers") -}}
{{- if eq .Values.mode "sidecar" -}}
upstream progressive_proxy {
  server 127.0.0.1:{{ $port }};
  keepalive 32;
}
{{- else if eq .Values.mode "daemonset" -}}
upstream progressive_proxy {
  server {{ include "progressive-proxy.fullname" . }}.{{ include "progressive-proxy.namespace" . }}.svc.cluster.local:{{ .Values.service.port }};
  keepalive 32;
}
{{- else -}}
map $uri $progressive_proxy_study {
  ~/studies/(?<uid>[0-9.]+) $uid;
  default $remote_addr;
}
resolver kube-dns.kube-system.svc.cluster.local valid=10s;
upstream progressive_proxy {
  zone progressive_proxy 256k;
  hash $progressive_proxy_study consistent;
  server {{ include "progressive-proxy.fullname" . }}-pods.{{ include "progressive-proxy.namespace" . }}.svc.cluster.local:{{ $port }} resolve;
  keepalive 32;
}
{{- end -}}
{{- end }}

{{/* For the `location` in the viewer's nginx: passes bytes on as they arrive, and leaves caching to the proxy. */}}
{{- define "progressive-proxy.nginxLocation" -}}
proxy_pass {{ include "progressive-proxy.scheme" . }}://progressive_proxy/;
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_set_header X-Forwarded-Host $http_host;
proxy_buffering off;
proxy_request_buffering off;
client_max_body_size 0;
{{- end }}
