"""The benchmark of a GPU at toy size on a CPU, so that it runs the first time where there is one."""

import gpu
import pytest


@pytest.mark.long
def test_all_is_measured(capsys):
    found = gpu.main(["--device", "cpu", "--toy"])
    ways = [(row["representation"], row["way"]) for row in found["rows"]]
    assert ways == [(name, way) for name in gpu.TOY["representations"] for way in gpu.EAGER]
    assert all(row["train_img_s"] > 0 and 0 < row["share"] < 1 for row in found["rows"])
    assert [row["cached"] for row in found["loaded"]] == [False, True]
    assert "waiting for data" in capsys.readouterr().out


def test_pairs_that_do_not_go_together_are_left_out_and_named(capsys):
    assert gpu.rows_of(["resnet18_s8"], ["srpose"], "64x64", 2, 1, gpu.torch.device("cpu")) == []
    assert "left out: resnet18_s8 with srpose: SRPose: the backbone gives 2 maps" in capsys.readouterr().out
