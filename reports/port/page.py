"""The report as one HTML page, escaped; nothing is loaded from elsewhere, no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from portproof.reports.port.data import RunData
from portproof.reports.port.document import render_html
from portproof.reports.port.plots import plots_of, svg_of
from portproof.reports.port.seal import origins_of


def html_page(data: RunData, drawn: Mapping[str, bytes] | None = None) -> str:
    """The page, with the plots inside. ``drawn``: SVG by the name of the plot, where they are drawn
    already.
    """
    svgs = drawn or {plot.name: svg_of(plot, data.simulated) for plot in plots_of(data)}
    plots = {
        plot.name: {
            "title": plot.title,
            "text": plot.text,
            "source": "data:image/svg+xml;base64," + base64.b64encode(svgs[plot.name]).decode(),
        }
        for plot in plots_of(data)
    }
    return render_html(data, {"plots": plots, "origins": list(origins_of(data))})
