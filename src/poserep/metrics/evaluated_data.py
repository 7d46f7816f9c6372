"""What an evaluation's protocol says about the data and the metric, whoever made the predictions."""

from typing import Any

from poserep.config import DictConfig, as_dict
from poserep.data.common_joints import CommonJoints
from poserep.data.from_config import PATHS, options_of, takes_scenes
from poserep.instances import Tally, unusual_losses
from poserep.metrics.scorer import Scorer

# What of a representation's ``scenes`` only training, or the choice of a class, depends on.
_OF_TRAINING = ("_target_", "_partial_", "mirror_px")


def crop_options(cfg: DictConfig) -> dict[str, Any]:
    """Return the options of crops, or of whole images, that predictions depend on."""
    crop = as_dict(cfg.data.get("crop"))
    if not takes_scenes(cfg):
        return crop
    scenes = {key: value for key, value in as_dict(cfg.representation.scenes).items() if key not in _OF_TRAINING}
    return {"bgr": crop.get("bgr", False), **scenes}


def data_entries(cfg: DictConfig, scorer: Scorer, joints: CommonJoints, tally: Tally | None) -> dict[str, Any]:
    """Return the entries of a `Protocol` about the data and the metric; ``tally`` counts the annotated persons."""
    loader = {key: value for key, value in as_dict(cfg.data.val).items() if key not in (*PATHS, "_target_")}
    # To refuse files of another orientation and to take pixels as stored give the same images.
    reading: dict[str, Any] = {"orientation": "upright"} if cfg.data.get("orientation") == "upright" else {}
    reading |= {"range": list(cfg.data.range)} if cfg.data.get("range") else {}
    lost = unusual_losses(tally.left_out) if tally else {}
    # All matchers give the same numbers. People who are found in whole images are not compared for suppression.
    unused = ("matcher", "nms_threshold") if takes_scenes(cfg) else ("matcher",)
    return {
        "data": cfg.data.name,
        "real": cfg.data.real,
        "split": files if isinstance(files := cfg.data.val.annotations, str) else ", ".join(files),
        "metric": {key: value for key, value in as_dict(cfg.data.metric).items() if key not in unused},
        "area": scorer.area,
        "loader": loader | options_of(cfg) | reading,
        "uncounted": scorer.uncounted() | {f"left out, {reason}": n for reason, n in lost.items()},
        "joints": joints.named,
    }
