"""``ais_bench`` and ``ais_infer`` (Ascend): their console, and the summary that they write."""

from portproof.logs.families.ais_bench.console import MARKS, Reader
from portproof.logs.families.ais_bench.summary import FAMILY, from_json

__all__ = ["FAMILY", "MARKS", "Reader", "from_json"]
