"""The challenge: forgeries that are consistent in themselves are found by running again."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom

from portproof.core.errors import InputError
from portproof.metrics.accuracy.topn import topn
from portproof.metrics.paired.compare import compare
from portproof.proof.lineage import read_stages
from portproof.proof.sidecar import sidecar_of
from portproof.reports.evidence.challenge import Asked, Course
from portproof.reports.evidence.draw import draw, escapes, seed_of
from portproof.reports.evidence.findings import Finding
from portproof.reports.evidence.rechecks import compare as again_compare
from portproof.reports.evidence.rechecks import topn as again_topn
from portproof.rundir.settings import read_settings


@pytest.fixture
def forged(ported: Path, tmp_path: Path) -> Path:
    """A copy to forge in; what the port read beside it is copied too."""
    shutil.copytree(ported.parent, tmp_path / "port")
    return tmp_path / "port" / ported.name


def challenged(run_dir: Path, count: int | None = 999, **asked: Any) -> list[Finding]:
    """All samples run again: what it finds of itself, whatever the hashes say. ``count`` None: the
    export too.
    """
    course = Course(
        run_dir,
        read_stages(run_dir),
        read_settings(run_dir),
        Asked(count, **{"runs_code": True, "times": False} | asked),
    )
    course.run()
    return [f for f in course.findings if f.kind != "not derived"]


def results(run_dir: Path, side: str) -> list[Path]:
    return sorted(run_dir.glob(f"{side}/bs*/result/*.bin"))


def test_an_honest_port_comes_out_again(ported: Path) -> None:
    assert challenged(ported, count=None) == []


@pytest.mark.parametrize("side", ["eager", "ort"])
def test_a_nudged_output_is_found_on_either_side(forged: Path, side: str) -> None:
    path = results(forged, side)[3]
    values = np.fromfile(path, np.float32)
    values[0] += 1e-3 * np.sqrt(np.mean(values**2))
    values.tofile(path)
    (finding,) = challenged(forged)
    assert (finding.kind, finding.file) == (
        "changed",
        path.relative_to(forged).as_posix().removesuffix(".bin"),
    )


@pytest.fixture
def in_packs(forged: Path, packed: Callable[..., Path]) -> Path:
    """The same port with packed results."""
    for folder in sorted(forged.glob("*/bs*/result")):
        pack = packed(folder)
        shutil.rmtree(folder)
        pack.rename(folder)
        said = sidecar_of(pack).read_text().replace("result-packed/", "result/")
        sidecar_of(folder).write_text(said)
        sidecar_of(pack).unlink()
    return forged


def test_packed_results_are_run_again(in_packs: Path) -> None:
    assert challenged(in_packs) == []
    folder = next(in_packs.glob("ort/bs*/result"))
    rows = np.load(folder / "output1.npy")
    rows[3, 0] += 1e-2 * np.sqrt(np.mean(rows[3] ** 2))
    np.save(folder / "output1.npy", rows)
    sample = (folder / "ids.txt").read_text().split()[3]
    (finding,) = challenged(in_packs)
    assert finding.file == f"{folder.relative_to(in_packs).as_posix()}/{sample}_1"
    shutil.copy(next(in_packs.glob("eager/bs*/result/output1.npy")), folder)
    assert any("bit for bit" in f.what for f in challenged(in_packs))


def test_packed_results_are_scored_again(in_packs: Path) -> None:
    folder = next(in_packs.glob("ort/bs*/result"))
    labels = in_packs / read_settings(in_packs).labels
    topn(folder, labels, out=in_packs / "by-hand.json", outcomes=in_packs / "by-hand.csv")
    compare(folder, folder, labels, out=in_packs / "itself.json")
    stages = [s for s in read_stages(in_packs) if s.artefact in ("by-hand.json", "itself.json")]
    assert len(stages) == 2
    rechecks = {"topn": again_topn.recheck, "compare": again_compare.recheck}
    for stage in stages:
        assert list(rechecks[stage.proof.stage](stage, in_packs)) == []
    rows = np.load(folder / "output1.npy")
    np.save(folder / "output1.npy", rows[::-1])
    for stage in stages:
        assert list(rechecks[stage.proof.stage](stage, in_packs))


def test_results_of_other_samples_are_found(forged: Path) -> None:
    one, other = results(forged, "ort")[:2]
    shutil.copy(one, other)
    assert [f.file for f in challenged(forged)] == [
        other.relative_to(forged).as_posix().removesuffix(".bin")
    ]


def test_results_copied_from_the_reference_are_found(forged: Path) -> None:
    """They are within rounding of what the port answers: only their bits give them away."""
    for one, other in zip(results(forged, "eager"), results(forged, "ort"), strict=True):
        shutil.copy(one, other)
    found = challenged(forged)
    assert [f.what for f in found] == [
        f"its results are those of '{results(forged, 'eager')[0].parent.relative_to(forged)}', bit"
        " for bit; run again, they differ"
    ]


def test_a_replaced_sample_is_found_and_so_are_the_answers_to_it(forged: Path) -> None:
    sample = sorted((forged / "prep").glob("*.bin"))[0]
    np.zeros_like(np.fromfile(sample, np.float32)).tofile(sample)
    (finding,) = challenged(forged)
    assert finding.file == f"prep/{sample.name}"
    assert "not what the recipe makes" in finding.what


def test_a_replaced_model_is_found(forged: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(forged / "model.onnx")
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(1.01 * numpy_helper.to_array(weight), weight.name))
    onnx.save(model, forged / "model.onnx")
    found = {f.file.split("/")[0] for f in challenged(forged, count=None)}
    assert found == {"ort", "model.onnx"}


def test_own_copies_find_replaced_labels_images_and_weights(forged: Path, tmp_path: Path) -> None:
    settings = read_settings(forged)
    labels = tmp_path / "labels.txt"
    lines = Path(forged, settings.labels).read_text().splitlines()
    name, label = lines[0].split()
    lines[0] = f"{name} {1 - min(1, int(label))}"
    labels.write_text("\n".join(lines) + "\n")
    assert [f.file for f in challenged(forged, labels=labels)] == [settings.labels]
    images = tmp_path / "images"
    shutil.copytree(Path(forged, settings.images), images)
    one, other = sorted(images.iterdir())[:2]
    shutil.copy(one, other)
    found = challenged(forged, images=images)
    assert {f.what.split(" ")[0] for f in found} >= {"it", "the"}
    assert any("of --images" in f.what for f in found)
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"others")
    assert any("of --weights" in f.what for f in challenged(forged, weights=weights))


def test_code_of_the_directory_runs_only_when_allowed(ported: Path) -> None:
    course = Course(ported, read_stages(ported), read_settings(ported), Asked(2, times=False))
    done = course.run()
    assert not [one for one in done.again if one.file.startswith("eager")]
    assert any("--run-code" in f.what for f in course.findings)


def test_the_draw_is_the_reports_and_the_reviewers(ported: Path, tmp_path: Path) -> None:
    ids = [f"s{i}" for i in range(40)]
    seed = seed_of(ported, "")
    assert draw(ids, seed, 10) == draw(ids[::-1], seed, 10)
    assert set(draw(ids, seed, 10)) != set(draw(ids, seed_of(ported, "mine"), 10))
    drawn = Counter(i for n in range(400) for i in draw(ids, str(n), 10))
    assert min(drawn.values()) > 60, "every sample is drawn in about 100 of 400 draws"
    with pytest.raises(InputError, match="draws its samples by the hash"):
        seed_of(tmp_path, "")


def test_the_probability_to_escape_is_the_hypergeometric() -> None:
    for n, k in itertools.product((20, 697), (1, 19)):
        for one in escapes(n, k, 0.01):
            expected = hypergeom.pmf(0, n, one.forged, k)
            assert one.probability == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert {e.probability for e in escapes(20, 20, 0.01)} == {0.0}


def test_the_command_says_what_was_run_again(ported: Path, stage: Callable[..., Any]) -> None:
    done = stage("reports/verify.py", ported, "--challenge", 3, "--run-code", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    challenge = json.loads(done.stdout)["challenge"]
    assert len(challenge["drawn"]) == 3
    assert {one["stage"] for one in challenge["again"]} >= {"preprocess", "infer", "bench"}
    refused = stage("reports/verify.py", ported, "--run-code")
    assert refused.returncode == 2
    assert "--challenge" in refused.stderr
