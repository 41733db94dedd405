import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autoadapt.data.classes import CAMVID11
from autoadapt.data.formats._files import find_root
from autoadapt.data.formats.base import Listing
from autoadapt.data.formats.folder import Folder, read_classes
from autoadapt.data.mapping import task_table
from autoadapt.errors import ConfigError, DataError

Make = Callable[..., Path]


def listed(root: Path, split: str = "train") -> Listing:
    return Folder(str(root), split).list_images()


def files(listing: Listing) -> list[Path]:
    return list(map(Path, listing.origins))


def test_a_split_lists_its_images_in_its_own_order(make_folder: Make) -> None:
    root = make_folder("data", ["train/b", "val/a", "train/c"])
    found = listed(root)
    assert found.ids == ("train/b", "val/a", "train/c")
    assert [path.name for path in files(found)] == ["b.jpg", "a.jpg", "c.jpg"]
    assert [Path(label).name for label in Folder(str(root)).find_labels(found)] == [
        "b.png",
        "a.png",
        "c.png",
    ]


def test_a_split_without_a_file_is_the_sorted_folder_of_its_name(make_folder: Make) -> None:
    root = make_folder("data", ["val/b", "train/c", "val/a"])
    (root / "splits" / "train.txt").unlink()
    assert listed(root, "val").ids == ("val/a", "val/b")


def test_spaces_deep_folders_and_windows_line_ends_are_fine(make_folder: Make) -> None:
    root = make_folder("my data", ["my train/an image", "a/b/c"])
    split = root / "splits" / "train.txt"
    split.write_bytes(b"\xef\xbb\xbf" + split.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert listed(root).ids == ("my train/an image", "a/b/c")


def test_the_root_may_come_from_the_environment(
    make_folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder("data", ["train/a"])
    monkeypatch.setenv("SOME_FOLDER", str(root.parent))
    found = listed(Path("${SOME_FOLDER}/data"))
    assert found.where == str(root.resolve())


def test_an_unset_variable_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_FOLDER", raising=False)
    with pytest.raises(ConfigError, match=r"variable SOME_FOLDER.*export SOME_FOLDER="):
        find_root("${SOME_FOLDER}/data")


def test_no_root_at_all_is_a_mistake_of_the_config() -> None:
    with pytest.raises(ConfigError, match="needs root"):
        find_root("")


def test_a_missing_root_says_what_is_there_instead(tmp_path: Path) -> None:
    (tmp_path / "camvid").mkdir()
    with pytest.raises(DataError, match=r"data/deep does not exist; .* contains \['camvid'\]"):
        find_root(str(tmp_path / "data" / "deep"))


def test_an_empty_root_and_a_file_as_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is empty"):
        find_root(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="is not a folder"):
        find_root(str(tmp_path / "file"))


def test_a_root_without_images_says_how_it_should_look(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").mkdir()
    with pytest.raises(DataError, match=r"no folder 'images'; .*classes\.json"):
        listed(tmp_path)


def test_a_missing_split_lists_those_there_are_with_a_suggestion(make_folder: Make) -> None:
    root = make_folder("data", ["day/a", "dusk/b"])
    with pytest.raises(DataError, match=r"'trian', did you mean 'train'\? available: \['day', "):
        listed(root, "trian")


def test_an_empty_split_is_refused(make_folder: Make) -> None:
    root = make_folder("data", ["train/a"])
    (root / "splits" / "none.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"split 'none' is empty: .*none\.txt"):
        listed(root, "none")


def test_repeated_entries_are_counted_and_shown(make_folder: Make) -> None:
    root = make_folder("data", ["train/a", "train/b", "train/c"])
    with (root / "splits" / "train.txt").open("a") as file:
        file.write("train/c\ntrain/a\ntrain/a\n")
    with pytest.raises(DataError, match=r"lists 2 images more than once.*train/a.*train/c"):
        listed(root)


def test_missing_images_are_counted_and_shown(make_folder: Make) -> None:
    root = make_folder("data", [f"train/a{i}" for i in range(6)])
    for number in range(1, 5):
        (root / "images" / "train" / f"a{number}.jpg").unlink()
    with pytest.raises(
        DataError, match=r"4 of 6 listed images have no file in .*images, .*a1.*a2.*a3'\]"
    ):
        listed(root)


def test_missing_labels_matter_only_where_labels_are_needed(make_folder: Make) -> None:
    root = make_folder("data", ["train/a", "train/b"])
    (root / "labels" / "train" / "b.png").unlink()
    found = listed(root)
    with pytest.raises(DataError, match=r"1 of 2 listed images have no file in .*labels"):
        Folder(str(root)).find_labels(found)


def test_a_data_set_without_labels_can_still_be_a_target(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder("data", ["train/a"])
    (root / "labels").rename(tmp_path / "elsewhere")
    found = listed(root)
    with pytest.raises(DataError, match="no folder 'labels'"):
        Folder(str(root)).find_labels(found)


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("train/A", "'a.jpg', which differs in upper and lower case"),
        ("train/a.jpg", "no ending: write train/a"),
        ("Train/a", r"no folder .*Train, but .* contains \['train'\]"),
        ("train/frame_001", "most similar file there is 'frame_002.jpg'"),
    ],
)
def test_a_missing_image_comes_with_a_hint(make_folder: Make, entry: str, hint: str) -> None:
    root = make_folder("data", ["train/a", "train/frame_002"])
    (root / "splits" / "train.txt").write_text(f"{entry}\n")
    with pytest.raises(DataError, match=hint):
        listed(root)


def test_endings_in_capitals_are_images_too(make_folder: Make) -> None:
    root = make_folder("data", ["train/a"])
    image = root / "images" / "train" / "a.jpg"
    image.rename(image.with_suffix(".JPEG"))
    assert files(listed(root))[0].name == "a.JPEG"


def test_two_files_for_one_name_are_refused(make_folder: Make) -> None:
    root = make_folder("data", ["train/a"])
    image = root / "images" / "train" / "a.jpg"
    image.with_suffix(".png").write_bytes(image.read_bytes())
    with pytest.raises(DataError, match=r"has both .*which one is the image 'a'"):
        listed(root)


def test_hidden_files_are_no_images(make_folder: Make) -> None:
    root = make_folder("data", ["val/a"])
    (root / "images" / "val" / "._a.jpg").write_bytes(b"resource fork")
    assert listed(root, "val").ids == ("val/a",)


def test_a_link_within_the_data_set_is_followed(make_folder: Make) -> None:
    root = make_folder("data", ["train/a"])
    folder = root / "images" / "train"
    (folder / "b.jpg").symlink_to(folder / "a.jpg")
    (root / "splits" / "train.txt").write_text("train/b\n")
    assert files(listed(root))[0].name == "a.jpg"


@pytest.mark.parametrize("entry", ["train/out", "../../other/images/train/a"])
def test_nothing_outside_the_data_set_is_read(make_folder: Make, entry: str) -> None:
    root, other = make_folder("data", ["train/a"]), make_folder("other", ["train/a"])
    link = root / "images" / "train" / "out.jpg"
    link.symlink_to(other / "images" / "train" / "a.jpg")
    (root / "splits" / "train.txt").write_text(f"{entry}\n")
    with pytest.raises(DataError, match=r"leads out of the data set, to .*other/images/train/a"):
        listed(root)


def test_a_link_to_nothing_is_said_so(make_folder: Make) -> None:
    root = make_folder("data", ["train/a"])
    (root / "images" / "train" / "b.jpg").symlink_to(root / "not fetched.jpg")
    (root / "splits" / "train.txt").write_text("train/b\n")
    with pytest.raises(DataError, match=r"b\.jpg is a link to .*not fetched\.jpg, which is not"):
        listed(root)


def test_the_root_itself_may_be_a_link(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder("data", ["train/a"])
    (tmp_path / "link").symlink_to(root)
    assert listed(tmp_path / "link").where == str(root.resolve())


def test_classes_palette_and_void_are_read(tmp_path: Path) -> None:
    value = {"classes": ["a", "b"], "palette": [[1, 2, 3], [4, 5, 6]], "void_id": 2}
    (tmp_path / "classes.json").write_text(json.dumps(value))
    own = read_classes(tmp_path)
    assert own.names == {0: "a", 1: "b"}
    assert own.void == {2}
    assert own.colours == {"a": (1, 2, 3), "b": (4, 5, 6)}


def test_palette_and_void_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(json.dumps({"classes": CAMVID11.names}))
    own = read_classes(tmp_path)
    assert own.void == {255}
    assert task_table(own, CAMVID11.names) == CAMVID11


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "key 'classes'"),
        ('{"names": ["a"]}', "key 'classes'"),
        ('{"classes": ["a", 3]}', "list of names"),
        ('{"classes": []}', "0 classes; expected 1 to 254"),
        ('{"classes": ["a", "a"]}', "more than once"),
        ('{"classes": ["a", "b"], "void_id": 1}', "void_id is 1; expected a number from 2"),
        ('{"classes": ["a"], "void_id": true}', "void_id is True"),
        ('{"classes": ["a"], "palette": [[1, 2]]}', "1 colours"),
        ('{"classes": ["a", "b"], "palette": [[1, 2, 3], [4]]}', "2 colours"),
        ('{"classes": ["a"], "palette": [[1, 2, 256]]}', "0 to 255"),
    ],
)
def test_a_wrong_class_list_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(DataError, match=rf"classes\.json.*{reason}"):
        read_classes(tmp_path)


def test_a_missing_class_list_says_what_it_must_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'classes\.json is missing; .*"void_id": 255'):
        read_classes(tmp_path)
