"""The chart, its dashboard, alerts and image, tried with the real tools.

`python -m tests.chart.tools` unpacks helm and kubectl; what a test can't find it names and skips.
`values_schema`, `dashboard` and `preview` write files of the chart, each as `python -m tests.chart.NAME`.
"""
