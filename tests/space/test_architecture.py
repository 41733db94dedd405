import math
from typing import Any

import pytest

from autoadapt.errors import SpaceError
from autoadapt.space import Architecture

VALUES = {"stem.width": 24, "dilation": [1, [2]], "se": True, "ratio": 0.5, "head.kind": "aspp"}


def test_id_is_pinned_across_versions() -> None:
    # printf '{"family":"toy","values":{"dilation":[1,[2]],"head.kind":"aspp","ratio":0.5,'\
    # '"se":true,"stem.width":24}}' | sha256sum | cut -c-12
    assert Architecture.of("toy", VALUES).id == "4246193914e3"


def test_id_depends_on_content_not_on_order() -> None:
    turned = dict(reversed(VALUES.items()))
    assert Architecture.of("toy", turned) == Architecture.of("toy", VALUES)
    assert Architecture.of("toy", turned).id == Architecture.of("toy", VALUES).id
    assert Architecture.of("other", VALUES).id != Architecture.of("toy", VALUES).id
    assert Architecture.of("toy", VALUES | {"se": 1}).id != Architecture.of("toy", VALUES).id


def test_json_round_trip_keeps_everything() -> None:
    architecture = Architecture.of("toy", VALUES)
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert again.id == architecture.id
    assert again.values["dilation"] == (1, (2,))
    assert hash(again) == hash(architecture)


@pytest.mark.parametrize("value", [None, {"a": 1}, math.nan, math.inf, [1, None], b"raw"])
def test_only_plain_finite_values(value: Any) -> None:
    with pytest.raises(SpaceError, match="may hold a bool, a finite number, text or a list"):
        Architecture.of("toy", {"x": value})


@pytest.mark.parametrize("raw", [{}, {"family": 3, "values": {}}, {"family": "toy"}, []])
def test_other_json_is_refused(raw: Any) -> None:
    with pytest.raises(SpaceError, match=r"not an architecture: .*expected 'family: NAME'"):
        Architecture.from_json(raw)
