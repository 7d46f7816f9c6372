"""What training starts from: `init`, weights of a whole network, or `backbone.weights`."""

from pathlib import Path

from torch import Tensor

from poserep.codecs import Codec
from poserep.config import DictConfig, OmegaConf, as_dict
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError
from poserep.models import PoseNet
from poserep.models.weights.hugging_face import check_config
from poserep.models.weights.load import Imported, load_trunk
from poserep.models.weights.read import read_state
from poserep.models.weights.recognise import look
from poserep.models.weights.transfer import PerJoint, account, is_constant, transfer
from poserep.runs.identity import initial_files, initial_hashes
from poserep.runs.rundir import run_of
from poserep.skeleton import Skeleton
from poserep.training.network import joint_tensors


def load_initial(cfg: DictConfig, net: PoseNet, codec: Codec, skeleton: Skeleton) -> list[str]:
    """Load the weights that a configuration starts from, and return a line that says what became of them, if any.

    Files that do not fit, and files that have changed since the configuration was resolved, are an `InputError`.
    """
    config, lines = as_dict(cfg), list[str]()
    hashes, recorded = initial_hashes(config), config.get("contents") or {}
    for role, (path, entry) in initial_files(config).items():
        if path.is_file() and hashes[role] != recorded.get(role, hashes[role]):
            raise InputError(f"{path} has changed since this run was composed; give the command again")
        file = f"{path}#{entry}" if entry else str(path)
        state = read_state(file)
        if role == "weights":
            lines.append(f"backbone.weights {file}: {_into_backbone(net, state, file)}")
        else:
            lines.append(f"init {file}: {_into_network(cfg, net, codec, skeleton, state, path, file)}")
        check_config(path, net.get_submodule("backbone"))
    return lines


def _into_backbone(net: PoseNet, state: dict[str, Tensor], file: str) -> str:
    part = f"backbone.{getattr(net.backbone, 'pretrained_part', '')}".rstrip(".")
    done = load_trunk(net.get_submodule(part), state, file)
    mapped = {key: f"{part}.{name}" for key, name in done.mapped.items()}
    anew = dict.fromkeys({*net.state_dict()} - {*mapped.values()} - {"scale", "offset"}, "")
    unused = {key: "" for key in done.unused if not is_constant(key)}
    text = account(net, Imported(mapped, unused, dict(sorted(anew.items()))))
    looks = look(state)
    if looks.head in ("", "ImageNet classifier"):
        return text
    return f"{text}; the file looks like {looks}: init={file} instead takes what fits of its head too"


def _into_network(
    cfg: DictConfig, net: PoseNet, codec: Codec, skeleton: Skeleton, state: dict[str, Tensor], path: Path, file: str
) -> str:
    names, tensors = joints_of(path), joint_tensors(cfg, net, codec, skeleton.num_keypoints)
    other = ""
    if names and names != skeleton.names:
        other = "joints in another order" if set(names) == set(skeleton.names) else "other joints"
    done = transfer(net, state, file, PerJoint(skeleton.num_keypoints, tensors, other))
    unsure = names is None and tensors.intersection(done.mapped.values())
    return account(net, done) + ("; the joints are assumed to be in the same order" if unsure else "")


def joints_of(checkpoint: Path) -> tuple[str, ...] | None:
    """Return the names of the joints of the run that a checkpoint belongs to; None if that is not known."""
    try:
        return skeleton_of(OmegaConf.create(run_dir.config())).names if (run_dir := run_of(checkpoint)) else None
    except InputError:
        # Its skeleton was a file that is gone.
        return None
