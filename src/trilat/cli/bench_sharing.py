"""`trilat bench sharing`: what the partners' radars are worth: landing ellipse against time, with one, two and three nations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trilat.flights.sharing import Axes, Curve

AFTER_S = (10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)
AFTER_TINY_S = (20.0, 30.0)
COLOURS = ("#c1440e", "#b58900", "#1f6f8b")
NOTE = "Flights and radars are generic and fictional (three coasts, 30 m, 1 mrad, one plot a second); all plots are shared."


@click.command()
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Runs whose median is printed.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curves into this PNG (wants matplotlib).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of curves.")
@click.option("--tiny", is_flag=True, help="One arc, one run, two times: for tests.")
def command(seeds: int, plot: Path | None, *, as_json: bool, tiny: bool) -> None:
    """Fly three reference arcs past the radars of one, two and three nations and print the landing ellipse against time.

    Plots go through the tracker and the assessment that nodes run. Beside each ellipse stands the bound that the information in
    the same plots since burn-out allows, computed in the same run: what was known of the climb makes an ellipse smaller still.
    All is decided by the seeds 0, 1, ...
    """
    import msgspec

    if plot is not None and not _can_draw():
        raise click.UsageError("--plot wants matplotlib, which is not installed: pip install matplotlib")
    found: list[Curve] = []
    if not as_json:
        click.echo(NOTE)
    for part in measured(seeds, tiny=tiny):
        found += part
        if not as_json:
            for line in lines(part):
                click.echo(line)
    if as_json:
        click.echo(msgspec.json.encode([one._asdict() for one in found]).decode())
    if plot is not None:
        draw(found, plot)


def measured(seeds: int, *, tiny: bool) -> list[list[Curve]]:
    """Return the curves of each arc."""
    from trilat.flights.sharing import ARCS, curves

    if tiny:
        return [curves(ARCS[-1], (1, 3), AFTER_TINY_S, (0,))]
    return [curves(arc, (1, 2, 3), AFTER_S, range(seeds)) for arc in ARCS]


def _km(axes: Axes | None) -> str:
    return "-" if axes is None else f"{axes[0] / 1e3:,.1f} x {axes[1] / 1e3:,.1f}"


def _s(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} s"


def lines(part: list[Curve]) -> list[str]:
    """Return what is told of one arc's curves, for people."""
    from trilat.flights.sharing import WITHIN_M

    out = [f"{part[0].arc}: semi-axes of the 95 % landing ellipse, km (in brackets: the bound of the same plots)"]
    out.append("  after burn-out  " + "".join(f"{'+'.join(one.nations):>34}" for one in part))
    for k, after in enumerate(part[0].after_s):
        cells = [f"{_km(one.axes_m[k])} ({_km(one.bound_m[k])})" for one in part]
        out.append(f"  {after:>12.0f} s  " + "".join(f"{cell:>34}" for cell in cells))
    for k, bound in enumerate(WITHIN_M):
        cells = [f"{_s(one.within_s[k])}, {_s(one.lead_s[k])} before landing" for one in part]
        out.append(f"  within {bound / 1e3:>4.0f} km  " + "".join(f"{cell:>34}" for cell in cells))
    return out


def _can_draw() -> bool:
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def draw(found: list[Curve], path: Path) -> None:
    """Draw long semi-axis against time, a panel for each arc; the bound dashed."""
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # type: ignore[import-not-found, unused-ignore]

    arcs = list(dict.fromkeys(one.arc for one in found))
    figure, panels = plt.subplots(1, len(arcs), figsize=(4.2 * len(arcs), 4.0), sharey=True, squeeze=False)
    for panel, arc in zip(panels[0], arcs, strict=True):
        for colour, one in zip(COLOURS, [one for one in found if one.arc == arc], strict=False):
            for axes, style, label in ((one.axes_m, "-o", " + ".join(one.nations)), (one.bound_m, "--", None)):
                there = [(t, pair[0] / 1e3) for t, pair in zip(one.after_s, axes, strict=True) if pair is not None]
                panel.plot(*zip(*there, strict=True), style, color=colour, label=label, markersize=4, linewidth=1.6)
        panel.set(title=arc, yscale="log", xlabel="seconds after burn-out")
        panel.grid(visible=True, which="both", alpha=0.25)
    panels[0][0].set_ylabel("95 % landing ellipse: long semi-axis, km")
    panels[0][0].legend(title="plots of", frameon=False)
    figure.text(0.5, 0.02, "Generic flights and radars; dashed: the bound of the same plots", fontsize=9, ha="center")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=90)
    plt.close(figure)
