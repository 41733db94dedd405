"""Plug-ins are found by name."""

import sys
from pathlib import Path

import pytest

from autoadapt.errors import ConfigError
from autoadapt.plugins import available, class_name, find, suggestion


def test_names_are_those_of_the_files() -> None:
    names = available("strategies")
    assert names == sorted(names)
    assert {"evolution", "random"} <= set(names)
    assert not [name for name in available("uda") if name == "base" or name.startswith("_")]


@pytest.mark.parametrize("kind", ["strategies", "scores", "uda"])
def test_everything_listed_is_found(kind: str) -> None:
    for name in available(kind):
        assert find(kind, name).__name__ == class_name(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("advent", "Advent"), ("source_only", "SourceOnly"), ("my_lab.new_one", "NewOne")],
)
def test_class_names_follow_file_names(name: str, expected: str) -> None:
    assert class_name(name) == expected


def test_a_misspelt_name_gets_the_nearest_one() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^no strategies named 'evolutoin', did you mean 'evolution'\?; available",
    ):
        find("strategies", "evolutoin")
    with pytest.raises(ConfigError, match=r"^no strategies named 'xyz'; available: .*evolution, "):
        find("strategies", "xyz")
    assert suggestion("evolutoin", ["evolution", "random"]) == ", did you mean 'evolution'?"
    assert suggestion("xyz", ["evolution"]) == ""


@pytest.mark.parametrize("name", ["base", "_losses", "", "a/b", "../base"])
def test_what_is_no_plugin_is_not_found(name: str) -> None:
    with pytest.raises(ConfigError):
        find("uda", name)


@pytest.mark.parametrize("name", [".advent", "autoadapt.", "no_such_lab.method", "os.path"])
def test_a_dotted_name_that_leads_nowhere_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match="needs a class"):
        find("uda", name)


def test_somebodys_own_module_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_of_mine").mkdir()
    (tmp_path / "lab_of_mine" / "my_method.py").write_text("class MyMethod:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert find("uda", "lab_of_mine.my_method").__name__ == "MyMethod"
    finally:
        for name in ("lab_of_mine", "lab_of_mine.my_method"):
            sys.modules.pop(name, None)


def test_a_module_without_the_class_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nearly_a_method.py").write_text("class Nearly:\n    pass\n")
    (tmp_path / "lab.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"'lab\.nearly' needs a class 'Nearly'"):
        find("uda", "lab.nearly")


def test_listing_imports_nothing() -> None:
    import subprocess

    code = (
        "import sys; from autoadapt.plugins import available; available('scores');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
