"""Draws one panel as HTML: big numbers, lines, a table or bars. Our own hand, not Grafana's."""

import html
import time

COLORS = ["#5794f2", "#73bf69", "#f2cc0c", "#ff780a", "#b877d9", "#f2495c", "#8ab8ff", "#96d98d"]
# Grafana's names for the colors of numbers.
SHADES = {"green": "#73bf69", "yellow": "#f2cc0c", "orange": "#ff9830", "red": "#f2495c"}
# Pixels of a column and of a line of Grafana's grid, and between panels.
COLUMN, LINE, GAP = 66, 30, 6
# Pixels of a line of names below a drawing.
LEGEND = 16


def amount(value: float, unit: str, decimals: int | None = None) -> str:
    """A number with its unit, as a person writes it."""
    if unit == "s":
        for size, name in [(86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (0.001, "ms")]:
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1e6:.3g} µs"
    if unit == "percentunit":
        return f"{value * 100:.{2 if decimals is None else decimals}f} %"
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    if decimals is None:
        decimals = 0 if value == int(value) or abs(value) >= 1000 else 2
    text = f"{value:,.{decimals}f}"
    name = unit.removeprefix("suffix: ").replace("reqps", "req/s").replace("ops", "ops/s")
    return text if name in ("short", "none") else f"{text} {name}"


def named(legend: str, labels: dict[str, str]) -> str:
    """A series' name: the legend with its labels in it."""
    for label, value in labels.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    return legend


def unit_of(panel: dict, name: str) -> tuple[str, int | None, dict[str, str]]:
    """Unit, decimals and words of one value: its own, or the panel's."""
    unit, decimals, words = panel["fieldConfig"]["defaults"]["unit"], None, {}
    for override in panel["fieldConfig"].get("overrides", []):
        if override["matcher"]["options"] != name:
            continue
        own = {one["id"]: one["value"] for one in override["properties"]}
        unit, decimals = own.get("unit", unit), own.get("decimals", decimals)
        for mapping in own.get("mappings", []):
            words |= {key: said["text"] for key, said in mapping["options"].items()}
    return unit, decimals, words


def color_of(panel: dict, name: str, value: float, text: str) -> str:
    """The color of one value: that of its words, else of the last step it has reached."""
    color = "green"
    for override in panel["fieldConfig"].get("overrides", []):
        if override["matcher"]["options"] != name:
            continue
        own = {one["id"]: one["value"] for one in override["properties"]}
        for step in own.get("thresholds", {}).get("steps", []):
            color = step["color"] if step["value"] is None or value >= step["value"] else color
        for mapping in own.get("mappings", []):
            color = next((said["color"] for said in mapping["options"].values() if said["text"] == text), color)
    return SHADES.get(color, color)


def numbers(panel: dict, answers: list[tuple[str, list]]) -> str:
    """Big numbers side by side."""
    shown, longest = [], 0
    for name, found in answers:
        unit, decimals, words = unit_of(panel, name)
        value = found[0][1][-1][1] if found else 0
        text = words.get(f"{value:g}") or amount(value, unit, decimals)
        color, text, name = color_of(panel, name, value, text), html.escape(text), html.escape(name)
        shown.append(f'<div><small>{name}</small><b style="color:{color}">{text}</b></div>')
        longest = max(longest, len(text))
    size = 21 if longest < 16 else 17
    return f'<div class="numbers" style="font-size:{size}px">{"".join(shown)}</div>'


def lines(panel: dict, answers: list[tuple[str, list]], width: int, height: int) -> str:
    """Lines over time, and their names below."""
    series = [
        (named(name, labels), values)
        for name, found in answers
        for labels, values in found
        if values
    ]
    shown = series[:8]
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    if stacked:
        shown = stack(shown)
    times = [at for _, values in shown for at, _ in values]
    most = max((value for _, values in shown for _, value in values), default=1) or 1
    least = min([0, *(value for _, values in shown for _, value in values)])
    first, span = min(times), (max(times) - min(times)) or 1
    more = [f"and {len(series) - 8} more"] if len(series) > 8 else []
    room, left = height - 40 - LEGEND * (legend_lines([name for name, _ in shown] + more, width) - 1), 92

    def point(at: float, value: float) -> str:
        x = left + (at - first) / span * (width - left - 14)
        return f"{x:.1f},{8 + (most - value) / (most - least) * (room - 12):.1f}"

    drawn = []
    for part in (0, 0.5, 1):
        value = least + (most - least) * part
        y = 8 + (1 - part) * (room - 12)
        said = html.escape(amount(value, panel["fieldConfig"]["defaults"]["unit"]))
        drawn.append(f'<line x1="{left}" x2="{width - 14}" y1="{y}" y2="{y}" class="grid"/>')
        drawn.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{said}</text>')
    for at in (first, max(times)):
        x = point(at, least).split(",")[0]
        said = time.strftime("%H:%M:%S", time.gmtime(at))
        anchor = "start" if at == first else "end"
        drawn.append(f'<text x="{x}" y="{room + 10}" text-anchor="{anchor}">{said}</text>')
    for (_, values), color in reversed(list(zip(shown, COLORS, strict=False))):
        points = " ".join(point(at, value) for at, value in values)
        area = [point(values[0][0], least), points, point(values[-1][0], least)] if stacked else []
        fill = f'<polygon points="{" ".join(area)}" fill="{color}" fill-opacity=".25"/>'
        line = f'<polyline points="{points}" stroke="{color}" fill="none" stroke-width="1.5"/>'
        drawn.append((fill if stacked else "") + line)
    legend = "".join(
        f'<span><i style="background:{color}"></i>{html.escape(name)}</span>'
        for (name, _), color in zip(shown, COLORS, strict=False)
    )
    legend += "".join(f"<span>{text}</span>" for text in more)
    image = f'<svg width="{width}" height="{room + 14}">{"".join(drawn)}</svg>'
    return f'{image}<div class="legend">{legend}</div>'


def legend_lines(names: list[str], width: int) -> int:
    """How many lines these names take, about: letters of six pixels and a half, and a stroke before each."""
    count, used = 1, 0.0
    for name in names:
        needed = 6.5 * len(name) + 28
        if used and used + needed > width:
            count, used = count + 1, 0.0
        used += needed
    return count


def stack(series: list[tuple[str, list]]) -> list[tuple[str, list]]:
    """Each series on top of those before it."""
    below: dict[float, float] = {}
    stacked = []
    for name, values in series:
        for at, value in values:
            below[at] = below.get(at, 0) + value
        stacked.append((name, [(at, below[at]) for at, _ in values]))
    return stacked


def table(panel: dict, answers: list[tuple[str, list]]) -> str:
    """A line for each combination of labels, a column for each value."""
    keys = sorted({tuple(sorted(labels.items())) for _, found in answers for labels, _ in found})
    labels = list(dict(keys[0])) if keys else []
    head = "".join(f"<th>{name}</th>" for name in labels)
    head += "".join(f'<th class="number">{name}</th>' for name, _ in answers)
    body, sums = [], [0.0] * len(answers)
    for key in keys:
        cells = [f"<td>{html.escape(value)}</td>" for value in dict(key).values()]
        for at, (name, found) in enumerate(answers):
            unit, decimals, words = unit_of(panel, name)
            own = {tuple(sorted(labels.items())): values[-1][1] for labels, values in found}
            sums[at] += own.get(key, 0)
            text = "" if key not in own else amount(own[key], unit, decimals)
            text = words.get(f"{own.get(key, 0):g}", text)
            cells.append(f'<td class="number">{html.escape(text)}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    if panel["options"].get("footer", {}).get("show"):
        cells = "<td></td>" * (len(labels) - 1) + "<td>in all</td>"
        for (name, _), total in zip(answers, sums, strict=True):
            unit, decimals, _ = unit_of(panel, name)
            cells += f'<td class="number">{html.escape(amount(total, unit, decimals))}</td>'
        body.append(f'<tr class="total">{cells}</tr>')
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def bars(panel: dict, answers: list[tuple[str, list]]) -> str:
    """A bar for each series."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    found = [
        (named(name, labels), values[-1][1]) for name, all_ in answers for labels, values in all_
    ]
    most = max((value for _, value in found), default=1) or 1
    shown = [
        f"<div><span>{html.escape(name)}</span>"
        f'<i style="width:{value / most * 55:.1f}%"></i>'
        f"<b>{html.escape(amount(value, unit, 3))}</b></div>"
        for name, value in sorted(found, key=lambda one: -one[1])
    ]
    return f'<div class="bars">{"".join(shown)}</div>'


def drawn(panel: dict, title: str, answers: list[tuple[str, list]]) -> str:
    """The panel at its place."""
    at = panel["gridPos"]
    width, height = at["w"] * COLUMN - GAP, at["h"] * LINE - GAP
    if panel["type"] == "row":
        inside = f"▸ {html.escape(title)} <small>({len(panel['panels'])} panels)</small>"
    else:
        kinds = {"stat": numbers, "table": table, "bargauge": bars}
        draw = kinds.get(panel["type"])
        body = draw(panel, answers) if draw else lines(panel, answers, width, height - 26)
        inside = f"<h2>{html.escape(title)}</h2>{body}"
    place = f"left:{at['x'] * COLUMN}px;top:{at['y'] * LINE}px;width:{width}px;height:{height}px"
    return f'<section class="{panel["type"]}" style="{place}">{inside}</section>'
