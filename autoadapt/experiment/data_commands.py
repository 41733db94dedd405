"""What the ``data`` commands do; each returns values and text, the command line prints."""

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt.analysis.tables import decimal, text_table
from autoadapt.config.load import dataset_from
from autoadapt.config.settings import DataSettings
from autoadapt.data.batching import chunks
from autoadapt.data.cache import cache_folder
from autoadapt.data.classes import CAMVID11
from autoadapt.data.counting import Counting
from autoadapt.data.images import UnlabelledImages
from autoadapt.data.prepare import Damage, PreparedRows, prepare, verify, write_manifests
from autoadapt.data.prior_files import Priors, open_priors
from autoadapt.data.statistics import DataReport, SetReport, check, check_alone
from autoadapt.data.street import CLASSES, render
from autoadapt.errors import DataError
from autoadapt.experiment.commands import as_values, settings_of
from autoadapt.experiment.predict import save_png
from autoadapt.experiment.trial import domains_of
from autoadapt.files import write_json, write_text

SHOWN = 20
"""Longest list of broken files that is printed; ``--json`` has all of them."""


def check_data(config: str, changes: Sequence[str], counting: Counting) -> tuple[Any, str, bool]:
    """Return what a look at every file found: as values, as text, and whether all is sound."""
    return told(check(settings_of(config, changes).data, counting))


def check_folder(
    folder: Path, kind: str, changes: Sequence[str], *, labels: bool, counting: Counting
) -> tuple[Any, str, bool]:
    """Return the same about one data set that is in no config."""
    dataset = dataset_from(kind, folder, changes)
    return told(check_alone(dataset, labels=labels, counting=counting))


def told(report: DataReport) -> tuple[Any, str, bool]:
    """Return a report as values, as text, and whether all is sound."""
    sound = {"sound": report.sound, "absent": {one.role: list(one.absent) for one in report.sets}}
    return {**as_values(report), **sound}, data_text(report), report.sound


def data_text(report: DataReport) -> str:
    """Return a data report for a terminal."""
    lines = [f"classes: {', '.join(report.classes)}"]
    for one in report.sets:
        lines += ["", *set_lines(one)]
    if report.overlap:
        lines += ["", report.overlap]
    return "\n".join([*lines, "", "sound" if report.sound else "not sound"])


def set_lines(one: SetReport) -> list[str]:
    """Return what a report says about one data set."""
    if one.problem:
        return [f"{one.role}: {one.problem}"]
    sizes = ", ".join(f"{number} of {w}x{h}" for (h, w), number in one.sizes.items())
    lines = [f"{one.role}: {one.images} images, {sizes}"]
    lines += [f"  {remark}" for remark in one.remarks]
    if one.resized_apart:
        lines.append(
            f"  {one.resized_apart} labels of another size than their images, resized on their own"
        )
    lines += [f"  broken: {name}: {reason}" for name, reason in one.broken[:SHOWN]]
    if len(one.broken) > SHOWN:
        lines.append(f"  and {len(one.broken) - SHOWN} more that are broken")
    lines += [f"  id {label} outside the map: {n} pixels" for label, n in one.outside.items()]
    if not one.frequencies:
        return [*lines, "  labels are not opened"]
    if one.absent:
        lines.append(f"  without a single pixel: {', '.join(one.absent)}")
    rows = [[name, decimal(100 * share, 3)] for name, share in one.frequencies.items()]
    rows.append(["void, of all", decimal(100 * one.void, 3)])
    return [*lines, textwrap.indent(text_table(["class", "% of pixels"], rows), "  ")]


def data_statistics(
    config: str, changes: Sequence[str], out: Path | None, counting: Counting
) -> tuple[dict[str, Any], str]:
    """Return image counts, colours and what is known about the classes of the source.

    The priors of the source are kept in the cache folder, and in ``out`` if it is given.

    Returns:
        As values and as text.
    """
    settings = settings_of(config, changes).data
    prepare(settings, counting)
    domains = domains_of(settings)
    priors, path = open_priors(
        domains.source, settings.size_of("target"), cache_folder(settings.cache), counting
    )
    written = [path, path.with_suffix(".json")]
    if out is not None:
        written = list(priors.save(out, "source_priors"))
    sets = {
        "source": domains.source.unlabelled(),
        **{name: images.unlabelled() for name, images in domains.further.items()},
        "target": domains.target,
    }
    colours = {name: colour_statistics(images) for name, images in sets.items()}
    values = {**colours, "priors": priors.to_json(), "files": [str(one) for one in written]}
    text = [colour_table(colours), "", prior_table(priors), "", *(f"priors: {p}" for p in written)]
    return values, "\n".join(text)


def colour_table(colours: dict[str, dict[str, Any]]) -> str:
    """Return number of images and colours of each domain."""
    rows = [
        [name, str(one["images"]), *(f"{value:.1f}" for value in [*one["mean"], *one["deviation"]])]
        for name, one in colours.items()
    ]
    return text_table(["domain", "images", "R", "G", "B", "sd R", "sd G", "sd B"], rows)


def prior_table(priors: Priors) -> str:
    """Return how often each class of the source is seen, and how often it would be drawn."""
    images = (priors.pixels > 0).sum(axis=0)
    rows = [
        [name, decimal(100 * float(ratio), 3), str(number), decimal(100 * float(rare), 3)]
        for name, ratio, number, rare in zip(
            priors.classes, priors.ratio, images, priors.rare, strict=True
        )
    ]
    return text_table(["source class", "% of pixels", "images", "% of rare-class draws"], rows)


def colour_statistics(images: UnlabelledImages) -> dict[str, Any]:
    """Return the number of images, and mean and standard deviation of R, G and B in [0, 255]."""
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    for indices in chunks(len(images), 16):
        values = images.images(indices).reshape(-1, 3).astype(np.float64)
        total, squares = total + values.sum(0), squares + (values**2).sum(0)
        pixels += len(values)
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return {"images": len(images), "mean": mean.tolist(), "deviation": deviation.tolist()}


def prepare_data(
    config: str, changes: Sequence[str], out: Path | None, counting: Counting
) -> tuple[Any, str]:
    """Fill the prepared form of a config's data sets; return what is there: values and text."""
    settings = settings_with(config, changes, out)
    sets = prepare(settings, counting)
    total = sum(one.bytes for one in sets)
    lines = [prepared_line(one) for one in sets]
    folder = cache_folder(settings.cache)
    lines += ["", f"{amount(total)} in {folder}; the original files are as they were"]
    if out is not None:
        lines += [portable_line(path) for path in write_manifests(settings)]
    return as_values(sets), "\n".join(lines)


def verify_data(
    config: str, changes: Sequence[str], out: Path | None, counting: Counting
) -> tuple[Any, str, bool]:
    """Compare the prepared form with its checksums; return values, text and whether all is well."""
    found = verify(settings_with(config, changes, out), counting)
    return as_values(found), damage_text(found), not found


def settings_with(config: str, changes: Sequence[str], out: Path | None) -> DataSettings:
    """Return the data settings of a config, prepared in a folder of its own if one is given."""
    settings = settings_of(config, changes).data
    return settings if out is None else dataclasses.replace(settings, cache=str(out))


def prepared_line(one: PreparedRows) -> str:
    """Return what was prepared, its size and its checksum."""
    height, width = one.size
    broken = f", {one.broken} of them could not be made" if one.broken else ""
    files = "1 shard" if one.shards == 1 else f"{one.shards} shards"
    return (
        f"{one.key} {one.what}: {one.rows} of {width}x{height}{broken}, {amount(one.bytes)} in "
        f"{files}, checksum {one.checksum[:16]}\n  {one.folder}"
    )


def portable_line(manifest: Path) -> str:
    """Return how to use a data set that was prepared to be carried elsewhere."""
    return f"use it anywhere as {{kind: prepared, root: {manifest.parent}, set: {manifest.stem}}}"


def damage_text(found: Sequence[Damage]) -> str:
    """Return what is damaged and what to do about it."""
    if not found:
        return "everything is as it was written"
    lines = [str(damage) for damage in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more")
    return "\n".join([*lines, "remove these files and prepare again: what is missing is made anew"])


def amount(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def render_folder(out: Path, style: str, number: int, seed: int, size: tuple[int, int]) -> None:
    """Render procedural scenes as a folder data set; an existing folder is refused.

    Raises:
        DataError: The folder exists and is not empty, or the style is unknown.
    """
    if style not in ("game", "camera"):
        raise DataError(f"no style {style!r}; there are 'game' and 'camera'")
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} exists and is not empty; name a new folder")
    names = [f"{style}/{index:05d}" for index in range(number)]
    for index, name in enumerate(names):
        image, labels = render(style, seed, index, size)
        save_png(out / "images" / f"{name}.png", image)
        save_png(out / "labels" / f"{name}.png", labels)
    palette = [list(colour) for colour in CAMVID11.palette]
    table = {
        "name": f"street-{style}",
        "classes": list(CLASSES),
        "palette": palette,
        "void_id": 255,
    }
    write_json(out / "classes.json", table)
    write_text(out / "splits" / f"{style}.txt", "".join(f"{name}\n" for name in names))
