"""The style of figures, for all of their tests."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from poserep.drawing import STYLE


@pytest.fixture(autouse=True)
def style():
    """Draw as pages do, and leave no figure open."""
    with plt.rc_context(STYLE):
        yield
    plt.close("all")
