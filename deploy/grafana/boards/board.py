"""One board: its head, its variables, its annotations, and where its panels lie."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model
from parts import COLUMNS, SOURCE, Placed

HERE = 'namespace=~"$namespace"'
TAG = "moongate"
# Where the runbook is, unless `make.py --runbook` says otherwise.
RUNBOOK = "https://runbooks.example.com/moongate/runbook.md"
OF_THE_GATEWAY = f"and on (instance) moongate_build_info{{{HERE}}}"
FIRING = 'alertname=~"Moongate.*", alertstate="firing"'

BOARDS = {"gateway": "Gateway", "team": "Team", "money": "Money"}


class Places:
    """Gives panels their ids and their places, from left to right and then below."""

    def __init__(self):
        self.last_id = self.x = self.y = self.row_height = 0

    def next_id(self) -> int:
        """An id that no panel of the board has."""
        self.last_id += 1
        return self.last_id

    def place(self, placed: Placed):
        """The panel, beside the one before where there is room, else below."""
        if self.x + placed.width > COLUMNS:
            self.line_end()
        at = model.GridPos(h=placed.height, w=placed.width, x=self.x, y=self.y)
        self.x += placed.width
        self.row_height = max(self.row_height, placed.height)
        return placed.panel.id(self.next_id()).grid_pos(at)

    def line_end(self):
        """What comes next begins a line of its own."""
        self.x, self.y, self.row_height = 0, self.y + self.row_height, 0


def choice(name: str, label: str, about: str, query: str, *, every: bool, many: bool):
    """A variable with the values of a label; `every` offers all of them at once."""
    variable = dashboard.QueryVariable(name).label(label).description(about).datasource(SOURCE)
    variable = variable.query({"query": query, "refId": name}).multi(many)
    variable = variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable = variable.sort(model.VariableSort.ALPHABETICAL_ASC)
    if every:
        all_of_it = model.VariableOption(selected=True, text="All", value="$__all")
        variable = variable.include_all(True).all_value(".*").current(all_of_it)
    return variable


def annotation(name: str, color: str, expr: str, text: str, *, when_is_value: bool):
    """Marks over all panels, where a query has a value, or at the time that its value is."""
    query = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True)
    query = query.icon_color(color).expr(expr).build()
    extra = {"titleFormat": name, "textFormat": text, "step": "60s"}
    if when_is_value:
        extra["useValueForTime"] = "on"
    return query, extra


ANNOTATIONS = [
    annotation(
        "Configuration taken",
        "purple",
        f"max by (instance) (moongate_config_last_reload_timestamp_seconds{{{HERE}}}) * 1000",
        "{{instance}}",
        when_is_value=True,
    ),
    annotation(
        "Started",
        "blue",
        f"max by (instance) (process_start_time_seconds{{{HERE}}} {OF_THE_GATEWAY}) * 1000",
        "{{instance}}",
        when_is_value=True,
    ),
    annotation(
        "Alert",
        "red",
        f"max by (alertname, severity) (ALERTS{{{HERE}, {FIRING}}})",
        "{{alertname}} ({{severity}})",
        when_is_value=False,
    ),
]


class Board:
    """Collects what a board is made of."""

    def __init__(self, name: str, about: str, runbook: str, variables, *, since="now-6h"):
        self.places = Places()
        made = dashboard.Dashboard(f"Moongate: {BOARDS[name]}").uid(f"moongate-{name}")
        made = made.description(about).tags([TAG]).timezone("browser").time(since, "now")
        made = made.refresh("30s").editable().tooltip(model.DashboardCursorSync.CROSSHAIR)
        source = dashboard.DatasourceVariable("datasource").label("Data source")
        source = source.description("The Prometheus that scrapes the gateway.").type("prometheus")
        where = choice(
            "namespace",
            "Namespace",
            "Which installation. Without Kubernetes there is one, and All is right.",
            "label_values(moongate_build_info, namespace)",
            every=True,
            many=False,
        )
        base = dashboard.ConstantVariable("runbook").label("Runbook").value(runbook)
        base = base.description("Where the runbook is; links of panels lead there.")
        made = made.variables([source, where, *variables, base])
        for other in BOARDS:
            if other != name:
                made = made.link(link(BOARDS[other], f"/d/moongate-{other}", keeps=True))
        self.made = made.link(link("Runbook", "${runbook}", keeps=False))

    def show(self, *panels: Placed):
        """Panels of the first screen."""
        for panel in panels:
            self.made = self.made.with_panel(self.places.place(panel))

    def closed(self, title: str, *panels: Placed):
        """Panels below it, in a row that is opened when they are needed."""
        self.places.line_end()
        at = model.GridPos(h=1, w=COLUMNS, x=0, y=self.places.y)
        row = dashboard.Row(title).collapsed(True).id(self.places.next_id()).grid_pos(at)
        self.places.y += 1
        for panel in panels:
            row = row.with_panel(self.places.place(panel))
        self.places.line_end()
        # Closed, it takes one line; what it holds is moved down when it is opened.
        self.places.y = at.y + 1
        self.made = self.made.with_row(row)

    def build(self) -> model.Dashboard:
        """The board, as Grafana reads it."""
        return self.made.build()


def link(title: str, url: str, *, keeps: bool):
    """A link in the board's head; `keeps` takes the time range and the variables along."""
    made = dashboard.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url)
    return made.keep_time(keeps).include_vars(keeps).target_blank(not keeps)
