"""The few kinds of panel that the boards are made of, on top of the Grafana Foundation SDK: each
asks the chosen data source, says what it shows, and lies beside or below the one before."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, stat, table
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
CREDITS = "suffix: credits"
COLUMNS = 24


@dataclass
class Value:
    """One number of a panel: its name, what is asked, and how it is written when that differs."""

    name: str
    ask: str
    unit: str = ""
    decimals: int | None = None
    steps: list[tuple[float, str]] = field(default_factory=list)
    words: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Placed:
    """A panel and how much room it takes; its id and its place are given by the board."""

    panel: dashboard.Panel
    width: int
    height: int


def queries(values: Iterable[Value], instant: bool, form: PromQueryFormat) -> list[Dataquery]:
    """The targets of a panel, A, B, C and so on."""
    made = []
    for at, value in enumerate(values):
        query = Dataquery().expr(value.ask).legend_format(value.name).ref_id(chr(ord("A") + at))
        query = query.datasource(SOURCE).format(form)
        made.append(query.instant() if instant else query.range())
    return made


def thresholds(steps: list[tuple[float, str]]) -> dashboard.ThresholdsConfig:
    """Green up to the first step, and each step's colour from there on."""
    first = [model.Threshold(value=None, color="green")]
    levels = first + [model.Threshold(value=at, color=color) for at, color in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(levels)


def overrides(panel, values: Iterable[Value]):
    """Units, colours and words of single numbers."""
    for value in values:
        properties = []
        if value.unit:
            properties.append(model.DynamicConfigValue("unit", value.unit))
        if value.decimals is not None:
            properties.append(model.DynamicConfigValue("decimals", value.decimals))
        if value.steps:
            properties.append(
                model.DynamicConfigValue("thresholds", thresholds(value.steps).build())
            )
        if value.words:
            options = {
                number: model.ValueMappingResult(text=text, color=color)
                for number, (text, color) in value.words.items()
            }
            mapping = model.ValueMap(options=options)
            properties.append(model.DynamicConfigValue("mappings", [mapping]))
        if properties:
            panel = panel.override_by_name(value.name, properties)
    return panel


def head(panel, title: str, about: str, unit: str, runbook: str = ""):
    """What every panel has; `runbook` is the anchor of the section that helps."""
    panel = panel.title(title).description(about).unit(unit).datasource(SOURCE)
    if runbook:
        link = dashboard.DashboardLink("Runbook").type(model.DashboardLinkType.LINK)
        panel = panel.links([link.url(f"${{runbook}}#{runbook}").target_blank(True)])
    return panel


def numbers(title, about, values: list[Value], *, unit="short", w=24, h=4, runbook="") -> Placed:
    """Big numbers side by side."""
    panel = head(stat.Panel(), title, about, unit, runbook).thresholds(thresholds([]))
    panel = panel.targets(queries(values, True, PromQueryFormat.TIME_SERIES))
    panel = panel.graph_mode(shared.BigValueGraphMode.NONE).no_value("none")
    panel = panel.orientation(shared.VizOrientation.VERTICAL)
    panel = panel.text_mode(shared.BigValueTextMode.VALUE_AND_NAME)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return Placed(overrides(panel, values), w, h)


def lines(
    title,
    about,
    unit,
    values: list[Value],
    *,
    w=8,
    h=8,
    stacked=False,
    top=None,
    dashed=(),
    runbook="",
) -> Placed:
    """Lines over time; stacked, their areas add up."""
    panel = head(timeseries.Panel(), title, about, unit, runbook).line_width(1)
    panel = panel.targets(queries(values, False, PromQueryFormat.TIME_SERIES))
    panel = panel.show_points(shared.VisibilityMode.NEVER).axis_soft_min(0)
    panel = panel.fill_opacity(30 if stacked else 8)
    if top is not None:
        panel = panel.max(top)
    mode = shared.StackingMode.NORMAL if stacked else shared.StackingMode.NONE
    panel = panel.stacking(common.StackingConfig().mode(mode).group("A"))
    legend = common.VizLegendOptions().display_mode(shared.LegendDisplayMode.LIST)
    panel = panel.legend(legend.placement(shared.LegendPlacement.BOTTOM).show_legend(True))
    tooltip = common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI)
    panel = panel.tooltip(tooltip.sort(shared.SortOrder.DESCENDING))
    style = {"fill": "dash", "dash": [8, 8]}
    for name in dashed:
        panel = panel.override_by_name(name, [model.DynamicConfigValue("custom.lineStyle", style)])
    return Placed(overrides(panel, values), w, h)


def rows(title, about, values: list[Value], *, w=24, h=8, unit="short", total=False, runbook=""):
    """A table: one line for each combination of labels, one column for each number."""
    panel = head(table.Panel(), title, about, unit, runbook)
    panel = panel.targets(queries(values, True, PromQueryFormat.TABLE))
    names = {f"Value #{chr(ord('A') + at)}": value.name for at, value in enumerate(values)}
    if len(values) == 1:
        names["Value"] = values[0].name
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    tidy = {"excludeByName": {"Time": True}, "renameByName": names}
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=tidy))
    by = common.TableSortByFieldState().display_name(values[0].name).desc(True)
    panel = panel.sort_by([by])
    if total:
        # The sum of what can be added up: every column of numbers.
        panel = panel.footer(
            common.TableFooterOptions().show(True).reducer(["sum"]).count_rows(False)
        )
    return Placed(overrides(panel, values), w, h)


def bars(title, about, unit, values: list[Value], *, w=8, h=8, top=None, steps=()) -> Placed:
    """One bar for each series, as it is now."""
    panel = head(bargauge.Panel(), title, about, unit).thresholds(thresholds(list(steps)))
    panel = panel.targets(queries(values, True, PromQueryFormat.TIME_SERIES)).min(0)
    if top is not None:
        panel = panel.max(top)
    panel = panel.orientation(shared.VizOrientation.HORIZONTAL)
    panel = panel.display_mode(shared.BarGaugeDisplayMode.BASIC)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return Placed(panel, w, h)


def steps_of(title, about, ask, *, w=8, h=8) -> Placed:
    """A heat map of a histogram's own buckets."""
    panel = head(heatmap.Panel(), title, about, "short")
    panel = panel.targets(queries([Value("{{le}}", ask)], False, PromQueryFormat.HEATMAP))
    return Placed(panel.y_axis(heatmap.YAxisConfig().unit("s")), w, h)


def quantiles(metric: str, matchers: str) -> list[Value]:
    """The median, 95 % and 99 % of a histogram."""
    ask = f"sum by (le) (rate({metric}_bucket{{{matchers}}}[$__rate_interval]))"
    return [
        Value(f"{name} %", f"histogram_quantile({part}, {ask})")
        for name, part in [("50", 0.5), ("95", 0.95), ("99", 0.99)]
    ]
