"""The table of named networks, and the page that shows it."""

import json
from pathlib import Path

import pytest

from autoadapt.cli import main
from autoadapt.errors import SpaceError
from autoadapt.experiment import networks
from autoadapt.experiment.networks import cost_of, network_costs, networks_markdown, networks_text
from autoadapt.space import named

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def test_the_row_of_the_seed_shows_both_rules_and_the_paper() -> None:
    row = cost_of(named.find("deeplabv2_resnet101"), 19, (512, 1024))

    assert row.cells() == ["44,601,560", "379.53", "380.50", "44.6 M", "380.5"]
    assert networks_markdown([row]).splitlines()[-1] == (
        "| `deeplabv2_resnet101` | 44,601,560 | 379.53 | 380.50 | 44.6 M | 380.5 |"
    )


def test_a_network_outside_the_table_of_the_paper_has_dashes_there() -> None:
    row = cost_of(named.find("deeplabv2_vgg16"), 19, (64, 96))

    assert row.cells()[-2:] == ["–", "–"]


def test_a_network_that_cannot_be_built_here_has_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> dict[str, float]:
        raise SpaceError("needs the optional package 'timm'")

    monkeypatch.setattr(networks, "count", refuse)
    row = cost_of(named.find("deeplabv2_vgg16"), 19, (64, 96))
    assert row.cells()[:3] == ["–", "–", "–"]
    assert networks_text([row]).endswith("deeplabv2_vgg16: needs the optional package 'timm'")
    assert row.to_json()["problem"] == "needs the optional package 'timm'"


def test_the_command_prints_all_networks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "names", lambda: ["deeplabv2_vgg16", "deeplabv2_resnet101_single"])
    asked = ["space", "networks", "--classes", "11", "--height", "64", "--width", "96"]
    with pytest.raises(SystemExit) as caught:
        main([*asked, "--json"])
    assert caught.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert [line["name"] for line in found] == ["deeplabv2_vgg16", "deeplabv2_resnet101_single"]
    assert found[0]["paper_macs"] == found[0]["macs"] > 0  # no batch normalisation
    assert found[1]["paper_macs"] > found[1]["macs"]

    with pytest.raises(SystemExit):
        main(asked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["network", "parameters"]
    assert lines[2].split()[0] == "deeplabv2_vgg16"


def test_what_the_command_prints_is_a_file_of_the_network(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["space", "network", "deeplabv2_vgg16_dast"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "# DeepLabV2 on VGG-16 as DAST splits it" in printed
    assert "without normalisation" in printed
    path = tmp_path / "mine.yaml"
    path.write_text(printed)
    assert named.named(path) == named.named("deeplabv2_vgg16_dast")


def test_an_unknown_network_is_a_mistake_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["space", "network", "deeplabv2_resnet50"])
    assert caught.value.code == 2
    assert "did you mean 'deeplabv2_resnet101'" in capsys.readouterr().err


def test_the_page_names_every_network() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [name for name in named.names() if f"`{name}`" not in text] == []


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- networks -->\n")
    shown, _, _ = rest.partition("<!-- /networks -->")

    assert shown.strip() == networks_markdown(network_costs(19, (512, 1024)))
