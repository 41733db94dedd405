"""Order, held-out images and parts of a listing."""

from dataclasses import replace

import pytest

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.formats.base import Listing
from autoadapt.data.selection import chosen
from autoadapt.errors import ConfigError

ANY = DatasetSettings(kind="folder")


def listing(*ids: str) -> Listing:
    return Listing("here", ids, tuple(f"/{name}.png" for name in ids))


def many(count: int) -> Listing:
    return listing(*(f"{number:05d}" for number in range(1, count + 1)))


def test_the_listed_order_stays_unless_asked_otherwise() -> None:
    found = listing("b", "a", "c")
    assert chosen(found, ANY) == found


def test_order_by_name_ignores_folders() -> None:
    found = listing("train/f3", "val/f1", "train/f2", "test/f0")
    ordered = chosen(found, replace(ANY, order="name"))
    assert ordered.ids == ("test/f0", "val/f1", "train/f2", "train/f3")
    assert ordered.origins[0] == "/test/f0.png"


def test_parts_cut_the_ordered_split_without_gap_or_overlap() -> None:
    ids = [f"train/f{9 - i}" for i in range(7)]
    by_name = replace(ANY, order="name")
    first = chosen(listing(*ids), replace(by_name, part=(0.0, 0.4))).ids
    second = chosen(listing(*ids), replace(by_name, part=(0.4, 1.0))).ids
    # round(0.4 * 7) = round(2.8) = 3
    assert first == ("train/f3", "train/f4", "train/f5")
    assert first + second == tuple(sorted(ids))


def test_a_part_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"part \[0.5, 0.5\] of 2 images keeps none"):
        chosen(listing("a", "b"), replace(ANY, part=(0.5, 0.5)))


def sides(found: Listing, count: int, seed: int = 0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    train = replace(ANY, hold_out=count, hold_out_seed=seed)
    return chosen(found, train).ids, chosen(found, replace(train, side="validation")).ids


def test_held_out_images_and_the_rest_are_the_whole_set_in_its_order() -> None:
    found = many(200)
    train, validation = sides(found, 50)
    assert (len(train), len(validation)) == (150, 50)
    assert not set(train) & set(validation)
    assert sorted(train + validation) == list(found.ids)
    assert list(train) == sorted(train)
    assert list(validation) == sorted(validation)


def test_the_same_images_are_held_out_on_every_machine() -> None:
    # for i in 00001 00002 00003 00004 00005 00006: printf 0/hold_out/$i | sha256sum
    # first 8 bytes, little-endian, halved: the two smallest belong to 00002 and 00004.
    assert sides(many(6), 2)[1] == ("00002", "00004")


def test_another_seed_holds_out_others() -> None:
    assert sides(many(200), 50, seed=1)[1] != sides(many(200), 50)[1]


def test_images_spread_over_the_whole_set_are_held_out() -> None:
    validation = sides(many(1000), 100)[1]
    early = sum(int(name) <= 500 for name in validation)
    # Binomial(100, 1/2) has a standard deviation of 5; five of them either way.
    assert 25 <= early <= 75


def test_images_that_a_copy_lacks_change_nothing_for_the_others() -> None:
    whole, lacking = many(200), listing(*many(200).ids[:20], *many(200).ids[40:])
    before, after = sides(whole, 50)[1], sides(lacking, 50)[1]
    kept = [name for name in before if name in lacking.ids]
    assert set(kept) <= set(after)


def test_the_part_is_cut_from_the_side() -> None:
    settings = replace(ANY, hold_out=50, side="validation")
    whole = chosen(many(200), settings).ids
    assert chosen(many(200), replace(settings, part=(0.0, 0.5))).ids == whole[:25]


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="hold_out is 3, but there are only 3 images"):
        sides(many(3), 3)
