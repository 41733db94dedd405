"""Tables of results on pages: what the scripts that measure methods have in common."""

import re
from collections.abc import Iterable, Sequence

import numpy as np


def spread(values: Sequence[float], signs: str = "") -> str:
    """Return mean and standard deviation over seeds; ``signs`` is ``+`` for differences."""
    mean = f"{np.mean(values):{signs}.1f}"
    return f"{mean} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else mean


def filled(page: str, tables: Iterable[tuple[str, str]]) -> str:
    """Return a page with each table between the two comments that name its place.

    Args:
        page: Markdown with ``<!-- NAME -->`` and ``<!-- end -->`` around each place.
        tables: Name of the place and text of each.
    """
    for name, text in tables:
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        literal = text.replace("\\", r"\\")
        page = place.sub(rf"\g<1>\n{literal}\n\n\g<2>", page)
    return page
