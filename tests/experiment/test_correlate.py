"""The command that compares scores with the truth, on banks that were never trained."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autoadapt.cli import main
from autoadapt.experiment.bank_file import Bank, write_bank
from tests.experiment.synthetic_banks import STRENGTHS, synthetic_bank

FEW = {name: STRENGTHS[name] for name in ("mmd", "softmax_corr", "source_miou", "useless")}
Run = Callable[..., tuple[int, str, str]]
PROTOCOL = """\
combinations: {J1: mmd, D3: [softmax_corr, source_miou], D1: [softmax_corr, absent]}
readings: {flip: [useless]}
baseline: J1
primary: {first: D3, second: J1}
leave_out: {score: source_miou, below: 0.5}
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command as a shell would; return exit code, output and errors."""

    def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        code = caught.value.code if isinstance(caught.value.code, int) else 0
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    path = tmp_path / "protocol.yaml"
    path.write_text(PROTOCOL)
    return path


@pytest.fixture
def bank() -> Bank:
    return synthetic_bank(architectures=16, repeated=4, strengths=FEW)


def written(bank: Bank, folder: Path) -> Path:
    write_bank(bank, folder / bank.name)
    return folder / bank.name


def test_what_was_named_beforehand_comes_first(
    run: Run, bank: Bank, protocol: Path, tmp_path: Path
) -> None:
    code, out, _ = run(
        "correlate", written(bank, tmp_path), "--protocol", protocol, "--out", tmp_path / "out"
    )
    assert code == 0
    assert "Named beforehand, D3 against J1" in out
    assert out.index("named beforehand:") < out.index("exploratory:")
    found = json.loads((tmp_path / "out/correlation.json").read_text())["named"]["all_models"]
    assert [one["name"] for one in found["combinations"]] == ["J1", "D3", "D1"]
    absent = found["combinations"][2]
    assert absent["strength"] is None
    assert "absent" in absent["reason"]
    assert [one["name"] for one in found["readings"]] == ["flip"]
    assert [one["name"] for one in found["controls"]] == ["macs", "params", "source_miou", "random"]


def test_objectives_are_columns(run: Run, bank: Bank, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("terms: [{score: softmax_corr}, {score: useless, weight: -0.5}]\n")
    code, out, _ = run(
        "correlate", written(bank, tmp_path), "--objective", mine, "--objective", "mmd"
    )
    assert code == 0
    assert "objective mine" in out
    values = json.loads((tmp_path / "made_up/correlation/correlation.json").read_text())
    assert len(values["columns"]["objective mine"]) == 24


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("terms: [{score: nothing}]\n", "none of the 24 finished trials has it"),
        ("terms: 3\n", "terms"),
    ],
)
def test_an_objective_that_cannot_be_had(
    text: str, words: str, run: Run, bank: Bank, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    code, _, error = run("correlate", written(bank, tmp_path), "--objective", mine)
    assert code == 2
    assert words in error


def test_a_combination_must_not_be_called_like_a_score(
    run: Run, bank: Bank, protocol: Path, tmp_path: Path
) -> None:
    protocol.write_text(PROTOCOL.replace("flip:", "mmd:"))
    code, _, error = run("correlate", written(bank, tmp_path), "--protocol", protocol)
    assert code == 2
    assert "the protocol names 'mmd', which is a score or a control too" in error


def test_side_by_side(run: Run, bank: Bank, protocol: Path, tmp_path: Path) -> None:
    other = synthetic_bank("other", architectures=14, repeated=3, seed=5, strengths=FEW)
    folders = [written(one, tmp_path) for one in (bank, other)]
    code, _, error = run("correlate", *folders)
    assert code == 2
    assert "compare them with --side-by-side" in error
    out = tmp_path / "both"
    asked = ("--side-by-side", "--protocol", protocol, "--out", out)
    code, text, _ = run("correlate", *folders, *asked)
    assert code == 0
    assert "2 banks beside each other, never pooled: made_up (24 models), other (20" in text
    assert (out / "made_up/index.html").is_file()
    assert (out / "other/correlation.csv").is_file()
    code, text, _ = run("correlate", *folders, *asked, "--json")
    assert json.loads(text)["banks"] == ["made_up", "other"]
    for wrong in ([folders[0]], [folders[0], folders[0]]):
        code, _, error = run("correlate", *wrong, "--side-by-side")
        assert code == 2
        assert "two or more banks of different names" in error


def test_bad_models_are_dropped_counted_and_shown(run: Run, bank: Bank, tmp_path: Path) -> None:
    """NaN, infinite, missing and constant scores, and a model without a truth."""
    models = list(bank.models)
    changes: list[dict[str, float]] = [{"mmd": math.inf}, {"mmd": math.nan}, {}]
    for place, change in enumerate(changes):
        record = models[place].record
        scores = {**record.scores, **change}
        if not change:
            del scores["mmd"]
        models[place] = replace(models[place], record=replace(record, scores=scores))
    models = [
        replace(one, record=replace(one.record, scores={**one.record.scores, "flat": 1.0}))
        for one in models
    ]
    models[5] = replace(models[5], evaluation=None)
    folder = tmp_path / "odd"
    lines = [json.dumps(one.to_json()) for one in models]
    write_bank(bank, folder)
    (folder / "models.jsonl").write_text("".join(f"{line}\n" for line in lines))
    code, out, _ = run("correlate", folder)
    assert code == 0
    assert "1 model has no true mIoU and could not be compared." in out
    assert "“mmd” 3" in out
    assert "“flat” could not be judged: all models have the same score." in out


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fewer_than_three_models(number: int, run: Run, bank: Bank, tmp_path: Path) -> None:
    folder = written(replace(bank, models=bank.models[:number]), tmp_path)
    code, out, _ = run("correlate", folder)
    assert code == 0
    assert "at least 3 are needed" in out or "no model with a true target mIoU" in out
