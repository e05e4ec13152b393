"""The door of result folders, whatever their form: a file a sample, or packed results.

Whoever reads results opens them here and does not know which form they have.
"""

from __future__ import annotations

import os

from portproof.core.files import existing_folder
from portproof.metrics.accuracy.one_output import Results, chosen_number
from portproof.metrics.accuracy.packed_output import PackedOutput
from portproof.metrics.accuracy.result_files import ResultFiles, groups_in
from portproof.packed.results import is_packed, open_results


def output_numbers(folder: str | os.PathLike[str]) -> list[int]:
    """The output numbers of which a result folder holds results."""
    path = existing_folder(folder, "result folder")
    if is_packed(path):
        return list(open_results(path)[1])
    return sorted({number for number, _ in groups_in(path)})


def list_results(folder: str | os.PathLike[str], output: int | None = None) -> Results:
    """The results of one output number, by default of the only one there is.

    :class:`InputError` when the folder holds anything else, several outputs and no choice, several
    formats, or two results for one sample.
    """
    path = existing_folder(folder, "result folder")
    if not is_packed(path):
        return ResultFiles.choose(path, output)
    ids, outputs = open_results(path)
    wanted = chosen_number(path, list(outputs), output)
    return PackedOutput(path, wanted, ids, outputs[wanted])
