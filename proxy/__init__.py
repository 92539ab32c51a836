"""progressive-proxy: every picture is seen at once and complete soon.

Packages in five bands, from the top down. A package imports from its own band and from the bands below it;
`tests/unit/test_bands.py` holds the exact set for each.

    commands               cli  commands  measure  demo  archive  service
    faces                  viewers  admin
    engine                 prefetch  alternates  fetch
    suppliers and stores   origin  cache  codecs  settings  access
    facts                  frame  plan  codestream  wire  telemetry  page  errors

A viewer's request for a frame goes through `viewers`, `access` and `fetch`. If the cache does not hold the
bytes, a fill fetches them from the frame's supplier, `origin` or `alternates`, when the gate lets it. A plan
in `prefetch` opens frames through `fetch` too.
"""
