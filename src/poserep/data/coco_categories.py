"""Which categories of an annotation file have the joints of a skeleton."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from poserep.data.coco_file import CocoFile
from poserep.data.coco_forms import fields_of_joints
from poserep.data.json_fields import as_integer
from poserep.errors import InputError
from poserep.skeleton import Skeleton, plain_joint

Chosen = int | str | Sequence[int | str] | None


def categories_of(
    file: CocoFile, skeleton: Skeleton, chosen: Chosen = None, need_keypoints: bool = False
) -> dict[int, str]:
    """Return the categories that have the skeleton's keypoints in order, compared by `plain_joint`: names by id.

    ``chosen`` are ids or names of those to take if not all; one without joint names is taken if it is chosen and its
    annotations have as many joints. Of joined fields a category may name the first joints alone. In a file without
    keypoints, such as those of test images, it is the category called ``person``, unless ``need_keypoints`` is set. If
    there is no such category, an `InputError` says what the file has.
    """
    names = {int(c["id"]): str(c.get("name", c["id"])) for c in _numbered(file)}
    given = {int(c["id"]): c["keypoints"] for c in _numbered(file) if isinstance(c.get("keypoints"), list)}
    given = {key: tuple(str(name) for name in joints) for key, joints in given.items() if joints}
    fitting = {key: names[key] for key, joints in given.items() if _fits(joints, skeleton, bool(file.form.fields))}
    if fitting:
        return fitting if chosen is None else _chosen(file, fitting, chosen)
    if given:
        joints = next(iter(given.values()))
        fields = fields_of_joints(file.annotations or ())
        join = f", or join its fields: data.fields=[{','.join(fields)}]" if fields[1:] and not file.form.fields else ""
        raise InputError(
            f"{file.path}: its keypoints are not those of skeleton {skeleton.name!r}: {len(joints)} in the file "
            f"{list(joints)}, {skeleton.num_keypoints} in the skeleton {list(skeleton.names)}; set data.skeleton to "
            f"the file's keypoints{join}"
        )
    if need_keypoints:
        return _nameless(file, names, skeleton, chosen)
    if people := {key: name for key, name in names.items() if name == "person"}:
        return people
    raise InputError(
        f"{file.path}: no category has keypoints and none is called 'person'; take the annotation file whose images "
        "the detections are of"
    )


def detected_categories(detections: Sequence[Any], categories: Mapping[int, str]) -> Mapping[int, str]:
    """Return the categories of detections to take: those of the annotations, or 0 if all detections are of that.

    Detectors of a single category often count from 0.
    """
    detected = {as_integer(record.get("category_id")) for record in detections if isinstance(record, dict)}
    return {0: "the only one of the detections"} if detected == {0} and 0 not in categories else categories


def _numbered(file: CocoFile) -> list[dict[str, Any]]:
    return [c for c in file.categories if isinstance(c, dict) and as_integer(c.get("id")) is not None]


def _fits(joints: tuple[str, ...], skeleton: Skeleton, joined: bool) -> bool:
    # Of joined fields a category names the first one's joints.
    own = skeleton.names[: len(joints)] if joined else skeleton.names
    return [plain_joint(name) for name in own] == [plain_joint(name) for name in joints]


def _chosen(file: CocoFile, fitting: Mapping[int, str], chosen: int | str | Sequence[int | str]) -> dict[int, str]:
    asked = [chosen] if isinstance(chosen, int | str) else list(chosen)
    for one in asked:
        if one not in (*fitting, *fitting.values()):
            there = ", ".join(f"{name} ({key})" for key, name in fitting.items())
            raise InputError(f"data.category={one}: {file.path} has no such category with these joints; it has {there}")
    return {key: name for key, name in fitting.items() if key in asked or name in asked}


def _nameless(file: CocoFile, names: Mapping[int, str], skeleton: Skeleton, chosen: Chosen) -> dict[int, str]:
    """Return the chosen ones of categories that name no joints, if their annotations have as many as the skeleton."""
    needed = skeleton.num_keypoints
    counts = Counter(
        (key, len(joints) // 3)
        for a in file.annotations or ()
        if isinstance(a, dict) and (key := as_integer(a.get("category_id"))) in names
        and isinstance(joints := a.get("keypoints"), list) and joints
    )  # fmt: skip
    fitting = {key: names[key] for key, count in counts if key is not None and count == needed}
    if fitting and chosen is not None:
        return _chosen(file, fitting, chosen)
    if counts:
        (key, count), _ = counts.most_common(1)[0]
        remedy = f"if they are its joints in its order, set data.category={key}"
        if count != needed:
            remedy = "write their names into a configuration of your own: poserep data init FILE"
        raise InputError(
            f"{file.path}: category {names[key or 0]!r} ({key}) does not name its joints; its annotations have "
            f"{count}, skeleton {skeleton.name!r} has {needed}; {remedy}"
        )
    if len({*names.values()}.intersection(skeleton.names)) > needed / 2:
        raise InputError(
            f"{file.path}: its categories are joints ({', '.join(list(names.values())[:3])}, ...) and each annotation "
            "is one point, which says not whose; export as COCO keypoints, with one annotation for each person"
        )
    raise InputError(
        f"{file.path}: no category has keypoints; this is a detection or caption file. For COCO take person_keypoints_*"
    )
