{{/* Configuration of nginx and of OHIF. */}}
{{- define "viewer.files" -}}
default.conf: |
  {{- include "progressive-proxy.nginx" .Subcharts.proxy | nindent 2 }}
  server {
    listen 8000;
    root /usr/share/nginx/html;
    location / {
      try_files $uri /index.html;
    }
    location /dicom-web/ {
      {{- include "progressive-proxy.nginxLocation" .Subcharts.proxy | nindent 6 }}
    }
  }
app-config.js: |
  window.config = {
    routerBasename: '/',
    extensions: [],
    modes: [],
    showStudyList: true,
    defaultDataSourceName: 'dicomweb',
    dataSources: [{
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'through progressive-proxy',
        name: 'dicomweb',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        omitQuotationForMultipartRequest: true,
        requestOptions: {},
        singlepart: 'bulkdata,video',
      },
    }],
  };
{{- end }}
