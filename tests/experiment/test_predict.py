"""Finding pictures and writing predictions."""

from pathlib import Path

import pytest
from PIL import Image

from autoadapt.errors import DataError
from autoadapt.experiment.predict import find_pictures, read_picture


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path)
    return path


def test_folders_keep_their_layout_and_files_their_names(tmp_path: Path) -> None:
    single = picture(tmp_path / "one.png")
    inner = picture(tmp_path / "set/a/two.jpg")
    (tmp_path / "set/notes.txt").write_text("not a picture")
    found = find_pictures([single, tmp_path / "set"])
    assert found == [(single, Path("one")), (inner, Path("a/two"))]


def test_two_pictures_may_not_share_an_output(tmp_path: Path) -> None:
    picture(tmp_path / "a/x.png")
    picture(tmp_path / "b/x.png")
    with pytest.raises(DataError, match="'x'"):
        find_pictures([tmp_path / "a", tmp_path / "b"])
    picture(tmp_path / "c/x.png")
    picture(tmp_path / "c/x.jpg")
    with pytest.raises(DataError, match="stand for several images"):
        find_pictures([tmp_path / "c"])


def test_nothing_to_predict(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images in"):
        find_pictures([tmp_path])
    with pytest.raises(DataError, match="no image or folder at"):
        find_pictures([tmp_path / "absent.png"])


def test_a_page_saved_as_a_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("<html>403</html>")
    with pytest.raises(DataError, match=r"photo.png cannot be read as an image"):
        read_picture(path)


def test_a_truncated_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"photo.jpg cannot be read"):
        read_picture(path)
