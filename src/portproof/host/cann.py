"""Where CANN is installed, and which one, from the file that its installer leaves:
``version=6.3.RC1`` in ``<arch>-linux/ascend_toolkit_install.info``.

Source: Huawei's installation guide, "File Paths"; older releases are under
``ascend-toolkit/latest``, newer ones under ``cann``, nnae has no toolkit.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_VERSION = re.compile(r"^version\s*=\s*(\S+)", re.MULTILINE)
#: How PyTorch comes to an NPU.
HOW_TO_GET_TORCH_NPU = (
    "install the wheel that fits torch and CANN (https://gitcode.com/Ascend/pytorch), and run"
    " 'source /usr/local/Ascend/ascend-toolkit/set_env.sh' first"
)
_FILES = (f"{platform.machine()}-linux/ascend_toolkit_install.info", "ascend_nnae_install.info")


def roots() -> list[str]:
    """Where CANN may be: what ``set_env.sh`` says, else its usual places."""
    named = [os.environ.get(name) for name in ("ASCEND_TOOLKIT_HOME", "ASCEND_HOME_PATH")]
    usual = [
        f"{base}/{part}"
        for base in ("/usr/local/Ascend", os.path.expanduser("~/Ascend"))
        for part in ("ascend-toolkit/latest", "cann/latest", "cann", "nnae/latest")
    ]
    return [*filter(None, named), *usual]


def program_folders() -> list[str]:
    """Where its programs are when ``set_env.sh`` was not sourced."""
    return [
        f"{root}/{sub}"
        for root in roots()
        for sub in ("bin", "compiler/bin", "atc/bin", "tools/aoe/bin")
    ]


def version() -> str | None:
    """The version, such as ``6.3.RC1``; None where CANN is not, or does not say."""
    for path in (Path(root, name) for root in roots() for name in _FILES):
        try:
            match = _VERSION.search(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if match:
            return match[1]
    return None
