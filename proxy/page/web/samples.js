// Configurations to start from: those that Cornerstone3D documents, and two in the proxy's own words.

export const SAMPLES = [
  ["Stack: 64 KiB, then the rest (JavaScript)", `// As Cornerstone3D documents it for a stack.
imageRetrieveMetadataProvider.add('stack', {
  stages: [
    { id: 'lossySequential', retrieveType: 'singleFast' },
    { id: 'finalSequential', retrieveType: 'singleFinal' },
  ],
  retrieveOptions: {
    singleFast: { rangeIndex: 0, chunkSize: 64 * 1024, decodeLevel: 3 },
    singleFinal: { rangeIndex: -1 },
  },
});
`],
  ["Volume: interleaved (JavaScript)", `// The viewer's stock stages for a volume, with byte ranges.
const configuration = {
  ...interleavedRetrieveStages,
  retrieveOptions: {
    multipleFast: { rangeIndex: 0, chunkSize: 64 * 1024, decodeLevel: 1 },
    multipleFinal: { rangeIndex: -1 },
  },
};
`],
  ["Stack: several ranges (JavaScript)", `const { ImageQualityStatus } = Enums;

export default {
  stages: [
    { id: 'initialBytes', retrieveType: 'singleFast' },
    { id: 'moreBytes', retrieveType: 'singleMiddle' },
    { id: 'allBytes', retrieveType: 'singleFinal' },
  ],
  retrieveOptions: {
    singleFast: { rangeIndex: 0, chunkSize: 32 * 1024, decodeLevel: 3 },
    singleMiddle: { rangeIndex: 5, decodeLevel: 1 },
    singleFinal: { rangeIndex: -1 },
  },
} as IRetrieveConfiguration;
`],
  ["JPEG-LS, reduced first (JSON)", `{
  "stages": [
    {"id": "lossySequential", "retrieveType": "singleFast"},
    {"id": "finalSequential", "retrieveType": "singleFinal"}
  ],
  "retrieveOptions": {
    "default": {"framesPath": "/jls/"},
    "singleFast": {"imageQualityStatus": 6, "framesPath": "/jlsThumbnail/"}
  }
}
`],
  ["A quarter of every image, then the rest (YAML)", `# \`first\` is an addition of the proxy: it finds where the resolution ends.
extends: sequential
first: 1/4
`],
  ["Middle first, then outwards (YAML)", `stages:
  - {id: middle, positions: [0.5], retrieveType: fast}
  - {id: every4th, decimate: 4, offset: 0, retrieveType: fast, priority: 1}
  - {id: between, decimate: 2, offset: 1, retrieveType: fast, priority: 2}
  - {id: allOthers, retrieveType: fast, priority: 3}
  - {id: rest, retrieveType: final, priority: 4}
retrieveOptions:
  fast: {rangeIndex: 0, chunkSize: 64KiB}
  final: {rangeIndex: -1}
`],
];
