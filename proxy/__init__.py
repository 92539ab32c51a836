"""progressive-proxy: every picture is seen at once and complete soon.

Floors, top to bottom; imports point down only, and rooms on one floor do not know each other:

    7  cli
    6  app  measure  demo  archive
    5  delivery  access  settings
    4  retrieve
    3  fill  gate
    2  cache  origin  alternates
    1  wire  codestream  plan  metrics
    0  errors

A request travels `app -> access -> retrieve -> fill -> gate -> origin`, its bytes come back through
`cache`, and `delivery` hands them to the viewer. `tests/test_floors.py` holds this table.
"""
