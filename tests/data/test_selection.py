"""Order, held-out images and parts of a listing."""

from dataclasses import replace
from pathlib import Path

import pytest

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.formats.base import Listing
from autoadapt.data.selection import chosen
from autoadapt.errors import ConfigError, DataError

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


CITY = ("train/ulm/ulm_000000_000019", "train/ulm/ulm_000001_000019", "train/bonn/bonn_000000_1")


def subset(folder: Path, text: str) -> DatasetSettings:
    (folder / "names.txt").write_text(text)
    return replace(ANY, subset=str(folder / "names.txt"))


@pytest.mark.parametrize(
    "line",
    [
        "train/ulm/ulm_000001_000019",
        "ulm_000001_000019",
        "/data/leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png",
        "ulm_000001_000019_leftImg8bit_foggy_beta_0.02.png",
        "train\\ulm\\ulm_000001_000019.PNG".replace("PNG", "png"),
    ],
)
def test_a_subset_names_images_in_the_ways_that_lists_do(tmp_path: Path, line: str) -> None:
    found = chosen(listing(*CITY), subset(tmp_path, f"\n{line}\n"))
    assert found.ids == (CITY[1],)
    assert found.remarks == ()


def test_a_subset_keeps_the_order_of_the_data_set(tmp_path: Path) -> None:
    found = chosen(listing(*CITY), subset(tmp_path, "bonn_000000_1\nulm_000000_000019\n"))
    assert found.ids == (CITY[0], CITY[2])


def test_names_of_other_splits_are_remarked_on(tmp_path: Path) -> None:
    found = chosen(listing(*CITY), subset(tmp_path, "ulm_000000_000019\nval/lindau_000000_000019"))
    assert found.ids == (CITY[0],)
    assert "1 of 2 names in the subset" in found.remarks[0]


def test_one_name_in_two_folders_needs_its_folder(tmp_path: Path) -> None:
    both = listing("day/a", "night/a")
    assert chosen(both, subset(tmp_path, "x/night/a.png")).ids == ("night/a",)
    with pytest.raises(DataError, match="names none of the 2 images"):
        chosen(both, subset(tmp_path, "a"))


def test_a_subset_of_other_images_shows_both_sides(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"names none of the 3.*'00001'.*train/ulm"):
        chosen(listing(*CITY), subset(tmp_path, "00001\n00002\n"))


def test_a_missing_subset_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing.txt is not a file; .* one image name per line"):
        chosen(listing(*CITY), replace(ANY, subset=str(tmp_path / "nothing.txt")))


def test_images_are_held_out_of_the_subset(tmp_path: Path) -> None:
    names = subset(tmp_path, "\n".join(many(200).ids[:40]))
    held = chosen(many(200), replace(names, hold_out=10, side="validation")).ids
    rest = chosen(many(200), replace(names, hold_out=10)).ids
    assert (len(held), len(rest)) == (10, 30)
    assert max(held + rest) == "00040"
