"""Medians of measurements, per run and per event, as a table and as a figure."""

import statistics

from matplotlib.figure import Figure
from rich.table import Table

from bphcoffea.presentation.style import cms_style

#: Markers and colours of the contestants in figures.
MARKERS = "os^vD<>*"
COLOURS = ("blue", "orange", "green", "red", "purple", "brown", "pink", "gray")


def line(few, many, key):
    """Return the fixed cost, s, and the slope, µs per event, of the two sizes of one turn."""
    slope = (many[key] - few[key]) / (many["events"] - few["events"])
    return few[key] - slope * few["events"], 1e6 * slope


def spread(values):
    """Return the median, and half the range of the middle half of some values."""
    middle = statistics.median(values)
    if len(values) < 2:
        return middle, 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, (high - low) / 2


def summarise(rows):
    """Return medians and spreads per contestant, at the largest size and per event."""
    summary = []
    sizes = sorted({row["files"] for row in rows})
    reference = {}
    for name in dict.fromkeys(row["contestant"] for row in rows):
        own = [row for row in rows if row["contestant"] == name]
        by_size = {size: [row for row in own if row["files"] == size] for size in sizes}
        many = by_size[sizes[-1]]
        entry = {"contestant": name, "events": many[0]["events"], "repetitions": len(many)}
        for key in ("wall_s", "cpu_s", "peak_mb"):
            entry[key], entry[f"{key}_spread"] = spread([row[key] for row in many])
        if len(sizes) > 1:
            for key in ("wall", "cpu"):
                pairs = zip(by_size[sizes[0]], many, strict=True)
                lines = [line(few, most, f"{key}_s") for few, most in pairs]
                for number, part in enumerate(("fixed_s", "us_per_event")):
                    column, values = f"{key}_{part}", [found[number] for found in lines]
                    entry[column], entry[f"{column}_spread"] = spread(values)
        reference = reference or entry
        entry["relative_to"] = reference["contestant"]
        for key in ("wall_s", "cpu_s", "wall_us_per_event", "cpu_us_per_event"):
            if key in entry:
                entry[f"{key}_ratio"] = entry[key] / reference[key]
        summary.append(entry)
    return summary


#: Columns of the table: heading, key, digits.
COLUMNS = (
    ("wall [s]", "wall_s", 1),
    ("CPU [s]", "cpu_s", 1),
    ("peak [MB]", "peak_mb", 0),
    ("fixed wall [s]", "wall_fixed_s", 1),
    ("fixed CPU [s]", "cpu_fixed_s", 1),
    ("wall [µs/event]", "wall_us_per_event", 2),
    ("CPU [µs/event]", "cpu_us_per_event", 2),
)


def table_of(title, summary):
    table = Table(title=f"{title}, {summary[0]['events']:,} events")
    columns = [column for column in COLUMNS if column[1] in summary[0]]
    table.add_column("")
    for heading, _, _ in columns:
        table.add_column(heading, justify="right")
    ratios = [key for key in ("wall_s", "cpu_s", "cpu_us_per_event") if key in summary[0]]
    names = {"wall_s": "wall", "cpu_s": "CPU", "cpu_us_per_event": "CPU/event"}
    for key in ratios:
        table.add_column(f"{names[key]} / {summary[0]['contestant']}", justify="right")
    for entry in summary:
        cells = [f"{entry[k]:.{d}f} ± {entry[f'{k}_spread']:.{d}f}" for _, k, d in columns]
        table.add_row(entry["contestant"], *cells, *(f"{entry[f'{k}_ratio']:.2f}" for k in ratios))
    return table


def draw(title, rows, summary, path):
    """Draw wall and CPU time against the number of events, with the straight lines."""
    with cms_style():
        figure = Figure(figsize=(22, 10), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, key, label in zip(panels, ("wall", "cpu"), ("Wall", "CPU"), strict=True):
            for number, entry in enumerate(summary):
                own = [row for row in rows if row["contestant"] == entry["contestant"]]
                events = sorted({row["events"] for row in own})
                found = [
                    spread([row[f"{key}_s"] for row in own if row["events"] == n]) for n in events
                ]
                middle, errors = zip(*found, strict=True)
                name = entry["contestant"]
                if f"{key}_fixed_s" in entry:
                    fixed, slope = entry[f"{key}_fixed_s"], entry[f"{key}_us_per_event"]
                    name += f": {fixed:.1f} s + {slope:.1f} µs/event"
                thousands = [n / 1e3 for n in events]
                style = {"color": f"tab:{COLOURS[number]}", "label": name}
                axes.errorbar(thousands, middle, errors, fmt=MARKERS[number], **style)
                if f"{key}_fixed_s" in entry:
                    ends = [0, events[-1]]
                    times = [fixed + 1e-6 * slope * n for n in ends]
                    axes.plot([n / 1e3 for n in ends], times, "-", color=style["color"], lw=1)
            axes.set_xlabel("Events / 1000")
            axes.set_ylabel(f"{label} time [s]")
            axes.set_xlim(left=0)
            axes.set_ylim(0, 1.7 * axes.get_ylim()[1])
            axes.legend(loc="upper left", fontsize=17, title=title)
        figure.savefig(path)
