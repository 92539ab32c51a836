"""Tests of the chart, its dashboard, alerts and image, with the real tools.

`python -m tests.chart.tools` unpacks helm and kubectl. If a tool is missing, its tests are skipped and name
it. `values_schema`, `readme`, `dashboard` and `preview` write files of the chart, each as
`python -m tests.chart.NAME`.
"""
