"""One evaluation as a sheet, with which training and evaluation end."""

from collections.abc import Mapping
from typing import Any

from poserep.metrics.protocol import Protocol, protocol_line
from poserep.runs.result_values import CALIBRATION_MEASURES, format_number, training_note
from poserep.runs.training_options import training_options
from poserep.sheet import Sheet, numbers, texts

# More values than this are not shown in one row.
WIDEST_ROW = 12


def evaluation_sheet(title: str, evaluation: Mapping[str, Any]) -> Sheet:
    """Return an evaluation as rows of boxes and readouts, with the protocols and who was left out of training."""
    metrics, protocol = evaluation["metrics"], evaluation["protocol"]
    names = list(next(iter(next(iter(metrics.values())).values())))
    # Some scorers have a value for every joint.
    columns = names if len(names) <= WIDEST_ROW else evaluation["columns"]
    measures = [(name, key) for name, key, less in CALIBRATION_MEASURES if less and "calibration" in evaluation]
    rows = []
    for boxes, by_readout in metrics.items():
        for readout, values in by_readout.items():
            scores = evaluation.get("calibration", {}).get(boxes, {}).get(readout, {})
            cells = [format_number(values[c], 2 if c in evaluation["lower"] else 1) for c in columns]
            rows.append([boxes, readout, *cells, *(format_number(scores.get(key), 3) for _, key in measures)])
    heads = (*texts("boxes", "readout"), *numbers(*columns, *(name for name, _ in measures)))
    readouts = next(iter(protocol.values()))
    trainer = evaluation.get("config", {}).get("trainer", {})
    options = training_options(trainer, batch_norm=False)
    if evaluation.get("epochs", trainer.get("epochs")) != trainer.get("epochs"):
        options += f"; ended after {evaluation['epochs']} of {trainer['epochs']} epochs"
    followed = dict.fromkeys(protocol_line([Protocol.load(by[r]) for by in protocol.values()]) for r in readouts)
    notes = [f"protocol: {text}" for text in followed]
    notes += [f"trained with {options}"] if options else []
    return Sheet(title, heads, rows, notes=[*notes, *filter(None, [training_note(evaluation)])])
