// The retrieve configurations of Cornerstone3D's pages on progressive stacks.

const SEQUENTIAL = [
  { id: "lossySequential", retrieveType: "singleFast" },
  { id: "finalSequential", retrieveType: "singleFinal" },
];
const MIXED = ["singleFast", "singleFastFailure", "singleMiddle", "singleMiddleFailure", "singleFinal"];

export const CONFIGURATIONS = [
  { title: "HTJ2K byte range: 64 KiB, then the rest", retrieve: {
    stages: SEQUENTIAL,
    retrieveOptions: { singleFast: { rangeIndex: 0, initialChunkSize: 65536, decodeLevel: 3 }, singleFinal: { rangeIndex: -1 } },
  } },
  { title: "HTJ2K streaming, one stage", retrieve: { retrieveOptions: { single: { streaming: true, decodeLevel: 1 } } } },
  { title: "HTJ2K mixed, five stages", retrieve: {
    stages: MIXED.map((retrieveType) => ({ id: retrieveType, retrieveType })),
    retrieveOptions: {
      singleFast: { rangeIndex: 0, initialChunkSize: 131072, decodeLevel: 2 },
      singleFastFailure: { rangeIndex: 0, decodeLevel: 3 },
      singleMiddle: { rangeIndex: 10, decodeLevel: 0 },
      singleMiddleFailure: { rangeIndex: 10, decodeLevel: 1 },
      singleFinal: { rangeIndex: -1 },
    },
  } },
  { title: "HTJ2K whole", retrieve: { retrieveOptions: {} } },
  { title: "JPEG-LS whole", needsJls: true, retrieve: { retrieveOptions: { default: { framesPath: "/jls/" } } } },
  { title: "JPEG-LS reduced, then whole", needsJls: true, retrieve: {
    stages: SEQUENTIAL,
    retrieveOptions: { default: { framesPath: "/jls/" }, singleFast: { imageQualityStatus: 6, framesPath: "/jlsThumbnail/" } },
  } },
];
