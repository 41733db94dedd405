"""What docs/correlation.md says is what the committed banks give."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.endpoints import Endpoint, Findings, findings
from autoadapt.analysis.seed_means import seed_means
from autoadapt.config.correlation_protocol import load_protocol
from autoadapt.experiment.bank_file import Bank, read_bank
from autoadapt.experiment.commands import with_fit
from autoadapt.experiment.reporting import Request, bank_report

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "runs/reference"
PAGE = ROOT / "docs/correlation.md"
PAIRS = ("day_to_dusk", "carla_to_camvid")
SCORES = ("spectral_agreement", "nearest_source", "scale_agreement", "source_accuracy")
WORDS = {"day to dusk": PAIRS[0], "CARLA to CamVid": PAIRS[1]}
READINGS = {
    "`printed`": "ReEnt printed",
    "`flip`": "ReEnt flip",
    "`loc`": "ReEnt loc",
    "`mass`": "ReEnt mass",
}


@pytest.fixture(scope="module")
def banks() -> dict[str, Bank]:
    """The two banks by pair."""
    return {pair: read_bank(REFERENCE / f"bank_{pair}") for pair in PAIRS}


@pytest.fixture(scope="module")
def reports(banks: dict[str, Bank]) -> dict[str, CorrelationReport]:
    """The report of each bank, with the few scores that the page gives numbers of."""
    request = Request(protocol=load_protocol(REFERENCE / "protocol.yaml"))
    answers = {}
    for pair, bank in banks.items():
        whole = bank_report([bank], with_fit(request, bank, list(banks.values())))
        few = {name: whole.scores[name] for name in SCORES}
        answers[pair] = replace(whole, scores=few, panels=())
    return answers


@pytest.fixture(scope="module")
def found(reports: dict[str, CorrelationReport]) -> dict[str, Findings]:
    """What the protocol asks, answered by each bank."""
    answers = {pair: findings(report) for pair, report in reports.items()}
    return {pair: one for pair, one in answers.items() if one is not None}


def rows(heading: str, table: int = 0) -> list[list[str]]:
    """Return the cells of a table below a heading, by its place, without its two first lines."""
    text = PAGE.read_text().partition(f"\n{heading}\n")[2]
    part = re.split(r"^#+ ", text, flags=re.MULTILINE)[0]
    lines = re.findall(r"(?:^ *\|.*\|\n)+", part, re.MULTILINE)[table].splitlines()
    return [[cell.strip() for cell in line.strip(" |").split("|")] for line in lines[2:]]


def number(text: str) -> float:
    """Return the first number of a cell."""
    match = re.search(r"[−-]?\d+\.\d+", text)
    assert match is not None, text
    return float(match.group().replace("−", "-"))


def interval(text: str) -> list[float]:
    """Return the interval of a cell, nothing where there is none."""
    match = re.search(r"\[(.*?), (.*?)\]", text)
    return [float(end.replace("−", "-")) for end in match.groups()] if match else []


def ends(pair: tuple[float, float]) -> list[float]:
    """Return an interval rounded as on the page."""
    return [rounded(end) for end in pair]


def rounded(value: float) -> float:
    """Return a value rounded as on the page."""
    return round(value, 2) + 0.0


def endpoints(found: Findings) -> Mapping[str, Endpoint]:
    """Return all endpoints by name."""
    return {one.name: one for one in found.rows}


@pytest.mark.slow
def test_named_beforehand(found: dict[str, Findings]) -> None:
    """Correlation, interval, better half and regrets of every line."""
    table = rows("## Named beforehand")
    assert len(table) == 12
    for first, second, *cells in table:
        name = first.partition(",")[0]
        name = second.strip("`") if name == "control" else name
        for place, pair in enumerate(PAIRS):
            one = endpoints(found[pair])[name]
            said = f"{name}, {pair}"
            assert number(cells[place]) == rounded(one.strength), said
            assert interval(cells[place]) == ends(one.interval), said
            assert number(cells[2 + place]) == rounded(one.top_half), said
            if shown := interval(cells[2 + place]):
                assert shown == ends(one.top_interval), said
            regrets = [round(100 * value, 1) for value in one.agreement.regrets[:2]]
            assert [float(text) for text in cells[4 + place].split(",")] == regrets, said


@pytest.mark.slow
def test_readings_of_reent(found: dict[str, Findings]) -> None:
    table = rows("### Which reading of ReEnt works")
    shown = {cells[0].partition(",")[0]: cells[1:] for cells in table}
    for word, name in READINGS.items():
        for place, pair in enumerate(PAIRS):
            one = endpoints(found[pair])[name]
            assert number(shown[word][place]) == rounded(one.strength), name
            assert interval(shown[word][place]) == ends(one.interval), name


@pytest.mark.slow
def test_primary_comparison_and_ceilings(found: dict[str, Findings]) -> None:
    text = PAGE.read_text()
    for pair in PAIRS:
        primary = found[pair].primary
        low, high = ends(primary.interval)
        assert f"{rounded(primary.value)} [{low}, {high}]" in text.replace("\n  ", " "), pair
    ceilings = [rounded(found[pair].ceiling) for pair in PAIRS]
    line = next(line for line in text.splitlines() if "(noise ceiling)" in line)
    assert [float(cell) for cell in line.strip("|").split("|")[1:]] == ceilings


@pytest.mark.slow
def test_number_of_images(reports: dict[str, CorrelationReport]) -> None:
    """Medians over subsets, and the deviation over resamples."""
    table = rows("## How much hangs on the images")
    assert len(table) == 6
    for first, *cells in table:
        name, _, pair = first.partition(", ")
        one = reports[WORDS[pair]].by_images[name]
        medians = [rounded(-middle) for middle in one.quantiles[:, 1]]
        assert list(map(number, cells)) == [*medians, rounded(one.deviation)], first


@pytest.mark.slow
def test_scored_and_held_out_images(reports: dict[str, CorrelationReport]) -> None:
    table = rows("## How much hangs on the images", 1)
    assert len(table) == 8
    for first, *cells in table:
        name = first.partition(" (")[0].strip("`")
        expected = []
        for pair in PAIRS:
            report = reports[pair]
            held_out = next(one.rho for one in report.agreements if one.name == name)
            expected += [rounded(-report.rhos_on_scored[name]), rounded(-held_out)]
        assert list(map(number, cells)) == expected, name
    text = PAGE.read_text().replace("\n", " ")
    for pair in PAIRS:
        both = reports[pair].on_both
        assert both is not None
        primary = both[0].difference("D3", "J1")
        low, high = ends(primary.interval)
        assert f"{rounded(primary.value)} [{low:.2f}, {high:.2f}]" in text
        assert f"{100 * both[0].true.mean():.1f}" in text


@pytest.mark.slow
def test_averaged_over_seeds(reports: dict[str, CorrelationReport]) -> None:
    table = rows("## What limits it")
    assert len(table) == 7
    for first, *cells in table:
        for place, pair in enumerate(PAIRS):
            means = seed_means(reports[pair])
            assert means is not None
            one = next(row for row in means.rows if row.name == first.strip("`"))
            assert number(cells[2 * place]) == rounded(-one.single), first
            assert number(cells[2 * place + 1]) == rounded(-one.rho), first
            assert interval(cells[2 * place + 1]) == ends((-one.interval[1], -one.interval[0]))


def test_size_of_the_banks(banks: dict[str, Bank]) -> None:
    """Models, architectures, those with three seeds, and the true metrics."""
    table = {cells[0]: cells[1:] for cells in rows("## The banks")}
    for place, pair in enumerate(PAIRS):
        models = banks[pair].models
        by_architecture: dict[str, int] = {}
        for model in models:
            key = model.record.architecture.id
            by_architecture[key] = by_architecture.get(key, 0) + 1
        repeated = sum(count == 3 for count in by_architecture.values())
        sizes = f"{len(models)} ({len(by_architecture)}; {repeated})"
        assert table["models (architectures; of them with three seeds)"][place] == sizes
        mious = [100 * (model.miou or 0.0) for model in models]
        shown = table["mIoU in %, mean ± sd (smallest to largest)"][place]
        assert number(shown) == round(sum(mious) / len(mious), 1)
        assert f"({min(mious):.1f} to {max(mious):.1f})" in shown
