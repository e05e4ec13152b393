"""``trtexec`` (NVIDIA TensorRT): its console, and the times of its queries."""

from portproof.logs.families.trtexec.console import MARKS, Reader
from portproof.logs.families.trtexec.export_times import from_json
from portproof.logs.families.trtexec.figures import FAMILY

__all__ = ["FAMILY", "MARKS", "Reader", "from_json"]
