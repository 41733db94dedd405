"""Reading experiment files: all mistakes at once, with their lines."""

from pathlib import Path

import pytest

from autoadapt.config.load import (
    expand,
    from_plain,
    load,
    locate,
    make,
    score_names,
    to_plain,
)
from autoadapt.config.settings import PluginSettings
from autoadapt.errors import ConfigError
from autoadapt.files import shipped

GOOD = """\
name: small
data:
  source: {kind: procedural, style: game}
  target: {kind: procedural, style: camera}
search:
  space: deeplab_tiny
  trials: 4
  training: {steps: 2}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return path


def messages(folder: Path, text: str, *changes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), changes)
    return str(caught.value).splitlines()


def test_defaults_fill_what_a_file_leaves_out(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD))
    assert settings.search.strategy.name == "evolution"
    assert settings.search.training.head_multiplier == 10
    assert [term.score for term in settings.objective.terms] == ["mmd", "reent", "macs"]
    assert settings.calibration_trials == 2  # half of four trials


@pytest.mark.parametrize("name", sorted(p.stem for p in shipped("configs").glob("*.yaml")))
def test_shipped_configs_are_sound_and_survive_a_round_trip(name: str) -> None:
    settings = load(name)
    assert settings.name == name
    assert from_plain(to_plain(settings)) == settings


def test_all_mistakes_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    text = GOOD.replace("trials: 4", "trials: 0").replace("steps: 2", "stepps: 2")
    text = text.replace("style: camera", "style: photo")
    found = messages(tmp_path, text)
    path = tmp_path / "experiment.yaml"
    assert any(line.startswith(f"{path}:7: search.trials:") and "0" in line for line in found)
    assert any(line.startswith(f"{path}:4: data.target.style:") for line in found)
    assert any("search.training.stepps: unknown key; did you mean 'steps'?" in x for x in found)
    assert any("search.training.steps: this key is needed" in line for line in found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("search.method=advant", "did you mean 'advent'"),
        ("search.method.main_wait=1", "did you mean 'main_weight'"),
        ("search.method.main_weight=-1", "greater than or equal to 0"),
        ("search.strategy=annealing", "available: evolution, planned, random"),
        ("data.crop=[999, 999]", "is larger than the source images"),
        ("data.target.part=[0.5, 0.5]", "is empty"),
        ("search.limits={macs: [2, 1]}", "2.0 is above 1.0"),
        ("objective.calibration=5", "search.trials is 4"),
        (
            "objective=mmd_rent",
            "objective: no objective named 'mmd_rent', did you mean 'mmd_reent'",
        ),
        ("objective={name: mmd_ent, clp: 3}", "objective.clp: unknown key; did you mean 'clip'"),
        ("scoring.scores=[entropie]", "did you mean 'entropy'"),
        ("scoring.options={entropy: {}}", "neither listed nor a term"),
        ("scoring.options={reent: {variant: bogus}}", "scoring.options.reent"),
        (
            "scoring={scores: [flat], options: {flat: {score: reetn}}}",
            "scoring.options.flat.score: no scores named 'reetn', did you mean 'reent'",
        ),
        (
            "scoring={scores: [flat], options: {flat: {score: reent, varient: loc}}}",
            "scoring.options.flat.varient: unknown key; did you mean 'variant'?",
        ),
        (
            "scoring={scores: [flat], options: {flat: {scor: reent}}}",
            "a name of your own says with the key 'score' which one it means",
        ),
        (
            "scoring={scores: [falt], options: {flat: {score: reent}}}",
            "scoring.scores.0: no scores named 'falt', did you mean 'flat'?",
        ),
        (
            "scoring={scores: [entropy], options: {entropy: {score: reent}}}",
            "scoring.options.entropy: 'entropy' is a score already; give this reading of 'reent'",
        ),
        (
            "scoring={scores: [activations], options: {activations: {score: reent}}}",
            "scoring.options.activations: 'activations' is a cost already",
        ),
        (
            "scoring={scores: [Re-Ent], options: {Re-Ent: {score: reent}}}",
            "expected a name of small letters, digits and _, found 'Re-Ent'",
        ),
        (
            "scoring={scores: [flat], options: {flat: {score: [reent]}}}",
            "scoring.options.flat.score: expected the name of a score, found ['reent']",
        ),
        ("search", "expected key=value"),
        ("search.trials.deep=1", "it has no key 'deep'"),
        ("search.trials=[", "not valid YAML"),
        ("data.source.kind=folder", "data.source.root: this key is needed"),
        (
            "data.source.kind=gta4",
            "data.source.kind: no data set format named 'gta4', did you mean",
        ),
        (
            "data.source={kind: gta5, root: x, split: trian}",
            "data.source.split: input should be 'a",
        ),
        (
            "data.source={kind: foggy_cityscapes, root: x, beta: 0.1}",
            "one of the published densities",
        ),
        ("data.source={kind: synthia, root: x, labels: raw}", "data.source.labels: input should"),
        ("data.source={kind: cityscapes, root: ''}", "data.source.root: string should have at l"),
        ("data.source.style=photo", "data.source.style: input should be 'game' or 'camera'"),
        ("data.target.stile=game", "data.target.stile: unknown key; did you mean 'style'"),
        ("data.target.ordre=name", "data.target.ordre: unknown key; did you mean 'order'"),
        ("data.target.order=time", "data.target.order: input should be 'listed' or 'name'"),
        ("data.target.side=validation", "validation needs data.target.hold_out"),
        ("data.target.hold_out=-1", "greater than or equal to 0"),
        ("data.protocol=cityscape19", "data.protocol: input should be 'cityscapes19'"),
        ("executor.gpus=-1", "executor.gpus"),
        ("device=gpu", "device: string should match pattern"),
        ("name=no", "name: input should be a valid string"),
    ],
)
def test_each_mistake_has_one_clear_line(tmp_path: Path, change: str, words: str) -> None:
    assert any(words in line for line in messages(tmp_path, GOOD, change))


def test_a_protocol_and_classes_contradict_each_other(tmp_path: Path) -> None:
    found = messages(tmp_path, GOOD, "data.protocol=synthia16", "data.classes=[road]")
    assert any("data.protocol synthia16 names the classes; remove one" in x for x in found)


def test_options_of_a_format_are_written_out(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD))
    assert settings.data.target.options == {"style": "camera", "count": 100, "seed": 0}
    plain = to_plain(settings)["data"]["target"]
    assert plain["style"] == "camera"
    assert plain["part"] == [0.0, 1.0]
    spelt_out = GOOD.replace("style: camera", "style: camera, count: 100")
    assert load(write(tmp_path, spelt_out)) == settings


def test_configs_that_name_every_key_of_every_format_still_work(tmp_path: Path) -> None:
    """Earlier versions wrote such files into run folders."""
    every = "root: '', split: train, order: listed, part: [0, 1], style: game, count: 100, seed: 0"
    text = GOOD.replace("style: game", every)
    assert load(write(tmp_path, text)) == load(write(tmp_path, GOOD))
    wrong = messages(tmp_path, text.replace("split: train", "split: val"))
    assert any("data.source.split: unknown key" in line for line in wrong)


READINGS = """\
scoring:
  scores: [reent, reent_loc, entropy]
  options:
    reent: {smallest: 32}
    reent_loc: {score: reent, variant: loc}
    reent_mass:
      score: reent
      variant: mass
objective:
  terms: [{score: reent_mass}, {score: macs, form: hinge}]
"""


def test_one_score_under_several_names(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD + READINGS))
    assert score_names(settings) == ("reent_mass", "reent", "reent_loc", "entropy")
    assert {name: settings.scoring.plugin(name) for name in score_names(settings)} == {
        "reent": PluginSettings(name="reent", options={"smallest": 32}),
        "reent_loc": PluginSettings(name="reent", options={"variant": "loc"}),
        "reent_mass": PluginSettings(name="reent", options={"variant": "mass"}),
        "entropy": PluginSettings(name="entropy"),
    }
    assert from_plain(to_plain(settings)) == settings


def test_mistakes_in_names_of_scores_have_their_lines(tmp_path: Path) -> None:
    text = GOOD + READINGS.replace("score: reent\n", "score: reant\n")
    (line,) = messages(tmp_path, text.replace("variant: loc", "variant: log"))[:1]
    assert line.startswith(f"{tmp_path / 'experiment.yaml'}:15: scoring.options.reent_mass.score:")
    (line,) = messages(tmp_path, GOOD + READINGS.replace("variant: loc", "variant: log"))
    assert line.startswith(f"{tmp_path / 'experiment.yaml'}:13: scoring.options.reent_loc.variant:")


def test_a_bank_needs_no_number_of_trials(tmp_path: Path) -> None:
    text = GOOD.replace("  trials: 4\n", "")
    (line,) = messages(tmp_path, text)
    assert "search.trials: this key is needed" in line
    assert load(write(tmp_path, text + "bank: {}\n")).search.trials == 100
    few = load(write(tmp_path, text + "bank: {architectures: 30}\n"))
    assert few.search.trials == 30
    assert from_plain(to_plain(few)) == few
    (line,) = messages(tmp_path, text + "bank: {architectures: many}\n")
    assert "bank.architectures" in line
    assert load(write(tmp_path, GOOD + "bank: {}\n")).search.trials == 4


def test_an_override_is_blamed_by_its_own_text(tmp_path: Path) -> None:
    (line,) = messages(tmp_path, GOOD, "search.trials=-7")
    assert line.startswith("--set search.trials=-7: search.trials:")


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 reads 6e-5, without a dot, as text."""
    settings = load(write(tmp_path, GOOD), ["search.training.learning_rate=6e-5"])
    assert settings.search.training.learning_rate == 6e-5


def test_a_repeated_key_is_an_error(tmp_path: Path) -> None:
    (line,) = messages(tmp_path, GOOD + "name: again\n")
    assert line.endswith(":9: name: this key stands here a second time")


@pytest.mark.parametrize(
    ("text", "words"),
    [("- a\n", "expected 'key: value' lines"), ("a: [\n", "not valid YAML"), ("", "expected")],
)
def test_files_that_are_no_experiment(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in line for line in messages(tmp_path, text))


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    text = GOOD.replace("small", "!!python/object/apply:os.system ['true']")
    assert any("could not determine a constructor" in x for x in messages(tmp_path, text))


def test_a_binary_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.yaml"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ConfigError, match="not a text file"):
        load(path)


def test_names_of_shipped_configs_work_without_a_path() -> None:
    assert locate("quickstart").name == "quickstart.yaml"
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        locate("quikstart")


def test_a_plugin_in_short_form_takes_options_by_override(tmp_path: Path) -> None:
    text = GOOD + "  method: advent\n"
    settings = load(write(tmp_path, text), ["search.method.main_weight=0.5"])
    assert settings.search.method == PluginSettings(name="advent", options={"main_weight": 0.5})
    assert make("uda", settings.search.method).main_weight == 0.5


def test_environment_variables_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_DATA", "/somewhere")
    assert expand("${SOME_DATA}/camvid", "data.source.root") == "/somewhere/camvid"
    monkeypatch.delenv("SOME_DATA")
    with pytest.raises(ConfigError, match="environment variable SOME_DATA, which is not set"):
        expand("${SOME_DATA}/camvid", "data.source.root")
