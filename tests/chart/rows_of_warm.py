"""The row of the dashboard about studies that are fetched before anyone asks."""

from tests.chart.panels import OURS, Panel, gauge, lines, rate


def warm() -> list[Panel]:
    """The panels of the row about `warm`."""
    ended = f"progressive_proxy_warm_ended_timestamp_seconds{{{OURS}}} > 0"
    return [
        lines(
            "Runs of warm",
            "none",
            "1 while a run is in progress, and 1 from the end of a run that failed until one ends well.",
            (gauge("warm_running", "warm", "max"), "{{warm}} runs"),
            (gauge("warm_failed", "warm", "max"), "{{warm}} failed"),
        ),
        lines(
            "Runs of warm that ended",
            "ops",
            "Runs by final state. `spent` means that the budget was used up, which is no failure.",
            (rate("warm_runs_total", "warm, state"), "{{warm}} {{state}}"),
        ),
        lines(
            "Time since the last run of warm",
            "s",
            "Seconds since the last run ended, for each name in `warm`. Compare it with the schedule.",
            (f"time() - max by (warm) ({ended})", "{{warm}}"),
        ),
        lines(
            "Studies warmed",
            "ops",
            "Studies that were fetched (done), had not changed (skipped), or lack something (failed).",
            (rate("warm_studies_total", "warm, outcome"), "{{warm}} {{outcome}}"),
        ),
        lines(
            "Bytes warmed",
            "Bps",
            "Bytes that runs fetch from origins, counted when a study ends.",
            (rate("warm_bytes_total", "warm"), "{{warm}}"),
        ),
        lines(
            "Frames and resources warmed",
            "ops",
            "Spans of frames, lists, metadata and thumbnails that runs fetch, counted when a study ends.",
            (rate("warm_requests_total", "warm"), "{{warm}}"),
        ),
    ]
