// OHIF 3.13 with the proxy as its data sources. Put this file beside OHIF's index.html as app-config.js.
// https://imaging.example is the proxy, as the reader's browser reaches it. OHIF's page comes from another host,
// https://viewer.example, so config.yaml lists that host under cors.origins.
window.config = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  showStudyList: true,
  maxNumberOfWebWorkers: 3,
  showWarningMessageForCrossOrigin: true,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  groupEnabledModesFirst: true,
  maxNumRequests: { interaction: 100, thumbnail: 75, prefetch: 25 },
  defaultDataSourceName: 'pacs', // the source of /viewer?StudyInstanceUIDs=…
  dataSources: [
    {
      // OHIF's own way: each frame is one request, and the picture grows while the bytes arrive.
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'pacs',
      configuration: {
        friendlyName: 'Archive through progressive-proxy',
        name: 'pacs',
        qidoRoot: 'https://imaging.example', // searches
        wadoRoot: 'https://imaging.example', // metadata and frames
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsWildcard: true,
        singlepart: 'bulkdata,video',
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
    {
      // The same archive by ranges: /viewer/pacs-by-range?StudyInstanceUIDs=… Only for readers without a login, or
      // with a cookie, because OHIF sends no Authorization with a range.
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'pacs-by-range',
      configuration: {
        friendlyName: 'Archive through progressive-proxy, by range',
        name: 'pacs-by-range',
        qidoRoot: 'https://imaging.example',
        wadoRoot: 'https://imaging.example',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsWildcard: true,
        singlepart: 'bulkdata,video',
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
        stackRetrieveOptions: {
          $set: {
            stages: [
              { id: 'first', retrieveType: 'singleFast' },
              { id: 'final', retrieveType: 'singleFinal' },
              { id: 'errorRetrieve' }, // one plain request, if a range failed
            ],
            retrieveOptions: {
              singleFast: { rangeIndex: 0, chunkSize: 65536, initialChunkSize: 65536, decodeLevel: 3 },
              singleFinal: { rangeIndex: -1 },
            },
          },
        },
      },
    },
  ],
};
