"""Fitting a temperature on one half of the images and measuring it on the other."""

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.metrics.calibration import Joints, calibration_summary, temper
from poserep.training.calibrate import first_half, fit_on_half


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def test_halves_are_the_same_everywhere_and_keep_images_whole():
    image_id = np.arange(12)
    assert first_half(image_id).astype(int).tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0]
    assert (first_half(np.repeat(image_id, 3)) == np.repeat(first_half(image_id), 3)).all()
    assert first_half(np.arange(10_000)).mean() == pytest.approx(0.5, abs=0.02)


def test_a_temperature_is_fitted_on_one_half_and_judged_on_the_other():
    score, image_id = noise(400), np.repeat(np.arange(40), 10)
    fitted = first_half(image_id)
    # What the temperature is judged by is far from what it was fitted to.
    values = np.where(fitted, temper(score, 2.0), 0.5)
    found = fit_on_half({"a": Joints(score, values, image_id), "b": Joints(score**2, values, image_id)}, "a")
    assert found["temperature"] == pytest.approx(2, rel=1e-4) and found["readout"] == "a"
    assert found["fitted"] == {"images": fitted.sum() // 10, "joints": fitted.sum()}
    assert found["judged"] == {"images": (~fitted).sum() // 10, "joints": (~fitted).sum()}
    assert found["readouts"]["a"]["before"] == calibration_summary(score[~fitted], values[~fitted])
    assert found["readouts"]["b"]["after"] == calibration_summary(
        temper(score[~fitted] ** 2, found["temperature"]), values[~fitted]
    )


def test_one_image_is_too_few():
    with pytest.raises(InputError, match=r"all 1 images .* takes more images"):
        fit_on_half({"a": Joints(noise(9), noise(9), np.zeros(9, int))}, "a")
