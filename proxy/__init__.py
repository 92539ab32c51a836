"""progressive-proxy: every picture is seen at once and complete soon.

Floors, top to bottom; imports point down only, and rooms on one floor do not know each other:

   12  cli
   11  showing  planning  inspecting  probing  creating
   10  app  measure  demo  archive
    9  rendering
    8  frames  plans_api  admin  reload
    7  prefetch  several  listeners
    6  delivery  transcode  settings  readiness  http1
    5  retrieve  series  access  problem  passing  cors  sections  composing  changing  admission  rules
    4  fill
    3  origin  alternates  gate
    2  plan  cache
    1  wire  codestream  metrics  children  configuration  logs  tasks  turns  window  closing
    0  errors

A frame travels `app -> frames -> access -> retrieve -> fill -> gate -> origin`; its bytes come back
through `cache`, and `delivery` hands them to the viewer, as `composing` says. An alternate comes out of
`transcode`, a picture for people out of `rendering`: these stand where an origin would, and what things are
made of travels as a frame does. A plan travels `plans_api or frames -> prefetch -> retrieve` and from there
as a frame does.
`tests/test_floors.py` holds this table.
"""
