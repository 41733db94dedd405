"""A protocol file: what it says, and what it must not say."""

from pathlib import Path

import pytest

from autoadapt.config.correlation_protocol import Goal, LeaveOut, load_protocol
from autoadapt.config.settings import TermSettings
from autoadapt.errors import ConfigError
from autoadapt.objective import words

ROOT = Path(__file__).parent.parent.parent
SMALL = """\
combinations:
  J1: mmd_reent
  D3: [softmax_corr, source_miou]
  heavy: {terms: [{score: mmd, weight: 2}, {score: rsi, weight: -0.5}], clip: 3}
baseline: J1
primary: {first: D3, second: J1}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "protocol.yaml"
    path.write_text(text)
    return path


def test_a_combination_is_a_name_a_list_or_an_objective(tmp_path: Path) -> None:
    found = load_protocol(written(tmp_path, SMALL))

    assert [words(one) for one in found.combinations.values()] == [
        "mmd + reent",
        "softmax_corr + source_miou",
        "2 mmd − 0.5 rsi",
    ]
    assert found.combinations["D3"].terms == (
        TermSettings(score="softmax_corr"),
        TermSettings(score="source_miou"),
    )
    assert found.combinations["heavy"].clip == 3
    assert (found.repetitions, found.leave_out, found.goal) == (2, None, None)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("baseline: J1", "baseline: J2", r"protocol.yaml:5: baseline: no combination 'J2'"),
        ("first: D3", "first: D4", r"protocol.yaml:6: primary.first: no combination 'D4'"),
        ("baseline", "basline", "basline: unknown key; did you mean 'baseline'"),
        ("J1: mmd_reent", "J1: mmd_rent", "did you mean 'mmd_reent'"),
        ("D3: [softmax_corr, source_miou]", "D3: [softmax_corr, 3]", "D3"),
        ("baseline: J1", "baseline: J1\nreadings: {J1: [mmd]}", "also the name of a combination"),
        (
            "baseline: J1",
            "baseline: J1\ngoal: {rho: 0.8, top_half: 0.5, above: [flops]}",
            "'flops' is not among the controls",
        ),
        ("baseline: J1", "baseline: J1\ngoal: {rho: 87, top_half: 0.5}", "goal.rho"),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        load_protocol(written(tmp_path, SMALL.replace(old, new)))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file; expected a protocol"):
        load_protocol(tmp_path / "absent.yaml")


def test_the_reference_protocol_says_what_its_page_says() -> None:
    """The table of the page, row by row, and the numbers of its rules."""
    found = load_protocol(ROOT / "runs/reference/protocol.yaml")
    page = (ROOT / "docs/correlation_protocol.md").read_text()

    rows = [line.split("|")[1:3] for line in page.splitlines() if line.endswith("| yes |")]
    table = {name.split(",")[0].strip(): terms for name, terms in rows}
    assert list(table) == list(found.combinations)
    for name, terms in table.items():
        named = [part.split("`")[1] for part in terms.split(" + ")]
        assert [term.score for term in found.combinations[name].terms] == named
        assert all(
            (term.weight, term.form) == (1, "standard") for term in found.combinations[name].terms
        )
    assert (found.primary.first, found.primary.second, found.baseline) == ("D3", "J1", "J1")
    assert found.controls == ("macs", "params", "source_miou")
    assert found.goal == Goal(rho=0.87, top_half=0.5, above=("macs", "source_miou"))
    assert found.leave_out == LeaveOut(score="source_miou", below=0.5)
    assert (found.repetitions, found.fitted) == (3, "ridge")
    assert [words(one) for one in found.readings.values()] == [
        "reent_printed",
        "reent",
        "reent_loc",
        "reent_mass",
    ]
