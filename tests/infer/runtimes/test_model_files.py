"""What decides a result beside the command line, found without importing a model zoo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.infer.runtimes.model_files import builder_packages, card_files


def test_a_zoo_s_card_has_no_files_and_names_its_package(root: Path) -> None:
    probe = (
        "import sys; from portproof.infer.runtimes.model_files import builder_packages,"
        " card_files\nassert card_files('timm:resnet18') == {} and"
        " card_files('torchvision:resnet18') == {}\nassert 'timm' in"
        " builder_packages('timm:resnet18') and 'torchvision' in"
        " builder_packages('torchvision:resnet18')\nassert not {'timm', 'torch', 'torchvision'} &"
        " set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_python_file_s_card_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(): ...\n")
    assert card_files(f"{tmp_path}/net.py:build") == {"builder": [tmp_path / "net.py"]}
    assert builder_packages(f"{tmp_path}/net.py:build") == ()


def test_a_card_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no model card"):
        card_files("resnet_of_nowhere")
