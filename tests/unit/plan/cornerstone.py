"""The 15 configurations of Cornerstone3D's two progressive examples, as a user would paste them.

`WRITTEN` has each as JavaScript. `STOCK_NAMES` are the viewer's names for its stages, which examples spread.
"""

STACK = {
    "stack: JLS": "{ retrieveOptions: { default: { framesPath: '/jls/' } } }",
    "stack: JLS reduced": "{ retrieveOptions: { default: { framesPath: '/jlsThumbnail/' } } }",
    "stack: JLS reduced, then whole": """{
  ...sequentialRetrieveStages,
  retrieveOptions: {
    singleFast: {
      imageQualityStatus: ImageQualityStatus.SUBRESOLUTION,
      framesPath: '/jlsThumbnail/',
    },
    singleFinal: { framesPath: '/jls/' },
  },
}""",
    "stack: HTJ2K as a stream": "{ retrieveOptions: { single: { streaming: true, decodeLevel: 1 } } }",
    "stack: HTJ2K, lossy first": """{
  ...sequentialRetrieveStages,
  retrieveOptions: {
    singleFast: {
      imageQualityStatus: ImageQualityStatus.LOSSY,
      framesPath: '/lossy/',
      streaming: true,
    },
  },
}""",
    "stack: HTJ2K, five stages": """{
  stages: [
    { id: 'lossySequential', retrieveType: 'singleFast' },
    { id: 'lossySequentialFailure', retrieveType: 'singleFastFailure' },
    { id: 'lossyMiddle', retrieveType: 'singleMiddle' },
    { id: 'lossyMiddleFailure', retrieveType: 'singleMiddleFailure' },
    { id: 'finalSequential', retrieveType: 'singleFinal' },
  ],
  retrieveOptions: {
    singleFast: { decodeLevel: 2, chunkSize: 128 * 1024, rangeIndex: 0 },
    // if level 2 can't be decoded, level 3 may be
    singleFastFailure: { decodeLevel: 3, rangeIndex: 0 },
    singleMiddle: { decodeLevel: 0, rangeIndex: 10 }, // much more
    singleMiddleFailure: { decodeLevel: 1, rangeIndex: 10 },
    singleFinal: {
      /* what is left */
      rangeIndex: -1,
    },
  },
}""",
    "stack: HTJ2K reduced": """{
  ...sequentialRetrieveStages,
  retrieveOptions: {
    singleFinal: {},
    singleFast: {
      imageQualityStatus: ImageQualityStatus.SUBRESOLUTION,
      framesPath: '/htj2kThumbnail/',
      streaming: true,
    },
  },
}""",
}
VOLUME = {
    "volume: JLS": """{
  ...interleavedRetrieveStages,
  retrieveOptions: { default: { framesPath: '/jls/' } },
}""",
    "volume: JLS, one stage": "{ retrieveOptions: { default: { framesPath: '/jls/' } } }",
    "volume: JLS reduced": """{
  ...interleavedRetrieveStages,
  retrieveOptions: { default: { framesPath: '/jlsThumbnail/' } },
}""",
    "volume: JLS reduced, then whole": """const whole = {
  ...interleavedRetrieveStages,
  retrieveOptions: { default: { framesPath: '/jls/' } },
};
const mixed = {
  ...interleavedRetrieveStages,
  retrieveOptions: {
    ...whole.retrieveOptions,
    multipleFast: {
      imageQualityStatus: ImageQualityStatus.SUBRESOLUTION,
      framesPath: '/jlsThumbnail/',
    },
  },
};""",
    "volume: HTJ2K": "const config = interleavedRetrieveStages;",
    "volume: HTJ2K, byte ranges": """{
  ...interleavedRetrieveStages,
  retrieveOptions: { multipleFast: { rangeIndex: 0, decodeLevel: 0 } },
}""",
    "volume: HTJ2K, lossy first": """{
  ...interleavedRetrieveStages,
  retrieveOptions: {
    multipleFinal: { streaming: true },
    multipleFast: {
      imageQualityStatus: ImageQualityStatus.SUBRESOLUTION,
      framesPath: '/lossy/',
      rangeIndex: 0,
      decodeLevel: 2,
    },
  },
}""",
    "volume: HTJ2K, ranges then all": """{
  ...interleavedRetrieveStages,
  retrieveOptions: {
    multipleFast: { rangeIndex: 0, chunkSize: 32000, decodeLevel: 1 },
    multipleFinal: { rangeIndex: -1 },
  },
}""",
}
WRITTEN = STACK | VOLUME
