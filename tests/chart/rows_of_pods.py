"""Rows of the dashboard about the pods."""

from tests.chart.panels import HERE, OURS, Panel, gauge, lines, rate


def memory() -> list[Panel]:
    """The memory of the proxy, by use."""
    return [
        lines(
            "Memory of the process",
            "bytes",
            "Resident memory without workers, and the container's limit, 0 if none. Alerts from 95 % on.",
            (f"max (process_resident_memory_bytes{{{OURS}}})", "most of a pod"),
            (gauge("memory_limit_bytes", how="min"), "limit"),
            span=6,
        ),
        lines(
            "Held",
            "bytes",
            "Bytes that count against `cache.bytes`. Much in `lent` or `filling` means slow viewers.",
            (gauge("cache_bytes", "part"), "{{part}}"),
            (gauge("cache_budget_bytes"), "budget"),
            span=6,
        ),
        lines(
            "Frames evicted",
            "ops",
            "Evictions to free space. If `first` is near the number of requests, the cache is too small.",
            (rate("cache_evictions_total", "part"), "{{part}}"),
            span=6,
        ),
        lines(
            "Frame requests",
            "reqps",
            "Requests of viewers for frames, by what the cache did.",
            (rate("frame_answers_total", "cache"), "{{cache}}"),
            span=6,
        ),
        lines(
            "Metadata, searches and pictures",
            "reqps",
            "Requests of viewers for what belongs to a study beside its frames, by what the cache did.",
            (rate("resource_answers_total", "kind, cache"), "{{kind}} {{cache}}"),
            span=12,
        ),
        lines(
            "Held by kind",
            "bytes",
            "Frames in memory, also in other forms or made by the proxy, and what belongs to a study.",
            (gauge("kept_bytes", "kind"), "{{kind}}"),
            span=12,
        ),
    ]


def tiers() -> list[Panel]:
    """Disk and shared server."""
    return [
        lines(
            "Look-ups in tiers",
            "ops",
            "Look-ups on disk or at the shared server. All but a hit are misses to a viewer.",
            (rate("tier_lookups_total", "tier, part, outcome"), "{{tier}} {{part}} {{outcome}}"),
        ),
        lines(
            "Frames written",
            "ops",
            "Frames for a tier. Dropped frames cost no viewer anything; the tier is too slow to take them.",
            (rate("tier_writes_total", "tier, outcome"), "{{tier}} {{outcome}}"),
        ),
        lines(
            "Bytes in tiers",
            "bytes",
            "Bytes of frames in a tier, first bytes and rests, by kind.",
            (gauge("tier_bytes", "tier, kind, part"), "{{tier}} {{kind}} {{part}}"),
        ),
    ]


def process() -> list[Panel]:
    """The processor and the open files of a process."""
    return [
        lines(
            "Processor",
            "none",
            "Cores that the busiest pod uses. One process uses one core at most; then pictures get late.",
            (f"max (rate(process_cpu_seconds_total{{{OURS}}}[{HERE}]))", "cores, most of a pod"),
            span=12,
        ),
        lines(
            "Open files",
            "none",
            "Connections of viewers and to origins, and files. At the limit, new connections fail.",
            (f"max (process_open_fds{{{OURS}}})", "most of a pod"),
            (f"min (process_max_fds{{{OURS}}})", "limit"),
            span=12,
        ),
    ]


def workers() -> list[Panel]:
    """Several processes for viewers in one pod."""
    return [
        lines(
            "Connections moved, workers lost",
            "ops",
            "Connections whose next request was about a study of another worker, and processes for viewers "
            "that died. A lost worker is never normal.",
            (rate("moved_connections_total", "outcome"), "connections {{outcome}}"),
            (rate("lost_workers_total"), "workers lost"),
            span=24,
        ),
        lines(
            "Jobs of decoding and encoding",
            "none",
            "Jobs for alternates and pictures that run, and those that wait for a process.",
            (gauge("jobs", "state"), "{{state}}"),
        ),
        lines(
            "Time of jobs",
            "none",
            "Seconds per second: processes that were busy, and jobs that waited, on average.",
            (rate("job_seconds_sum", "state"), "{{state}}"),
            (rate("job_seconds_count", "state", OURS + ',state="running"'), "jobs per second"),
        ),
        lines(
            "Processes lost over a job",
            "ops",
            "Processes for alternates and pictures that took too long or crashed.",
            (rate("lost_decoders_total", "reason"), "{{reason}}"),
        ),
    ]


def configuration() -> list[Panel]:
    """What is in force, and until when."""
    ends = f"progressive_proxy_expires_timestamp_seconds{{{OURS}}}"
    return [
        lines(
            "Configuration",
            "none",
            "1 while the file of each pod is valid, its reloads, and the number of pods of each version.",
            (gauge("configuration_is_good", how="min"), "is good"),
            (rate("reloads_total", "result"), "reloads per second, {{result}}"),
            (gauge("build_info", "version", "count"), "pods of {{version}}"),
            span=12,
        ),
        lines(
            "Days until a certificate or token ends",
            "d",
            "The proxy's own, by the files that it reads. The proxy reads a renewed file without a restart.",
            (f"(min by (origin, kind) ({ends}) - time()) / 86400", "{{kind}} {{origin}}"),
            span=12,
        ),
    ]
