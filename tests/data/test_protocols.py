"""The label tables of the field, against recorded numbers and the tables of the papers."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from autoadapt.config.settings import DatasetSettings, ProtocolName
from autoadapt.data.classes import CAMVID11, CITYSCAPES19
from autoadapt.data.formats.camvid import Camvid
from autoadapt.data.formats.camvid_original import CamvidOriginal
from autoadapt.data.formats.cityscapes import Cityscapes
from autoadapt.data.formats.gta5 import Gta5
from autoadapt.data.formats.synthia import Synthia
from autoadapt.data.mapping import LabelMap, OwnClasses, check_all_present, protocol_map
from autoadapt.data.protocols import PROTOCOLS
from autoadapt.errors import DataError

ANY = DatasetSettings(kind="any")
LABEL_IDS = Cityscapes("x").own_classes()
TRAIN_IDS = Cityscapes("x", labels="trainIds").own_classes()
GTA5 = Gta5("x").own_classes()
SYNTHIA = Synthia("x").own_classes()
CAMVID = Camvid("x").own_classes()


def through(own: OwnClasses, protocol: ProtocolName, settings: DatasetSettings = ANY) -> LabelMap:
    return protocol_map(own, PROTOCOLS[protocol], settings)


def test_there_is_a_protocol_for_every_name_of_the_setting() -> None:
    assert set(PROTOCOLS) == set(get_args(ProtocolName))
    sizes = {name: len(protocol.table) for name, protocol in PROTOCOLS.items()}
    assert sizes == {
        "cityscapes19": 19,
        "synthia16": 16,
        "synthia13": 13,
        "camvid11": 11,
        "dice20": 20,
    }


@pytest.mark.parametrize("own", [LABEL_IDS, GTA5], ids=["cityscapes", "gta5"])
def test_label_ids_become_the_recorded_train_ids(vectors: Path, own: OwnClasses) -> None:
    recorded = np.load(vectors / "label_table_cityscapes.npz")
    table = through(own, "cityscapes19").table
    assert np.array_equal(table[recorded["in_label_id"]], recorded["out_train_id"])
    # -1, the licence plate, is 255 in a file of 8 bits.
    pairs = {int(raw) % 256: int(train) for raw, train in recorded["in_table"]}
    assert {raw: int(table[raw]) for raw in pairs} == pairs


def test_synthia_ids_become_the_recorded_train_ids(vectors: Path) -> None:
    recorded = np.load(vectors / "label_table_synthia.npz")
    table = through(SYNTHIA, "cityscapes19").table
    assert np.array_equal(table[recorded["in_label_id"]], recorded["out_train_id"])


def test_train_ids_stay_what_they_are() -> None:
    table = through(TRAIN_IDS, "cityscapes19").table
    assert table[:19].tolist() == list(range(19))
    assert table[255] == 255


def test_an_id_is_mapped_once_where_assignments_in_place_would_move_it_on() -> None:
    """SYNTHIA's sky, 1, is train id 10; raw 10 is person, 11; raw 11 is bicycle, 18."""
    table = through(SYNTHIA, "cityscapes19").table
    ids = np.array([1, 10, 11, 18])
    assert table[ids].tolist() == [10, 11, 18, 14]
    in_place = ids.copy()
    for raw in range(23):
        in_place[in_place == raw] = table[raw]
    assert in_place.tolist() == [14, 14, 14, 14]


def test_sixteen_classes_are_numbered_without_gaps() -> None:
    # Of the 19, terrain (9), truck (14) and train (16) are left out.
    expected = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 10: 9, 11: 10, 12: 11}
    expected |= {13: 12, 15: 13, 17: 14, 18: 15, 9: 255, 14: 255, 16: 255, 255: 255}
    table = through(TRAIN_IDS, "synthia16").table
    assert {train: int(table[train]) for train in expected} == expected
    synthia = through(SYNTHIA, "synthia16").table
    raw_ids = [3, 4, 2, 21, 5, 7, 15, 9, 6, 1, 10, 17, 8, 19, 12, 11]
    assert synthia[raw_ids].tolist() == list(range(16))
    assert synthia[[0, 13, 14, 16, 18, 20, 22]].tolist() == [255] * 7


def test_thirteen_classes_leave_out_wall_fence_and_pole_too() -> None:
    table = through(SYNTHIA, "synthia13").table
    assert table[[3, 4, 2, 15, 9, 6, 1, 10, 17, 8, 19, 12, 11]].tolist() == list(range(13))
    assert table[[21, 5, 7]].tolist() == [255] * 3


def test_the_dice_protocol_counts_everything_else_as_background() -> None:
    plain, dice = through(LABEL_IDS, "cityscapes19"), through(LABEL_IDS, "dice20")
    expected = np.where(plain.table == 255, 0, plain.table + 1)
    assert np.array_equal(dice.table[dice.known], expected[dice.known])
    assert 255 not in dice.table[dice.known]
    assert PROTOCOLS["dice20"].table.names[0] == "background"


def test_camvid_becomes_cityscapes() -> None:
    table = through(CAMVID, "cityscapes19").table
    # Sky, Building, Pole, Road, Pavement, Tree, Sign, Fence, Car, Pedestrian, Bicyclist, void
    assert table[:12].tolist() == [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 12, 255]
    other = DatasetSettings(kind="camvid", merge={"bicyclist": "bicycle"})
    assert through(CAMVID, "cityscapes19", other).table[10] == 18


def test_cityscapes_becomes_camvid_and_what_it_lacks_is_void() -> None:
    table = through(TRAIN_IDS, "camvid11").table
    names = dict(zip(CITYSCAPES19.names, table[:19].tolist(), strict=True))
    assert names["vegetation"] == CAMVID11.names.index("tree")
    assert names["rider"] == names["bicycle"] == CAMVID11.names.index("bicyclist")
    void = {name for name, index in names.items() if index == 255}
    assert void == {"wall", "traffic light", "terrain", "truck", "bus", "train", "motorcycle"}


def test_thirty_two_classes_become_eleven() -> None:
    own = CamvidOriginal("x").own_classes()
    table = through(own, "camvid11").table
    groups = {
        "sky": [21],
        "building": [1, 3, 4, 28, 31],
        "pole": [8, 23],
        "road": [10, 11, 17],
        "pavement": [15, 18, 19],
        "tree": [26, 29],
        "sign": [12, 20, 24],
        "fence": [9],
        "car": [5, 14, 22, 25, 27],
        "pedestrian": [0, 6, 7, 16],
        "bicyclist": [2, 13],
    }
    for index, (name, raw_ids) in enumerate(groups.items()):
        assert CAMVID11.names[index] == name
        assert table[raw_ids].tolist() == [index] * len(raw_ids)
    assert table[30] == 255  # Void
    assert sum(map(len, groups.values())) == 31


def test_lane_markings_can_be_road_as_in_crst() -> None:
    road = DatasetSettings(kind="synthia", merge={"lane marking": "road"})
    assert through(SYNTHIA, "synthia16", road).table[22] == 0


def test_an_ignored_class_is_void_even_where_a_background_counts() -> None:
    without = DatasetSettings(kind="cityscapes", ignore=("sky",))
    assert through(LABEL_IDS, "dice20", without).table[23] == 255


def test_merging_into_a_class_that_the_protocol_lacks_is_refused() -> None:
    wrong = DatasetSettings(kind="synthia", merge={"lane marking": "raod"})
    with pytest.raises(DataError, match=r"'raod', which is not a class .*did you mean 'road'\?"):
        through(SYNTHIA, "synthia16", wrong)


def test_a_source_must_teach_every_class_of_the_protocol() -> None:
    ids = through(CAMVID, "synthia13")
    with pytest.raises(DataError, match=r"'traffic light', 'bus', .*another data.protocol"):
        check_all_present(PROTOCOLS["synthia13"].table.names, [ids])


def test_colours_of_a_protocol_are_those_of_cityscapes() -> None:
    table = PROTOCOLS["synthia13"].table
    colours = dict(zip(CITYSCAPES19.names, CITYSCAPES19.palette, strict=True))
    assert table.palette == tuple(colours[name] for name in table.names)
    assert dict(zip(table.names, table.palette, strict=True))["bicycle"] == (119, 11, 32)
