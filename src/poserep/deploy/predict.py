"""Find the joints of people in photographs and videos, draw them, and write them in COCO's result format."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from poserep.data.pictures import read_picture
from poserep.deploy.box_arguments import BoxRequests
from poserep.deploy.card import Card
from poserep.deploy.frame_poses import FramePoses, crops_of, estimated
from poserep.deploy.inference import Estimator
from poserep.deploy.media import Frame, drawing_to, frames_of, is_video, read_ahead
from poserep.deploy.scene_poses import scene_of, scenes_estimated
from poserep.errors import InputError, message
from poserep.files import write_json

# Pictures that are read and cropped while others are predicted.
AHEAD = 8


def predict(
    model: Estimator,
    given: Sequence[Path],
    requests: BoxRequests,
    out: Path,
    threshold: float | None = None,
    category: int = 1,
    batch: int = 32,
) -> list[str]:
    """Predict the people of photographs and videos; write a picture or video for each, and keypoints.json.

    They go into the folder ``out``, which is made if missing. Joints whose score does not exceed ``threshold``, the
    model's if None, are drawn hollow. ``category`` is written into keypoints.json, ``batch`` crops, of one or several
    pictures, or whole images are predicted at a time. Files and boxes that cannot be used are left out, with a message
    each; these are returned. Boxes for a model of whole images, and boxes of which none is on any photograph, unless
    there are videos, raise an `InputError`. Nothing is written if no file can be read.
    """
    began, card, read = time.perf_counter(), model.card, model.card.reader
    boxed, alone = bool(requests.everywhere or requests.source), len(given) == 1
    if boxed and not card.takes_boxes:
        raise InputError(f"model {card.run} was trained on whole images and takes no boxes; leave --boxes out")
    if boxed and not any(is_video(path) or requests.on(path) for path in given):
        known = ", ".join(list(requests.ids)[:3]) or "no image"
        raise InputError(
            f"{requests.source} has no box on any of the {len(given)} images; it names {known}: image_id must be the "
            "image's name without ending, or the file must list its images"
        )
    errors: list[str] = []

    def report(line: str) -> None:
        errors.append(line)
        print(f"error: {line}", file=sys.stderr)

    def looked_at(frame: Frame) -> FramePoses:
        if card.scenes:
            return scene_of(card, frame)
        return crops_of(card, frame, requests.on(frame.path, frame.number, alone) if boxed else None)

    def pictures() -> Iterator[FramePoses]:
        for path in given:
            try:
                if is_video(path) and card.reads != "photographs":
                    raise InputError(f"{path}: model {card.run} reads {card.reads}, and a video has none")
                for frame in frames_of(path, read):
                    yield looked_at(frame)
            except InputError as error:
                report(message(error))

    limit = card.score_threshold if threshold is None else threshold
    records: list[dict[str, Any]] = []
    named, count = Counter[str](), 0
    estimate: Callable[..., Iterator[FramePoses]] = scenes_estimated if card.scenes else estimated
    results = estimate(model, read_ahead(pictures(), AHEAD), batch)
    for _, group in groupby(_numbered(results), itemgetter(0)):
        frames = map(itemgetter(1), group)
        first = next(frames)
        path, before, ending = first.frame.path, len(records), ".jpg" if first.frame.number is None else ".mp4"
        # Files of one name may come from several folders.
        named[path.stem + ending] += 1
        number = f"-{named[path.stem + ending]}" if named[path.stem + ending] > 1 else ""
        target = out / f"{path.stem}-pose{number}{ending}"
        height, width = first.frame.image.shape[:2]
        with drawing_to(target, first.frame.rate, width, height) as write:
            length = 0
            for picture in chain([first], frames):
                # A box for every frame is wrong on each of them.
                for line in (line for line in picture.errors if line not in errors):
                    report(line)
                write(picture.drawn(card, limit))
                image_id = requests.image_id(path, picture.frame.number, alone)
                image_id = f"{image_id}{number}" if number else image_id
                records += picture.results(image_id, category)
                length += 1
        count += length
        found = _counted(len(records) - before, "person")
        notes = [f"{_counted(length, 'frame')}, {found}" if is_video(path) else found, *_notes(first.frame, card)]
        notes += [f"no box in {requests.source}"] * (requests.source is not None and len(records) == before)
        print(f"{target}: {'; '.join(notes)}", flush=True)
    if not named:
        return errors
    write_json(out / "keypoints.json", records)
    print(f"{out / 'keypoints.json'}: {_counted(len(records), 'person')}")
    seconds = time.perf_counter() - began
    print(
        f"{_counted(count, 'image')} in {seconds:.1f} s: {count / seconds:.1f} images and {len(records) / seconds:.1f} "
        "persons a second, reading and drawing included"
    )
    return errors


def _numbered(pictures: Iterable[FramePoses]) -> Iterator[tuple[int, FramePoses]]:
    """Yield pictures with the number of their file."""
    file = -1
    for picture in pictures:
        file += not picture.frame.number
        yield file, picture


def _notes(frame: Frame, card: Card) -> Iterator[str]:
    """Yield what is to be said of a file that its camera says should be turned."""
    if frame.turned:
        yield f"turned by {frame.turned} degrees, as it says"
    if frame.number is None and card.orientation != "upright" and read_picture(frame.path).orientation != 1:
        yield "its EXIF orientation is ignored: give --upright to turn it"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
