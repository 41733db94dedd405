"""Evaluation conventions by name, in files, and in words."""

from dataclasses import asdict
from typing import Any

import pytest

from autoadapt.config.conventions import (
    CONVENTIONS,
    WORKING,
    Convention,
    convention_of,
    convention_words,
)
from autoadapt.config.load import from_plain, to_plain
from autoadapt.errors import ConfigError


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_name_stands_for_all_parts_and_survives_a_file(name: str) -> None:
    found = convention_of(name)
    assert found == CONVENTIONS[name]
    assert found.name == name
    assert convention_of(to_plain(found)) == found
    assert "(changed)" not in convention_words(found)


def test_what_the_papers_do() -> None:
    """Sections 1.9, 2.7, 2.16 and 2.17 of the method notes, and the released configs."""
    half = (512, 1024)
    family, crst, dacs = (CONVENTIONS[name] for name in ("adaptsegnet", "crst", "dacs"))
    assert (family.input, family.labels, family.corners, family.absent, family.digits) == (
        (half, "original", True, "nan", 2)
    )
    assert (crst.scales, crst.flip, crst.average, crst.absent) == (
        ((0.9, 1.0, 1.2), True, "logits", "zero")
    )
    assert crst.input == (1024, 2048)
    assert (dacs.input, dacs.labels) == (half, half)
    assert not CONVENTIONS["daformer"].corners
    assert CONVENTIONS["ccm"].absent == "plain"
    assert (CONVENTIONS["hrda"].window, CONVENTIONS["hrda"].stride) == ((1024, 1024), (512, 512))
    assert (CONVENTIONS["adabn"].measure, CONVENTIONS["adabn"].absent) == ("dice", "zero")
    assert (CONVENTIONS["advent_synthia"].subset, CONVENTIONS["advent_synthia"].outside) == (
        ("synthia16", "void")
    )


def test_parts_beside_a_name_go_first() -> None:
    found = convention_of({"name": "crst", "scales": [0.5], "subset": ["road", "car"]})
    assert asdict(found) == asdict(CONVENTIONS["crst"]) | {
        "scales": (0.5,),
        "subset": ("road", "car"),
    }
    assert "Convention crst (changed)" in convention_words(found)


def test_parts_without_a_name_change_the_default() -> None:
    assert convention_of({"flip": True}) == Convention(flip=True)
    assert Convention() == WORKING
    assert not WORKING.from_files
    assert CONVENTIONS["dacs"].from_files


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("crts", "did you mean 'crst'"),
        ({"name": "adaptsegnet", "scale": [1]}, "scale"),
        ({"scales": []}, "at least one scale"),
        ({"scales": [0]}, "greater than 0"),
        ({"scales": [40]}, "less than or equal to 4"),
        ({"stride": [16, 16]}, "windows must touch"),
        ({"window": [32, 32], "stride": [16, 48]}, "windows must touch"),
        ({"input": [8, 8]}, "greater than or equal to 16"),
        ({"subset": "synthia12"}, "synthia16"),
        ({"rare": 3}, "less than or equal to 1"),
    ],
)
def test_mistakes_are_named(raw: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        convention_of(raw)


def test_in_an_experiment_file() -> None:
    images = {"kind": "procedural", "count": 2}
    plain: dict[str, Any] = {
        "name": "x",
        "data": {"source": images, "target": images},
        "search": {"space": "deeplab_tiny", "trials": 1, "training": {"steps": 1}},
    }
    assert from_plain(plain).evaluation.convention == WORKING
    named = from_plain(plain | {"evaluation": {"convention": "daformer"}})
    assert named.evaluation.convention == CONVENTIONS["daformer"]
    changed = {"convention": {"name": "daformer", "corners": True}}
    found = from_plain(plain | {"evaluation": changed})
    assert found.evaluation.convention.corners
    assert from_plain(to_plain(found)) == found
    with pytest.raises(ConfigError, match=r"evaluation\.convention\.corner: .*'corners'"):
        from_plain(plain | {"evaluation": {"convention": {"corner": True}}})
    with pytest.raises(ConfigError, match=r"evaluation\.convention: no convention 'dafromer'"):
        from_plain(plain | {"evaluation": {"convention": "dafromer"}})


def test_in_words() -> None:
    assert convention_words(CONVENTIONS["crst"]) == (
        "Convention crst: network input at 2048 × 1024; labels at their own size; mean of logits "
        "over scales 0.9, 1, 1.2 and their mirror images; logits resized bilinearly, corners "
        "aligned; one confusion matrix, absent classes counted as 0."
    )
    parts = {"window": (32, 48), "resize": "classes", "corners": False, "background": False}
    words = convention_words(convention_of({**parts, "subset": ["road"], "outside": "void"}))
    assert words == (
        "Convention working (changed): network input at the working size; labels at the working "
        "size; in windows of 48 × 32; classes resized to the labels by nearest neighbour (logits: "
        "corners not aligned); one confusion matrix, absent classes left out of the mean, labels "
        "outside the subset are void, background not counted."
    )
