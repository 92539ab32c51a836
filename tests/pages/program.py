"""Tables of settings, profile keys and metrics, in the words of the program."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from proxy.plan.choice import Rule
from proxy.plan.profile import Prefetch, Profile, RetrieveOptions, Stage
from proxy.settings.model import Settings
from proxy.settings.sections import AlternateSettings
from proxy.telemetry.metrics import Metrics


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a cell is one line, whatever it was made of.

    >>> table(["a", "b"], [["1", "two\\nlines"]])
    '| a | b |\\n|---|---|\\n| 1 | two lines |\\n'
    """
    titles = list(titles)
    lines = [_row(titles), "|" + "---|" * len(titles), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def settings() -> str:
    """Every setting."""
    return table(["key", "default", "meaning"], _leaves(Settings))


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name in ("origins", "warm") and not prefix:
            kind, name = field.annotation.__args__[0], f"{name}[]"  # type: ignore[union-attr]  # a tuple of them
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, f"{prefix}{name}.")
        else:
            default = _default(field.get_default(call_default_factory=True))
            yield f"`{prefix}{name}`", default, field.description or ""


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1024**2 and value % 1024**2 == 0:
        return f"`{value // 1024**3}GiB`" if value % 1024**3 == 0 else f"`{value // 1024**2}MiB`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return "none" if value in (None, {}, ()) else f"`{value}`"


def families() -> Iterator[tuple[str, Metric, Sequence[str]]]:
    """Each metric by the name that Prometheus scrapes, and its labels."""
    made = Metrics()
    for metric in (*vars(made).values(), *vars(made.warmed).values()):
        for family in metric.collect() if hasattr(metric, "_labelnames") else ():
            yield family.name + ("_total" if family.type == "counter" else ""), family, metric._labelnames


def metrics() -> str:
    """Every metric."""
    rows = [
        (f"`{name}`", family.type, ", ".join(labels), family.documentation)
        for name, family, labels in families()
    ]
    return table(["metric", "type", "labels", "meaning"], sorted(rows))


def vocabulary() -> str:
    """Every key of a profile, a table a model."""
    models: dict[str, type[BaseModel]] = {
        "profile": Profile,
        "stage": Stage,
        "options": RetrieveOptions,
        "`prefetch`": Prefetch,
    }
    return "\n".join(table([title, "meaning"], _keys(model)) for title, model in models.items())


def rules() -> str:
    """Every key of a rule of `choose`."""
    return table(["key", "meaning"], _keys(Rule))


def alternates() -> str:
    """Every key of an alternate."""
    scale = {(1, 0): "`1/1`"}
    rows = []
    for name, field in AlternateSettings.model_fields.items():
        default = field.get_default()
        rows.append((f"`{name}`", scale.get(default) or _default(default), field.description or ""))
    return table(["key", "default", "meaning"], rows)


def _keys(model: type[BaseModel]) -> list[tuple[str, str]]:
    return [
        (f"`{field.alias or name}`", field.description or "") for name, field in model.model_fields.items()
    ]
