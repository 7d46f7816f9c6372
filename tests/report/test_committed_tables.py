"""Committed tables: both layouts of reports, and files that are something else."""

import pytest

from poserep.errors import InputError
from poserep.report.compare.committed_tables import read_committed

COMPARISON = "scheme,readout,size,setting,params_M,GMACs,boxes,seeds,AP,AP_L,protocol\n"
LINES = "row,mark,mode,size,setting,status,readout,boxes,seeds,paper_AP,ours_AP,sd_AP,protocol\n"


def shown(sheet):
    """Heads of columns and the cells below each."""
    return [(column.text, *cells) for column, *cells in zip(sheet.columns, *sheet.rows, strict=True)]


def test_rows_of_annotated_boxes_are_shown_with_what_tells_them_apart(tmp_path):
    file = tmp_path / "table.csv"
    runs = "Heatmap,dark,64x64,,1.2,0.1,gt,2,61.9,,p\nHeatmap,dark,64x64,,1.2,0.1,det,2,40.3,,p\n"
    file.write_text(f"{COMPARISON}{runs}SimCC,argmax,64x64,k=2,1.2,0.1,gt,3,59.1,,q\n")
    table = read_committed(file, ("AP", "AP_L", "ours_AP"))
    assert table.title == str(file)
    assert shown(table) == [
        ("scheme", "Heatmap", "SimCC"), ("readout", "dark", "argmax"), ("size", "64x64", "64x64"),
        ("setting", "", "k=2"), ("seeds", "2", "3"), ("AP", "61.9", "59.1"),
    ]  # fmt: skip
    # A table of a paper has other columns.
    file.write_text(f"{LINES}IPR,,controlled,64x64,,finished,mean,gt,1,,20.5,,p\n")
    assert shown(read_committed(file, ("AP", "ours_AP", "sd_AP"))) == [
        ("row", "IPR"), ("readout", "mean"), ("mode", "controlled"), ("size", "64x64"), ("seeds", "1"),
        ("ours_AP", "20.5"),
    ]  # fmt: skip


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "other.csv"
    with pytest.raises(InputError, match=r"other\.csv does not exist"):
        read_committed(file, ("AP",))
    for text in ("", "representation,size\nHeatmap,64x64\n"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"other\.csv is no table of runs"):
            read_committed(file, ("AP",))
