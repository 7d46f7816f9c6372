"""Learnt scores: a head on a finished run's features, which changes scores and nothing else; and an oracle's scores."""

import numpy as np
import pytest
import torch

from poserep import cli
from poserep.errors import InputError
from poserep.models import ConfidenceHead
from poserep.training import evaluate, learn_scores


def evaluated(run_dir, *overrides):
    result = evaluate.reevaluate(run_dir, evaluate.configure(run_dir, ["boxes=[gt]", "flip_test=false", *overrides]))
    with np.load(run_dir / f"evaluation-{result['id']}.npz") as file:
        return result, dict(file)


def test_a_head_learns_which_joints_to_trust():
    # Joints are good where their feature says so, whatever the codec's score.
    torch.manual_seed(0)
    head, rng = ConfidenceHead(6, 5), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(150):
        maps, place = torch.randn(16, 6, 8, 8, generator=rng), 1.8 * torch.rand(16, 5, 2, generator=rng) - 0.9
        here = torch.nn.functional.grid_sample(maps, place[:, :, None], align_corners=False)[..., 0].mT
        oks = torch.where(here[..., 0] > 0, 0.9, 0.2)
        logits = head([maps], place, torch.rand(16, 5, generator=rng))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, oks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (logits.sigmoid() - oks).abs().mean() < 0.15


@pytest.mark.parametrize("features", [[torch.randn(2, 7, 5, 4)], [torch.randn(2, 3, 9, 8), torch.randn(2, 7, 5, 4)],
                                      [torch.randn(2, 5, 7)]], ids=["map", "maps", "tokens"])  # fmt: skip
def test_a_head_reads_maps_several_maps_and_tokens(features):
    channels = 3 if len(features) > 1 else 7
    logits = ConfidenceHead(channels, 5)(features, torch.zeros(2, 5, 2), torch.tensor([[0.0, 1.0, 0.5, 0.2, 0.9]] * 2))
    assert logits.shape == (2, 5) and torch.isfinite(logits).all()


def test_learnt_scores_replace_scores_and_nothing_else(trained, capsys):
    run_dir, _ = trained("representation=heatmap")
    assert cli.main(["learn-scores", str(run_dir), "--epochs", "2", "flip_test=false"]) == 0
    assert f"poserep evaluate {run_dir} checkpoint=learnt" in capsys.readouterr().out
    before, plain = evaluated(run_dir)
    after, learnt = evaluated(run_dir, "checkpoint=learnt")
    protocol = after["protocol"]["gt"]["shift"]
    assert (protocol["score"], protocol["temperature"]) == ("learnt", 1)
    assert before["protocol"]["gt"]["shift"]["score"] == "contract"
    for readout in ("shift", "argmax", "dark"):
        np.testing.assert_array_equal(learnt[f"gt/{readout}/xy"], plain[f"gt/{readout}/xy"])
        score = learnt[f"gt/{readout}/score"]
        assert ((score > 0) & (score < 1)).all() and (score != plain[f"gt/{readout}/score"]).all()
    state = [torch.load(run_dir / f"checkpoints/{n}.ckpt", weights_only=True)["state_dict"] for n in ("last", "learnt")]
    assert all(torch.equal(state[1][key], value) for key, value in state[0].items())
    assert {key for key in state[1] if key not in state[0]} == {k for k in state[1] if k.startswith("score_head.")}
    assert cli.main(["export", str(run_dir), "learnt.onnx", "checkpoint=learnt"]) == cli.REFUSED
    assert "has learnt scores, which are for evaluation; take another one" in capsys.readouterr().err
    # Learnt anew from a checkpoint that has them already.
    learn_scores.learn_scores(run_dir, evaluate.configure(run_dir, ["checkpoint=learnt"]), epochs=1)


def test_scores_that_cannot_be_learnt_are_refused(trained, capsys):
    run_dir, _ = trained("representation=heatmap")
    assert cli.main(["learn-scores", str(run_dir), "--epochs", "0"]) == cli.REFUSED
    with pytest.raises(InputError, match=r"poserep learn-scores .* makes it"):
        evaluated(run_dir, "checkpoint=learnt")
    with pytest.raises(InputError, match="learn from score=contract"):
        learn_scores.learn_scores(run_dir, evaluate.configure(run_dir, ["+representation.codec.score=published"]))


def test_no_scores_rank_better_than_the_true_oks(trained):
    run_dir, _ = trained("representation=heatmap")
    plain, arrays = evaluated(run_dir)
    oracle, same = evaluated(
        run_dir, "data.metric._target_=poserep.metrics.OracleScoredAP", "data.metric.nms_threshold=null"
    )
    np.testing.assert_array_equal(arrays["gt/shift/score"], same["gt/shift/score"])
    assert oracle["protocol"]["gt"]["shift"]["metric"]["_target_"].endswith("OracleScoredAP")
    for readout, values in oracle["metrics"]["gt"].items():
        assert values["AP"] >= plain["metrics"]["gt"][readout]["AP"]
        assert values["AR"] == pytest.approx(plain["metrics"]["gt"][readout]["AR"])
