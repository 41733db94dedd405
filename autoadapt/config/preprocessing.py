"""Published ways to prepare images, by name: sizes, crops, filters, input conventions.

A name stands for the keys of ``data`` below; what a config says itself goes first. Names are
``<paper>_<source data set>``; the target of all but the last rows is Cityscapes.

=============== ============================= ==================================================
adaptsegnet     AdaptSegNet, AdvEnt, MinEnt,  whole images of fixed size whatever their shape,
                IntraDA, DAST                 BGR minus mean, no augmentation
fda             FDA                           as above, source cropped to the size of the target
ccm             CCM                           shorter side 720, five scales, crop 600, mirrored
crst            CRST                          full size, eleven scales, crop 512x1024, mirrored
dacs            DACS                          crop 512; its jitter and blur belong to the method
daformer        DAFormer, MIC                 crop 512 that no class fills, mirrored
adabn           AdaBN with mixing             BGR of 0 to 1; without and with augmentation, whose
                                              strengths the paper does not give: they are ours
=============== ============================= ==================================================

Where a paper shrinks with OpenCV's bilinear filter (CRST, DAFormer), ours is the bilinear filter
that averages over all pixels it covers.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

Keys = Mapping[str, Any]

GTA5: Keys = {"source": {"size": [720, 1280]}, "target": {"size": [512, 1024]}}
SYNTHIA: Keys = {"source": {"size": [760, 1280]}, "target": {"size": [512, 1024]}}
CITYSCAPES: Keys = {"source": {"size": [512, 1024]}, "target": {"size": [512, 1024]}}
SHORTER_SIDE_720: Keys = {"target": {"size": [720, 1440]}, "crop": [600, 600]}
FULL_SIZE: Keys = {"target": {"size": [1024, 2048]}, "crop": [512, 1024]}

PLAIN: Keys = {
    "crop": None,
    "scales": [],
    "crop_max_share": 1.0,
    "flip": False,
    "jitter": 0.0,
    "hue": 0.0,
    "blur": 0.0,
}
ADAPTSEGNET: Keys = {**PLAIN, "resampling": "bicubic", "normalisation": "caffe_bgr"}
FDA: Keys = {**ADAPTSEGNET, "crop": [512, 1024]}
CCM: Keys = {**ADAPTSEGNET, **SHORTER_SIDE_720, "scales": [0.5, 0.75, 1.0, 1.25, 1.5], "flip": True}
CRST: Keys = {
    **PLAIN,
    **FULL_SIZE,
    "resampling": "bilinear",
    "normalisation": "imagenet",
    "scales": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
    "flip": True,
}
DACS: Keys = {**ADAPTSEGNET, "crop": [512, 512]}
DAFORMER: Keys = {
    **PLAIN,
    "resampling": "bilinear",
    "normalisation": "imagenet",
    "crop": [512, 512],
    "crop_max_share": 0.75,
    "flip": True,
}
ADABN: Keys = {**PLAIN, "resampling": "bilinear", "normalisation": "unit_bgr"}

PRESETS: Mapping[str, Keys] = {
    "adaptsegnet_gta5": {**ADAPTSEGNET, **GTA5},
    "adaptsegnet_synthia": {**ADAPTSEGNET, **SYNTHIA},
    "adaptsegnet_cityscapes": {**ADAPTSEGNET, **CITYSCAPES},
    "fda_gta5": {**FDA, **GTA5},
    "fda_synthia": {**FDA, **SYNTHIA},
    "ccm_gta5": {**CCM, "source": {"size": [720, 1310]}},
    "ccm_synthia": {**CCM, "source": {"size": [720, 1213]}},
    "crst_gta5": {**CRST, "source": {"size": [1052, 1914]}},
    "crst_synthia": {**CRST, "source": {"size": [760, 1280]}},
    "dacs_gta5": {**DACS, **GTA5},
    "dacs_synthia": {**DACS, **SYNTHIA},
    "daformer_gta5": {**DAFORMER, **GTA5},
    "daformer_synthia": {**DAFORMER, **SYNTHIA},
    "adabn_cityscapes": {**ADABN, **CITYSCAPES},
    "adabn_cityscapes_augmented": {
        **ADABN,
        **CITYSCAPES,
        "flip": True,
        "jitter": 0.25,
        "hue": 0.05,
        "blur": 0.5,
    },
}


def known(name: str) -> str:
    """Return the name of a preset.

    Raises:
        ValueError: There is none; pydantic turns it into a mistake of the file.
    """
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no such preprocessing; {hint}known: {', '.join(PRESETS)}")
    return name


Preprocessing = Annotated[str, AfterValidator(known)]


def with_preset(raw: Any) -> Any:
    """Return the keys of ``data`` with those its ``preprocessing`` stands for; its own go first.

    Whatever is not a mapping, or names no preset, comes back as it is, for others to complain.
    """
    name = raw.get("preprocessing") if isinstance(raw, dict) else None
    if not isinstance(name, str) or name not in PRESETS:
        return raw
    return _over(PRESETS[name], raw)


def _over(below: Keys, above: Keys) -> dict[str, Any]:
    """Return ``above`` with what it lacks from ``below``, mapping by mapping."""
    result = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            result[key] = _over(below[key], above[key])
    return result
