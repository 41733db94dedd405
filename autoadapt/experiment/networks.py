"""The named networks and what they cost, beside the costs in the table of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autoadapt.analysis.tables import ABSENT, Rows, markdown_table, text_table
from autoadapt.cost import Size, count, paper_macs
from autoadapt.errors import AutoAdaptError
from autoadapt.networks.build import describe
from autoadapt.space import named
from autoadapt.space.named import NamedArchitecture

NUMBERS = ["parameters", "GMACs", "+ 2 BN", "paper: parameters", "paper: GMACs"]
"""``GMACs`` counts multiply-adds; ``+ 2 BN`` adds two per output of a batch normalisation, the
rule of AutoAdapt's Table 1 (arXiv 2106.13227), whose numbers the last two columns hold."""


@dataclass(frozen=True)
class NetworkCost:
    """A named network and its costs.

    Attributes:
        costs: ``params``, ``macs`` and ``paper_macs``; empty where it could not be built here.
        problem: Why it could not, such as a missing optional package.
    """

    network: NamedArchitecture
    costs: dict[str, float]
    problem: str = ""

    def cells(self) -> list[str]:
        """Return the columns ``NUMBERS``."""
        published = self.network.published
        return [
            whole(self.costs.get("params")),
            giga(self.costs.get("macs")),
            giga(self.costs.get("paper_macs")),
            millions(published.get("params")),
            giga(published.get("macs"), digits=1),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.network.name,
            "summary": self.network.summary,
            "source": self.network.source,
            "id": self.network.architecture.id,
            **self.costs,
            "published": dict(self.network.published),
            **({"problem": self.problem} if self.problem else {}),
        }


def network_costs(num_classes: int, size: Size) -> list[NetworkCost]:
    """Count every named network, without memory for weights."""
    return [cost_of(named.find(name), num_classes, size) for name in named.names()]


def cost_of(network: NamedArchitecture, num_classes: int, size: Size) -> NetworkCost:
    """Count one network, or say why it cannot be built."""
    try:
        found = count(network.architecture, num_classes, size)
        paper = paper_macs(network.architecture, num_classes, size)
    except AutoAdaptError as error:
        return NetworkCost(network, {}, str(error))
    costs = {"params": found["params"], "macs": found["macs"], "paper_macs": paper}
    return NetworkCost(network, costs)


def network_text(source: str | Path) -> str:
    """Return one network in words, and as the YAML that stands for it in a file of one's own.

    Raises:
        SpaceError: There is no such network, or its values do not suit its family.
        ConfigError: There is no such family.
    """
    network = named.find(source)
    about = [f"# {line}" for line in (network.summary, network.source) if line]
    values = yaml.safe_dump(network.architecture.to_json(), sort_keys=False, width=100)
    words = f"# {network.architecture.id}: {describe(network.architecture)}"
    return "\n".join([f"# {network.name}", *about, words, values.rstrip()])


def networks_text(found: Sequence[NetworkCost]) -> str:
    """Return costs and summaries for a terminal."""
    costs = text_table(["network", *NUMBERS], [[one.network.name, *one.cells()] for one in found])
    what = text_table(["network", "what it is"], _summaries(found), words=2)
    problems = [f"{one.network.name}: {one.problem}" for one in found if one.problem]
    return "\n".join([costs, "", what, *([""] if problems else []), *problems])


def networks_markdown(found: Sequence[NetworkCost]) -> str:
    """Return costs as a Markdown table."""
    return markdown_table(
        ["network", *NUMBERS], [[f"`{one.network.name}`", *one.cells()] for one in found]
    )


def _summaries(found: Sequence[NetworkCost]) -> Rows:
    return [[one.network.name, one.network.summary] for one in found]


def whole(value: float | None) -> str:
    """Return ``44,601,560``."""
    return ABSENT if value is None else f"{value:,.0f}"


def millions(value: float | None) -> str:
    """Return ``44.6 M``."""
    return ABSENT if value is None else f"{value / 1e6:.1f} M"


def giga(value: float | None, *, digits: int = 2) -> str:
    """Return ``379.53``."""
    return ABSENT if value is None else f"{value / 1e9:.{digits}f}"
