"""progressive-proxy: every picture is seen at once and complete soon.

Floors, top to bottom; imports point down only, and rooms on one floor do not know each other:

   11  cli
   10  showing  planning  inspecting  probing
    9  app  measure  demo  archive
    8  frames  plans_api  admin  reload
    7  prefetch
    6  delivery  transcode  settings
    5  retrieve  series  access  problem  passing  listeners  cors  sections
    4  fill
    3  origin  alternates  gate
    2  plan  cache
    1  wire  codestream  metrics  children  configuration  logs  tasks
    0  errors

A frame travels `app -> frames -> access -> retrieve -> fill -> gate -> origin`; its bytes come back
through `cache`, and `delivery` hands them to the viewer. An alternate comes out of `transcode`, which
stands where its origin would; what it is made of travels as a frame does. A plan travels `plans_api or
frames -> prefetch -> retrieve` and from there as a frame does. `tests/test_floors.py` holds this table.
"""
