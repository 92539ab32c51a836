"""progressive-proxy: every picture is seen at once and complete soon.

Floors, top to bottom; imports point down only, and rooms on one floor do not know each other:

    9  cli
    8  app  measure  demo  archive
    7  frames  settings
    6  delivery  access  problem  passing  admin  listeners
    5  retrieve
    4  fill
    3  origin  alternates  gate
    2  plan  cache
    1  wire  codestream  metrics  children  configuration  logs
    0  errors

A frame travels `app -> frames -> access -> retrieve -> fill -> gate -> origin`; its bytes come back
through `cache`, and `delivery` hands them to the viewer. `tests/test_floors.py` holds this table.
"""
