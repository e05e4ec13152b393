"""``trtexec`` (NVIDIA TensorRT): its console, and the times of its queries."""

from portproof.logs.families.trtexec.console import MARKS, Reader
from portproof.logs.families.trtexec.figures import FAMILY
from portproof.logs.families.trtexec.times import from_json

__all__ = ["FAMILY", "MARKS", "Reader", "from_json"]
