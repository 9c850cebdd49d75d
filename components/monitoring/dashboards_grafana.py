"""Dashboards as Grafana's JSON, by its Foundation SDK. Imported only where a stack has dashboards."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from components.monitoring.dashboards_panel import COLUMNS

if TYPE_CHECKING:
    from components.monitoring.dashboards_panel import Dashboard, Panel
    from components.monitoring.plan import MonitoringPlan

DATA_SOURCE = "datasource"
"""Variable of a dashboard: which Prometheus; the first one unless somebody chooses."""

_UID_LENGTH = 40
"""Grafana takes no longer one."""
_HEIGHTS = {"stat": 5, "bars": 7, "series": 8}
_AnyPanel = stat.Panel | bargauge.Panel | timeseries.Panel
_Built = TypeVar("_Built", stat.Panel, bargauge.Panel, timeseries.Panel)


def uid(plan: MonitoringPlan, name: str) -> str:
    """Of a dashboard, the same at every deployment, so that links stay: `immich-prod-overview`."""
    whole = f"immich-{plan.stack}-{name}"
    if len(whole) <= _UID_LENGTH:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: _UID_LENGTH - 9]}-{digest}"


def json_of(dashboard: Dashboard, plan: MonitoringPlan) -> str:
    """The dashboard as Grafana reads it from a file or a ConfigMap."""
    built = (
        builders.Dashboard(f"Immich {plan.stack}: {dashboard.title}")
        .uid(uid(plan, dashboard.name))
        .tags(["immich", plan.stack])
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(builders.DatasourceVariable(DATA_SOURCE).label("Prometheus").type("prometheus"))
        .link(
            builders.DashboardLink("Immich")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["immich", plan.stack])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    numbers, top = count(1), 0
    for row in dashboard.rows:
        # Places are given: the library lets a panel reach over the right edge.
        heading = models.GridPos(x=0, y=top, w=COLUMNS, h=1)
        built = built.with_row(builders.Row(row.title).id(next(numbers)).grid_pos(heading))
        top += 1
        for line in row.lines():
            left, height = 0, max(_HEIGHTS[panel.kind] for panel in line)
            for panel in line:
                place = models.GridPos(x=left, y=top, w=panel.width, h=height)
                built = built.with_panel(_panel(panel, plan, next(numbers)).grid_pos(place))
                left += panel.width
            top += height
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def _panel(panel: Panel, plan: MonitoringPlan, number: int) -> _AnyPanel:
    match panel.kind:
        case "stat":
            built = _common(stat.Panel().id(number), panel, plan)
            return (
                built.color_mode(common_models.BigValueColorMode.BACKGROUND)
                .graph_mode(common_models.BigValueGraphMode.NONE)
                .text_mode(_text_mode(panel))
                .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            )
        case "bars":
            built = _common(bargauge.Panel().id(number), panel, plan)
            return (
                built.orientation(common_models.VizOrientation.HORIZONTAL)
                .display_mode(common_models.BarGaugeDisplayMode.BASIC)
                .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
                .min(0)
            )
        case "series":
            built = _common(timeseries.Panel().id(number), panel, plan)
            return (
                built.fill_opacity(8)
                .line_width(1)
                .show_points(common_models.VisibilityMode.NEVER)
                .thresholds_style(
                    common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
                )
                .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
                .axis_soft_min(0)
            )


def _text_mode(panel: Panel) -> common_models.BigValueTextMode:
    if panel.name_only:
        return common_models.BigValueTextMode.NAME
    named = any(query.legend for query in panel.queries)
    return common_models.BigValueTextMode.VALUE_AND_NAME if named else common_models.BigValueTextMode.VALUE


def _common(built: _Built, panel: Panel, plan: MonitoringPlan) -> _Built:
    """What every kind has: title, place, unit, thresholds, queries, the link to what to do."""
    source = models.DataSourceRef(type_val="prometheus", uid=f"${{{DATA_SOURCE}}}")
    built = (
        built.title(panel.title)
        .description(panel.description)
        .datasource(source)
        .unit(panel.unit)
        .no_value("nothing is known")
        .links([_runbook(panel, plan)])
        .thresholds(_thresholds(panel))
    )
    if panel.words:
        built = built.mappings([_words(panel)])
    for index, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + index)).datasource(source)
        if query.legend:
            target = target.legend_format(query.legend)
        built = built.with_target(target.range() if panel.kind == "series" else target.instant())
    return built


def _runbook(panel: Panel, plan: MonitoringPlan) -> builders.DashboardLink:
    return (
        builders.DashboardLink(f"What to do: {panel.alert}")
        .type(models.DashboardLinkType.LINK)
        .url(f"{plan.runbooks}#{panel.alert.lower()}")
        .target_blank(True)
    )


def _thresholds(panel: Panel) -> builders.ThresholdsConfig:
    steps = [models.Threshold(value=None, color=panel.base)]
    steps += [models.Threshold(value=value, color=colour) for value, colour in panel.thresholds]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _words(panel: Panel) -> models.ValueMap:
    return models.ValueMap(
        options={
            str(value): models.ValueMappingResult(text=text, color=colour, index=value)
            for value, (text, colour) in panel.words.items()
        }
    )
