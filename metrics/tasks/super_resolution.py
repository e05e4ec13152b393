"""Super-resolution and other restoration of images: PSNR and SSIM."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.predictions.restored import Picture
from portproof.metrics.tasks import Contribution, Figure
from portproof.metrics.truth import Truth
from portproof.metrics.truth.pixel_files import read_pictures

PREDICTION = "restored"
#: A picture that is right to the last level has no finite PSNR; it counts as this many dB.
MOST_DB = 100.0
#: The margin of a PSNR is in dB.
FIGURES = (
    Figure("PSNR", unit="dB", span=MOST_DB),
    Figure("SSIM", chance=0.0),
    Figure("PSNR_Y", unit="dB", span=MOST_DB),
    Figure("SSIM_Y", chance=0.0),
)
#: The figure's column of a contribution.
_COLUMNS = {"PSNR": "psnr", "SSIM": "ssim", "PSNR_Y": "psnr_luma", "SSIM_Y": "ssim_luma"}
#: What noise has against a picture, in dB: nothing of the picture is left.
_NOTHING_DB = 10.0
#: The smallest side that SSIM's window fits into.
_WINDOW, _SIGMA = 11, 1.5

Pixels = NDArray[np.float64]


def read_truth(path: Path) -> Truth:
    """A folder of pictures; see :func:`portproof.metrics.truth.pixel_files.read_pictures`."""
    return read_pictures(path)


def contribution(prediction: Picture, truth: Pixels) -> Contribution:
    """PSNR and SSIM of all channels, and of the luma (BT.601) of a coloured picture."""
    said, border = prediction.pixels, prediction.border
    if said.shape != truth.shape:
        raise InputError(
            f"the prediction has {_form(said)} and the truth {_form(truth)}; they have to be of one"
            " size: is the factor of the enlargement right?"
        )
    if min(truth.shape[:2]) - 2 * border < _WINDOW:
        raise InputError(
            f"{_form(truth)} without a border of {border} are too few: at least {_WINDOW} x"
            f" {_WINDOW} pixels were expected"
        )
    inner = slice(border, -border if border else None)
    one, other = said[inner, inner], truth[inner, inner]
    luma = (_luma(one), _luma(other))
    return {
        "psnr": np.float64(psnr(one, other)),
        "ssim": np.float64(ssim(one, other)),
        "psnr_luma": np.float64(psnr(*luma)),
        "ssim_luma": np.float64(ssim(*luma)),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """Means over the pictures, as papers print them (not of all pixels together)."""
    weights = np.asarray(counts, np.float64)
    total = weights.sum()
    return {
        name: float(weights @ contributions.table(column) / total) if total else None
        for name, column in _COLUMNS.items()
    }


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """What a picture has to lose: its dB over those of noise; of SSIM all it has."""
    own = contributions.table(_COLUMNS[name]).astype(np.float64)
    rest = np.maximum(own - (_NOTHING_DB if name.startswith("PSNR") else 0.0), 0.0)
    return rest / max(len(contributions), 1)


def psnr(one: Pixels, other: Pixels) -> float:
    """20 log10 (255 / root of the mean squared difference), in dB, :data:`MOST_DB` at most."""
    error = float(np.mean((one - other) ** 2))
    return min(10 * math.log10(255.0**2 / error), MOST_DB) if error else MOST_DB


def ssim(one: Pixels, other: Pixels) -> float:
    """The mean over channels and places of Wang et al. 2004: Gaussian windows of 11 x 11 pixels
    with a deviation of 1.5, inside the picture only; K1 = 0.01, K2 = 0.03.
    """
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_one, mean_other = _smooth(one), _smooth(other)
    cross = mean_one * mean_other
    variance_one = np.maximum(_smooth(one * one) - mean_one**2, 0.0)
    variance_other = np.maximum(_smooth(other * other) - mean_other**2, 0.0)
    covariance = _smooth(one * other) - cross
    upper = (2 * cross + c1) * (2 * covariance + c2)
    lower = (mean_one**2 + mean_other**2 + c1) * (variance_one + variance_other + c2)
    return float(np.mean(upper / lower))


def _smooth(levels: Pixels) -> Pixels:
    from scipy.ndimage import correlate1d

    half = _WINDOW // 2
    at = np.arange(-half, half + 1)
    window = np.exp(-(at**2) / (2 * _SIGMA**2))
    window /= window.sum()
    across = correlate1d(correlate1d(levels, window, axis=0), window, axis=1)
    inside: Pixels = across[half:-half, half:-half]
    return inside


def _luma(levels: Pixels) -> Pixels:
    """BT.601's Y, 16 to 235, as MATLAB's ``rgb2ycbcr`` has it; a grey picture is its own."""
    if levels.shape[2] == 1:
        return levels
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return (16 + levels @ weights)[:, :, None]


def _form(levels: Pixels) -> str:
    height, width, channels = levels.shape
    return f"{width} x {height} pixels of {channels} channel{'s' if channels > 1 else ''}"
