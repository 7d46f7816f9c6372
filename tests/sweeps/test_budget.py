"""What tables cost: the arithmetic, which measurements it rests on, and that what `make help` reads is not stale."""

import csv
import json
import subprocess

import pytest

from poserep import cli
from poserep.models.cost import macs
from poserep.overrides import CONF
from poserep.skeleton import COCO
from poserep.sweeps import budget
from poserep.sweeps.step_times import DeviceRecord, MeasuredNetwork, macs_of, read_records, seconds_per_image
from poserep.sweeps.sweep_file import complete_table, compositions, table_names
from poserep.sweeps.table import cells_of
from poserep.training.network import build_network


def record(device="gpu x", gpu=True, *networks):
    return DeviceRecord(device, gpu, networks or (MeasuredNetwork("net", {}, 10**9, {False: 0.01, True: 0.005}),))


def test_work_is_six_operations_a_multiply_accumulate(configure):
    cfg = configure("backbone=resnet18_s8", "representation=heatmap", "size=64x64")
    net, _ = build_network(cfg, COCO)
    assert macs_of(cfg) == macs(net, 64, 64)
    cost = budget.estimate("demo", None, [record()])
    # 4000 drawn people, 8 epochs, three heads.
    assert cost.runs == 3 and cost.images == 3 * 4000 * 8
    demo = compositions("demo", [cell.overrides for cell in cells_of(complete_table("demo"))])
    assert cost.flops == pytest.approx(6 * 32_000 * sum(map(macs_of, demo)))
    # A hundredth of a second for 10^9, in float32.
    hours = pytest.approx(cost.flops / 6 / 1e9 * 0.01 / 3600)
    assert cost.times == (budget.DeviceTime("gpu x", True, hours, ("net",), 3),)


def test_the_nearest_measurement_counts(configure):
    cfg = configure("backbone=resnet18_s8", "size=64x64")
    own = {key: value for key, value in cfg.backbone.items() if key != "weights"}
    count = macs_of(cfg)
    far = MeasuredNetwork("far", {}, 10 * count, {False: 1.0, True: 0.5})
    near = MeasuredNetwork("near", {}, 2 * count, {False: 1.0, True: 0.5})
    same = MeasuredNetwork("same", own, 100 * count, {False: 1.0, True: 0.5})
    exact = MeasuredNetwork("exact", own, count, {False: 1.0, True: 0.5})
    assert seconds_per_image([far, near], cfg, count) == (0.5, near, True)
    # A network's own speed at another size is nearer than another network's.
    assert seconds_per_image([far, near, same], cfg, count) == (0.01, same, True)
    assert seconds_per_image([far, near, same, exact], cfg, count) == (1.0, exact, False)
    cfg.trainer.precision = "bf16-mixed"
    assert seconds_per_image([exact], cfg, count)[0] == 0.5


def test_persons(configure):
    assert budget.training_persons(configure("data=coco", "trainer.limit=null"), own_data=False) == 149_813
    assert budget.training_persons(configure("data=mpii", "trainer.limit=5"), own_data=False) == 5
    assert budget.training_persons(configure("data=coco"), own_data=True) is None
    assert budget.training_persons(configure("data.prepare.train=11"), own_data=True) == 11


def test_a_table_in_words(capsys):
    cost = budget.estimate("demo", None, [record("Fast GPU")])
    text = "\n".join(budget.describe(cost, 40))
    assert "on one Fast GPU: " in text and "assumed" not in text and " of 3 runs scaled by multiply-accumulates" in text
    text = "\n".join(budget.describe(budget.estimate("demo", None, []), 40))
    assert f"{cost.flops / 40e12 / 3600:.3g} hours at 40 TFLOP/s, which is assumed: no GPU was measured" in text
    (line,) = budget.describe(budget.estimate("lspet", None, []), 40)
    assert line == "lspet (published): 3 runs; the number of persons depends on data.root"
    (line,) = budget.describe(budget.estimate("simdr-table4", None, []), 40)
    assert line == "simdr-table4 (published): 0 runs: all of its rows are quoted"


def test_numbers_have_no_exponent():
    assert [budget.three_digits(x) for x in (1013.2, 0.000498, 12.74, 0)] == ["1010", "0.000498", "12.7", "0"]


def test_records_tell_gpus_from_processors(tmp_path):
    row = {"backbone": "resnet18_s8", "representation": "heatmap", "size": "64x64", "batch": 4}
    row |= {"channels_last": {"ms": 20.0}, "channels_last, bf16": {"ms": 8.0}}
    for name, device in (("a", "steps NVIDIA X"), ("b", "steps Some CPU")):
        data = {"device": device, "processor": "Some CPU", "rows": [row]}
        (tmp_path / f"training-steps-{name}.json").write_text(json.dumps(data))
    gpu, cpu = read_records(tmp_path)
    assert (gpu.device, gpu.gpu, cpu.device, cpu.gpu) == ("NVIDIA X", True, "Some CPU", False)
    assert gpu.networks[0].seconds == {False: 0.005, True: 0.002} and gpu.networks[0].name == "resnet18_s8 64x64"


def test_record_is_read_back(tmp_path):
    found = [budget.estimate(name, None, []) for name in ("lspet", "demo")]
    (tmp_path / "budget.csv").write_text(budget.file_sheet(found, 50).csv())
    rows = list(csv.DictReader((tmp_path / "budget.csv").open()))
    assert [row["table"] for row in rows] == ["demo", "lspet"] and rows[1]["gpu_hours"] == "" and rows[1]["runs"] == "3"
    assert rows[0]["gpu"] == "assumed 50 TFLOP/s" and rows[0]["person_epochs"] == "96000"


def test_what_help_reads_is_not_stale():
    rows = {row["table"]: row for row in csv.DictReader(budget.RECORD.open())}
    remedy = "run poserep sweep budget --record"
    assert list(rows) == sorted(table_names()), remedy
    counted = {name: len(cells_of(complete_table(name))) for name in rows}
    assert {name: int(row["runs"]) for name, row in rows.items()} == counted, remedy
    assert {name: row["mode"] for name, row in rows.items()} == {n: complete_table(n).mode for n in rows}, remedy
    assert any(r.gpu for r in read_records()) != any(row["gpu"].startswith("assumed") for row in rows.values()), remedy


def test_one_table_is_recorded_among_the_others():
    kept = "table,runs\nbottom-up,1\ngone,2\nscores,3\n"
    assert budget.recorded("table,runs\ndemo,4\nscores,5\n", kept) == "table,runs\nbottom-up,1\ndemo,4\nscores,5\n"


def test_help_lists_every_sweep():
    done = subprocess.run(["make", "help"], capture_output=True, text=True, cwd=CONF.parent, check=True)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ")}
    assert {path.stem for path in (CONF.parent / "sweeps").glob("*.yaml")} <= set(lines)
    hours = next(row["gpu_hours"] for row in csv.DictReader(budget.RECORD.open()) if row["table"] == "simcc-table1")
    assert f" 18 {hours:>5} h  SimCC, table 1" in lines["simcc-table1"] and "<0.1 h" in lines["demo"]
    assert "   -       -  " in lines["quantisation"]


def test_refusals(capsys):
    for words, message in (
        (["simcc-table11"], "no table 'simcc-table11' with rows to train; did you mean simcc-table1"),
        (["demo", "--tflops", "0"], "--tflops 0: give a number above 0"),
        (["demo", "--record", "--mode", "controlled"], "--record is for tables as they are"),
    ):
        assert cli.main(["sweep", "budget", *words]) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")
