"""COCO's AP if persons were ranked by their true OKS: what better scores could gain at most, with the same points."""

from dataclasses import replace

import numpy as np

from poserep.metrics.coco import CocoAP
from poserep.metrics.oks import joint_oks
from poserep.metrics.scorer import Predictions


class OracleScoredAP(CocoAP):
    """`CocoAP` of persons whose scores are their OKS with the annotated person of their image whom they fit best.

    Scores of joints and boxes have no influence, those of people in whole images neither but for their own ranking,
    which stays. Options are those of `CocoAP`; `data.metric._target_=poserep.metrics.OracleScoredAP` takes it.
    """

    def _rescored(self, predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index, instances = predictions.index, self.truth.instances
        score, image = np.zeros(len(index)), instances.image_id[index]
        for person in self.persons()[0]:
            joints = np.reshape(person["keypoints"], (1, -1, 3)).astype(float)
            labelled, rows = joints[0, :, 2] > 0, np.flatnonzero(image == person["image_id"])
            if person["iscrowd"] or not labelled.any() or not person["area"] > 0 or not len(rows):
                continue
            area = np.full(len(rows), person["area"])
            similarity = joint_oks(predictions.xy[rows], joints[..., :2], area, self.truth.sigmas)
            score[rows] = np.maximum(score[rows], similarity[:, labelled].mean(1))
        # Divided by what it is multiplied with when persons are rescored.
        share = score / np.where(instances.score[index] > 0, instances.score[index], 1)
        shown = np.repeat(share[:, None], predictions.score.shape[1], 1)
        return super()._rescored(replace(predictions, score=shown, threshold=-1.0))
