"""Plug-ins are found by name: config name = file name = class name.

``advent`` of kind ``uda`` is the class ``Advent`` in ``autoadapt/uda/advent.py``. There is no
registry; listing the names reads a folder and imports nothing.
"""

import difflib
import importlib
import importlib.util
import pkgutil
from typing import Any

from autoadapt.errors import ConfigError

WORDS = {"data.formats": "data set format", "uda": "adaptation method"}
"""What a kind is called in messages, where its package is no word."""


def available(kind: str) -> list[str]:
    """Return the built-in names of one kind, such as ``uda``, sorted; nothing is imported."""
    folder = importlib.import_module(f"autoadapt.{kind}")
    modules = (entry.name for entry in pkgutil.iter_modules(folder.__path__))
    return sorted(name for name in modules if not name.startswith("_") and name != "base")


def class_name(name: str) -> str:
    """Return the class name that belongs to a file name: ``source_only`` -> ``SourceOnly``."""
    return "".join(word.capitalize() for word in name.rpartition(".")[2].split("_"))


def suggestion(name: str, known: list[str]) -> str:
    """Return ``, did you mean 'x'?`` or an empty string."""
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def find(kind: str, name: str) -> Any:
    """Return the class behind a name; a dotted name is somebody's own module.

    Raises:
        ConfigError: No such name, the module cannot be imported, or it lacks the class.
    """
    what = WORDS.get(kind, kind)
    if "." not in name and name not in available(kind):
        known = available(kind)
        raise ConfigError(
            f"no {what} named {name!r}{suggestion(name, known)}; available: {', '.join(known)}"
        )
    module_name = name if "." in name else f"autoadapt.{kind}.{name}"
    try:
        module = importlib.import_module(module_name)
        return getattr(module, class_name(name))
    except (ImportError, AttributeError, TypeError) as error:  # TypeError: a leading dot
        raise ConfigError(
            f"the {what} {name!r} needs a class {class_name(name)!r} in the module "
            f"{module_name!r}: {error}"
        ) from error
