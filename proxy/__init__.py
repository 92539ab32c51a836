"""progressive-proxy: every picture is seen at once and complete soon.

Floors, top to bottom; imports point down only, and rooms on one floor do not know each other:

   10  cli
    9  showing  planning  inspecting  probing
    8  app  measure  demo  archive
    7  frames  plans_api  admin  reload
    6  delivery  prefetch  settings
    5  retrieve  series  access  problem  passing  listeners  cors
    4  fill
    3  origin  alternates  gate
    2  plan  cache
    1  wire  codestream  metrics  children  configuration  logs  tasks
    0  errors

A frame travels `app -> frames -> access -> retrieve -> fill -> gate -> origin`; its bytes come back
through `cache`, and `delivery` hands them to the viewer. A plan travels `plans_api or frames ->
prefetch -> retrieve` and from there as a frame does. `tests/test_floors.py` holds this table.
"""
