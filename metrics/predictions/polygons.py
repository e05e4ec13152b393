"""Where text was found; ready ones are a folder of ``res_<image>.txt`` (lines ``x1,y1,x2,y2,...``
and perhaps a score), or PaddleOCR's lines of JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portproof.manifest import files_in
from portproof.metrics.truth import Truth
from portproof.metrics.truth.text_regions import regions_in


def read(path: Path, truth: Truth) -> Mapping[str, Any] | None:
    """The regions of every sample; None for a folder of result files."""
    if path.is_dir():
        texts = files_in(path, (".txt",))
        if not texts or not any(f.name.startswith("res_") for f in texts):
            return None
    return regions_in(path, "predictions", has_text=False)
