"""Files of weights: wrappers come off, code in them does not run, strangers are named."""

import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from autoadapt.errors import CheckpointError
from autoadapt.networks.checkpoints.reading import read_weights

STATE = {"conv1.weight": torch.arange(6.0).view(1, 2, 3), "bn1.bias": torch.ones(4)}


@pytest.mark.parametrize(
    ("saved", "unwrapped"),
    [
        (STATE, ()),
        (OrderedDict(STATE), ()),
        ({"state_dict": STATE, "meta": {"epoch": 3}}, ("state_dict",)),
        ({"model": STATE, "optimizer": {"lr": 0.1}, "iteration": 7}, ("model",)),
        ({"net": {"state_dict": STATE}}, ("net", "state_dict")),
        ({f"module.{name}": value for name, value in STATE.items()}, ("module.",)),
        (
            {"state_dict": {f"module._orig_mod.{n}": v for n, v in STATE.items()}},
            ("state_dict", "module.", "_orig_mod."),
        ),
    ],
)
def test_wrappers_and_prefixes_come_off(
    saved: Any, unwrapped: tuple[str, ...], tmp_path: Path
) -> None:
    torch.save(saved, tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert weights.tensors.keys() == STATE.keys()
    assert all(torch.equal(weights.tensors[name], STATE[name]) for name in STATE)
    assert weights.unwrapped == unwrapped


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    torch.save(STATE | {"module.extra": torch.ones(1)}, tmp_path / "w.pth")
    assert "module.extra" in read_weights(tmp_path / "w.pth").tensors


def test_files_of_pytorch_before_its_zip_format_load(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(tmp_path / "w.pth").tensors["bn1.bias"], torch.ones(4))


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.bin")
    assert read_weights(tmp_path / "w.bin").tensors.keys() == STATE.keys()


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "args": Trap(tmp_path / "ran")}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds objects that only running its code"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_the_tar_format_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "storages").write_bytes(pickle.dumps(1))
    with tarfile.open(tmp_path / "w.pth", "w") as tar:
        tar.add(tmp_path / "storages", "storages")
    with pytest.raises(CheckpointError, match=r"tar format of PyTorch before 0\.2"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "pointer of Git LFS"),
        (b"PK\x03\x04 cut off", "damaged"),
        (b"\x20\x00\x00\x00\x00\x00\x00\x00{broken header of thirty-two by", "safetensors"),
        (b"nonsense", "cannot be read"),
    ],
)
def test_what_is_not_weights_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_weights(tmp_path / "w.pth")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_weights(tmp_path / "absent.pth")


def test_a_dictionary_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="no tensors; it has the keys epoch, lr"):
        read_weights(tmp_path / "w.pth")
