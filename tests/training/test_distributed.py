"""Two and three processes (gloo) find what one finds."""

import os
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from poserep import cli
from poserep.runs import stop_request
from poserep.runs.create import prepare
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate
from poserep.training.fit import fit


def in_ranks(count: int, words: list[str], log: Path) -> str:
    """Run ``poserep`` or, of a directory alone, its training as so many ranks, and return what they printed.

    The ranks are forked from a server, so that the packages are imported once.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["poserep.training.fit"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = [context.Process(target=run_rank, args=(rank, count, port, words, log)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    printed = log.read_text()
    assert [process.exitcode for process in processes] == [0] * count, printed
    return printed


def run_rank(rank: int, count: int, port: int, words: list[str], log: Path) -> None:
    """Be one of several ranks, as torchrun would start it."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {key: str(number) for key, number in numbers.items()} | {"MASTER_ADDR": "127.0.0.1"}
    os.environ[stop_request.PARENT] = str(os.getppid())
    # A sum over several threads differs in its last bit from one over one thread, which is all that ranks get.
    torch.set_num_threads(1)
    with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
        sys.exit(cli.main(words) if words[1:] else cli.ended(lambda: fit(words[0]) and None))


def train_on_two(run_dir, log: Path) -> str:
    printed = in_ranks(2, [str(run_dir)], log)
    assert run_dir.result()["devices"] == 2
    return printed


@pytest.mark.slow
def test_two_processes_train_and_two_and_three_evaluate_as_one(configure, tmp_path):
    # Eleven persons in batches of four, four and three: with two processes one batch is repeated, and must count once.
    cfg = configure("representation=heatmap", "data.prepare.val=11", "trainer.epochs=2", "trainer.devices=2")
    run_dir = prepare(cfg, "backbone")
    printed = train_on_two(run_dir, tmp_path / "two")
    assert printed.count("batch 4 on 2 cpu") == 1, "only the first process speaks"
    two = run_dir.result()
    assert two["metrics"]["gt"]["argmax"]["AP"] >= 0
    assert list(run_dir.predictions()["gt/index"]) == list(range(11))
    one = reevaluate(run_dir, reconfigure(run_dir, ["trainer.devices=1"]))["id"]
    first, file = run_dir.result(one), run_dir.predictions_file(one)
    predictions = file.read_bytes()
    file.unlink()
    in_ranks(3, ["evaluate", str(run_dir), "trainer.devices=3"], tmp_path / "three")
    # Devices are no part of what is evaluated, so the id is the same.
    for several in (two, run_dir.result(one)):
        for key in ("metrics", "calibration", "errors"):
            assert several[key] == first[key]
    for several in (run_dir.predictions_file(), file):
        assert several.read_bytes() == predictions, "the files of predictions, byte for byte"


@pytest.mark.long
@pytest.mark.parametrize(
    ("backbone", "representation"),
    [("hrnet_w32", "heatmap"), ("hg4", "heatmap"), ("resnet18", "srpose"), ("tokenpose_s", "simcc")],
)
def test_no_parameter_is_left_without_gradient_in_two_processes(configure, backbone, representation, tmp_path):
    # A parameter that a step leaves out stops the next one, unless Lightning is told to look for such.
    overrides = ["trainer.epochs=2", "trainer.devices=2", "boxes=[gt]", "flip_test=false"]
    run_dir = prepare(configure(f"backbone={backbone}", f"representation={representation}", *overrides), backbone)
    assert "find_unused_parameters" not in train_on_two(run_dir, tmp_path / "two")


@pytest.mark.long
def test_two_processes_train_with_all_options_as_one_with_none_but_averages(configure, tmp_path):
    # A network without batch norm.
    net = ["backbone=vitpose_s", "+backbone.depth=1", "backbone.drop_path=0", "representation=regression"]
    own = [*net, "trainer.epochs=2", "trainer.ema=0.9", "trainer.clip=1", "boxes=[gt]", "flip_test=false"]
    weights = []
    for more in (["trainer.devices=1"], ["trainer.devices=2", "trainer.micro_batch=1", "trainer.patience=9"]):
        run_dir = prepare(configure(*own, *more), "vitpose_s")
        fit(run_dir) if "trainer.devices=1" in more else train_on_two(run_dir, tmp_path / "two")
        weights.append(torch.load(run_dir.checkpoint("last"), weights_only=True)["state_dict"])
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, rtol=1e-4, atol=1e-6)
