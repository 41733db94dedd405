"""``search --dry-run``: what would run, nothing done, and the mistakes of a real run."""

import json
from pathlib import Path
from typing import Any

import pytest

from autoadapt.cli import main
from autoadapt.cost import count
from autoadapt.space import load
from autoadapt.space.named import named

CONFIG = """\
name: planned
threads: 2
data:
  size: [32, 48]
  cache: {cache}
  source: {{kind: procedural, style: game, count: 7, size: [64, 48]}}
  further_sources: {{more: {{kind: procedural, style: game, count: 4, seed: 8}}}}
  target: {{kind: procedural, style: camera, count: 5, seed: 1}}
  evaluation: {{kind: procedural, style: camera, count: 3, seed: 2}}
search:
  space: deeplab_tiny
  trials: 3
  include: [deeplabv2_resnet101]
  limits: {{macs: [1.0e+8, 1.6e+8]}}
  method: {{name: advent, discriminator_width: 4}}
  training: {{steps: 10, batch_size: 2, accumulate: 3}}
scoring: {{images: 6}}
adapt: {{training: {{steps: 20, batch_size: 2}}, seeds: [0, 1], networks: [deeplabv2_seresnet101]}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "planned.yaml"
    path.write_text(CONFIG.format(cache=tmp_path / "cache"))
    return path


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["search", *map(str, arguments), "--dry-run"])
    said = capsys.readouterr()
    return int(caught.value.code or 0), said.out, said.err


def planned(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = dry_run(capsys, *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_plan_in_numbers(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planned(capsys, config, "--run", tmp_path / "run")
    assert plan["images"] == {
        "source": 7,
        "further_sources.more": 4,
        "target": 5,
        "evaluation": 3,
    }
    assert plan["sizes"]["further_sources.more"] == [64, 48]
    # (7 + 4) x 64 x 48 x 4 bytes, 5 x 32 x 48 x 3 bytes, 3 x 32 x 48 x 4 bytes
    assert plan["cache_bytes"] == 11 * 64 * 48 * 4 + 5 * 32 * 48 * 3 + 3 * 32 * 48 * 4
    assert (plan["trials"], plan["named"]) == (4, ["deeplabv2_resnet101"])
    assert plan["architectures"] == load("deeplab_tiny").count()
    assert plan["images_per_trial"] == 10 * 2 * 3 * 2  # steps, batch, accumulated, two domains
    assert plan["scored"] == 5
    assert plan["contenders"] == [
        "winner-advent",
        "reference-advent",
        "deeplabv2_seresnet101-advent",
        "winner-source_only",
        "reference-source_only",
        "deeplabv2_seresnet101-source_only",
    ]
    sampled = [one for one in plan["costs"] if "sampled" in one["what"]]
    assert all(1e8 <= one["macs"] <= 1.6e8 for one in sampled)
    size = load("deeplab_tiny").input_size
    seed = count(named("deeplabv2_resnet101"), 11, size)
    assert plan["costs"][-1]["macs"] == seed["macs"]


def test_times_follow_from_the_formula(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planned(capsys, config, "--run", tmp_path / "run")
    here, *others = plan["needs"]
    assert here["device"] == "this machine, 2 CPU cores"
    assert here["memory"] is None
    assert here["macs_per_second"] == pytest.approx(2 * 100e9 / 2 * 0.25)
    reference = load("deeplab_tiny").reference
    macs = {h: count(reference, 11, (h, 48))["macs"] for h in (64, 32)}
    # trained on 60 images of each domain, three passes; scored on 6 and 5 images, one pass
    work = 3 * 60 * (macs[64] + macs[32]) + 6 * macs[64] + 5 * macs[32]
    low, middle, high = here["trial_seconds"]
    assert middle == pytest.approx(work / here["macs_per_second"])
    assert here["search_seconds"] == pytest.approx(4 * middle)
    costs = {one["what"]: one["macs"] for one in plan["costs"]}
    assert high == pytest.approx(middle * costs["deeplabv2_resnet101"] / costs["reference"])
    assert low == pytest.approx(middle * min(costs.values()) / costs["reference"])
    # six contenders, three of them on source alone; two seeds of 40 images; 3 evaluation images
    trained = 3 * 2 * 40 * (6 * macs[64] + 3 * macs[32])
    adapted = trained + 6 * 2 * 3 * macs[32]
    assert here["adapt_seconds"] == pytest.approx(adapted / here["macs_per_second"])
    assert here["fits"] is None
    assert all(one["fits"] for one in others)
    assert [one["device"].split()[0] for one in others] == ["RTX", "V100", "A100", "H100", "H200"]


def test_nothing_is_decoded_or_written(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = dry_run(capsys, config, "--run", tmp_path / "run")
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["planned.yaml"]
    for words in (
        "planned: nothing is trained or decoded",
        "7 source at 48x64",
        "search: 4 trials (deeplabv2_resnet101 first), 1 at a time (local, cpu)",
        "10 steps of batch 6 in fp32, 120 images; scored on 5 images of each domain",
        "cheapest of",
        "H100 80 GB",
    ):
        assert words in out


def test_shares_of_a_cluster(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five cores hold two trials of two; four trials take two rounds."""
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    change = ("--set", "executor={kind: ray, cpus: 2}")
    plan = planned(capsys, config, "--run", tmp_path / "run", *change)
    assert (plan["executor"], plan["cpus"], plan["parallel"]) == ("ray", 2, 2)
    need = plan["needs"][0]
    assert need["search_seconds"] == pytest.approx(2 * need["trial_seconds"][1])
    _, out, _ = dry_run(capsys, config, "--run", tmp_path / "run", *change)
    assert "2 at a time (ray, 2 CPUs and 0 GPUs each)" in out


def test_measured_throughput_replaces_the_assumed_one(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autoadapt.experiment.dry_run.measured_throughput", lambda *_: 7e9)
    plan = planned(capsys, config, "--run", tmp_path / "run", "--measure")
    assert plan["needs"][0]["macs_per_second"] == 7e9
    assert any("timed training steps" in text for text in plan["assumptions"])


def test_a_method_for_several_sources(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = ("--set", "search.method=madan", "--set", "data.size=[64, 64]")
    sizes = ("--set", "data.source.size=[64, 64]")
    planned(capsys, config, "--run", tmp_path / "run", *method, *sizes)
    alone = ("--set", "data.further_sources={}")
    code, _, err = dry_run(capsys, config, "--run", tmp_path / "run", *method, *sizes, *alone)
    assert (code, "needs at least 2 labelled sources" in err) == (2, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("data.target={kind: folder, root: /no/such/folder}", "/no/such/folder"),
        ("data.classes=[sky, road]", "building"),
        ("data.evaluation.seed=1", "3 of 3 evaluation images are among the 5 target images"),
        ("data.evaluation={kind: procedural, count: 2}", "among the 7 source images"),
        ("search.limits={macs: [1.0e+12, 2.0e+12]}", "lies outside"),
        ("search.include=[deeplabv2_resnet11]", "did you mean 'deeplabv2_resnet"),
        ("search.training.stepps=3", "did you mean 'steps'"),
        ("search.method=dacs", "needs source and target images of one size"),
        ("data.further_sources.more.size=[32, 48]", "sources share one size"),
        ("device=cuda", "finds no CUDA device"),
        ("executor={kind: ray, cpus: 1000}", "executor.cpus=1000"),
    ],
    ids=lambda value: value.split("=")[0],
)
def test_mistakes_of_a_real_run(
    config: Path,
    tmp_path: Path,
    change: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, err = dry_run(capsys, config, "--run", tmp_path / "run", "--set", change)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_a_folder_of_another_config(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    code, _, err = dry_run(capsys, config, "--run", folder)
    assert (code, "neither empty nor a run folder" in err) == (2, True)


def test_options_of_a_dry_run_need_one(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["search", str(config), "--measure"])
    assert caught.value.code == 2
    assert "belong to --dry-run" in capsys.readouterr().err
