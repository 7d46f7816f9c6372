"""Files of a run as earlier versions and accidents leave them."""

import pytest

from poserep.errors import InputError
from poserep.runs.rundir import RunDir


def test_configurations_of_earlier_versions_are_read_under_todays_names(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    lines = ["backbone: {_target_: poserep.models.HRFormer, keep_fusions: false}", "representation:", "  codec:"]
    lines += ["    readouts: {shift: {pool: 16, kernel: 1}}", "    label: {published_score: max, sigma: 6}"]
    lines += ["    criterion:", "      _target_: poserep.losses.MSE", "optim: {schedule: null}"]
    run_dir.write_config("\n".join(lines))
    config = run_dir.config()
    parts = {"readouts": {"shift": {"kernel": 1}}, "label": {"sigma": 6}}
    assert config["representation"]["codec"] == parts | {"criterion": {"_target_": "poserep.codecs.losses.MSE"}}
    assert config["backbone"] == {"_target_": "poserep.models.HRFormer"}


@pytest.mark.parametrize("text", ["", "a: [", "- 1"])
def test_a_damaged_configuration_is_named(tmp_path, text):
    run_dir = RunDir(tmp_path)
    run_dir.config_file.write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml is damaged \(.*\); the command that made it writes it again"):
        run_dir.config()
