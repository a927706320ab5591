"""What was made of a model: exported and imported ones, pages, features, one that slides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from convcli.layers.base import shape_text
from convcli.net import to_notation
from convcli.net.words import layer_text
from convcli.report import Report, tabulate

if TYPE_CHECKING:
    from convcli.data import Dataset
    from convcli.exchange.export import Exported
    from convcli.exchange.features import FeatureExtractor
    from convcli.inspect.convolutionalize import Sliding
    from convcli.learn.modelfile import TrainedModel


def export_report(exported: Exported) -> Report:
    """Return what was written, one row for each file."""
    shapes = {"input": exported.input, "output": exported.output}
    records = [{"file": str(p), "bytes": p.stat().st_size, **shapes} for p in exported.files]
    columns = {"file": "File", "bytes": "Bytes", "input": "Input", "output": "Output"}
    document = {
        "format": exported.format,
        "files": [str(path) for path in exported.files],
        **shapes,
        "preprocessing": exported.preprocessing,
    }
    return tabulate(records, columns, document=document)


def page_report(path: Path) -> Report:
    """Return the page that was written of it, in one row."""
    written = {"file": str(path), "bytes": path.stat().st_size}
    return tabulate([written], {"file": "File", "bytes": "Size|B"}, document=written)


def import_report(model: TrainedModel, place: Path, whence: Mapping[str, str]) -> Report:
    """Return what was made of the file, in one row, and which of its layers went where."""
    trace, notation = model.network.trace(), to_notation(model.network)
    record = {
        "model": str(place),
        "params": trace.totals.params,
        "input": model.network.input_shape,
        "output": trace.output_shape,
    }
    columns = {"model": "Model", "params": "Parameters", "input": "Input", "output": "Output"}
    document = {
        "model": str(place),
        "network": notation,
        "params": trace.totals.params,
        "classes": model.class_names,
        "outputs": model.outputs,
        "scale": model.preprocessing.scale,
        "offset": model.preprocessing.offset,
    }
    if whence:
        document["arrays"] = whence
    report = tabulate([record], columns, title=notation, document=document)
    if all(name == layer for name, layer in whence.items()):
        return report
    rows = [{"file": name, "layer": layer} for name, layer in whence.items()]
    headers = {"file": "In the file", "layer": "Layer"}
    return replace(report, parts=(replace(tabulate(rows, headers), name="arrays"),))


def features_report(extractor: FeatureExtractor, data: Dataset, place: Path, what: str) -> Report:
    """Return one row for each split.

    Args:
        extractor: that made them.
        data: the features with their labels.
        place: their file.
        what: the features are, in words.
    """
    counts = {name: len(split) for name, split in data.splits().items()}
    document = {
        "file": str(place),
        "layer": extractor.step.name,
        "features": extractor.length,
        "pooled": extractor.pool,
        "samples": counts,
        "classes": data.class_names,
    }
    return tabulate(
        [{"split": s, "samples": n, "features": extractor.length} for s, n in counts.items()],
        {"split": "Split", "samples": "Samples", "features": "Features"},
        title=f"{place}: {what}",
        document=document,
    )


def sliding_report(model: TrainedModel, how: Sliding, place: Path) -> Report:
    """Return the layers of a fully convolutional model, and at which places it answers."""
    steps = [
        {
            "index": s.index,
            "layer": layer_text(s.layer),
            "output": s.output_shape,
            "params": s.params,
        }
        for s in model.model.trace.steps
    ]
    columns = {"index": "#", "layer": "Layer", "output": "Output", "params": "Parameters"}
    every = f"One answer for every window of {shape_text(how.window)}, {shape_text(how.stride)}"
    padded = (
        "Its layers pad, so inside a larger picture the answers differ from the classifier's on "
        "each window; without padding they would be equal."
    )
    document = {
        "model": str(place),
        "network": to_notation(model.network),
        "window": how.window,
        "stride": how.stride,
        "exact": how.exact,
    }
    notes = [f"{every} apart.", *([] if how.exact else [padded])]
    totals = {"layer": "total", "params": model.model.trace.totals.params}
    return tabulate(steps, columns, totals=totals, notes=notes, document=document)
