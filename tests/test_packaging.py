"""An installed package finds its configs and spaces, far from any checkout."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import autoadapt

ROOT = Path(__file__).parent.parent
SOURCES = ("autoadapt", "configs", "search_spaces", "setup.cfg", "pyproject.toml")
CODE = """
import autoadapt
from autoadapt.config.load import load
from autoadapt.files import shipped
from autoadapt.space import load as load_space
from autoadapt.space.named import named
settings = load("quickstart")
space = load_space(settings.search.space)
print(autoadapt.__file__)
print(shipped("configs"))
other = load_space("deeplab_resnet101")
print(space.name, other.name, named("deeplabv2_resnet101") == other.reference)
"""


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "autoadapt", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"autoadapt {autoadapt.__version__}\n"


def test_every_package_is_listed() -> None:
    """They are listed by hand because configs and spaces lie outside the package's folder."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "autoadapt").rglob("__init__.py")
    }
    assert listed == found | {"autoadapt.shipped.configs", "autoadapt.shipped.search_spaces"}


@pytest.mark.slow
def test_a_wheel_brings_configs_and_spaces(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in (*SOURCES, "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", tmp_path, checkout], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(installed)
    assert (installed / "autoadapt/py.typed").exists()
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", CODE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    package, configs, spaces = done.stdout.splitlines()
    assert package == str(installed / "autoadapt/__init__.py")
    assert configs == str(installed / "autoadapt/shipped/configs")
    assert spaces == "deeplab_tiny deeplab_resnet101 True"
