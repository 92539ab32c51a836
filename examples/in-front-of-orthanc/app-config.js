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
      friendlyName: 'Orthanc through progressive-proxy',
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
