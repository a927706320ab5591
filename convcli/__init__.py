"""Convolution from the command line and from Python.

The public names load on first use (PEP 562), so that `import convcli` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers see of the names that load on first use
    from convcli.api.estimators import (
        ConvClassifier as ConvClassifier,
        ConvRegressor as ConvRegressor,
    )
    from convcli.api.explaining import (
        explain_adam as explain_adam,
        explain_backward as explain_backward,
        explain_bn as explain_bn,
        explain_conv as explain_conv,
        explain_dense as explain_dense,
        explain_forward as explain_forward,
        explain_permutation as explain_permutation,
        explain_pool as explain_pool,
        explain_softmax as explain_softmax,
        explain_translation as explain_translation,
    )
    from convcli.api.networks import compare as compare, list_presets as list_presets
    from convcli.api.pictures import (
        filter_image as filter_image,
        filter_result as filter_result,
        kernel as kernel,
        list_kernels as list_kernels,
        pool as pool,
    )
    from convcli.api.seeing import (
        Drawn as Drawn,
        lesson as lesson,
        show_activations as show_activations,
        show_cam as show_cam,
        show_confusion as show_confusion,
        show_curves as show_curves,
        show_errors as show_errors,
        show_filters as show_filters,
        show_heatmap as show_heatmap,
        show_maximize as show_maximize,
        show_occlusion as show_occlusion,
        show_receptive as show_receptive,
        show_robustness as show_robustness,
        show_saliency as show_saliency,
        write_page as write_page,
        write_report as write_report,
    )
    from convcli.api.training import (
        evaluate as evaluate,
        fit as fit,
        gradcheck as gradcheck,
        list_runs as list_runs,
        lr_find as lr_find,
        predict as predict,
        run_sweep as run_sweep,
    )
    from convcli.data import Dataset as Dataset, Split as Split, load_dataset as load_dataset
    from convcli.engine.correlation import convolve as convolve, correlate as correlate
    from convcli.exchange.export import export_model as export_model
    from convcli.exchange.features import features as features
    from convcli.exchange.importing import import_model as import_model
    from convcli.inspect.convolutionalize import convolutionalize as convolutionalize
    from convcli.learn.modelfile import TrainedModel as TrainedModel, load as load
    from convcli.learn.recipes import Recipe as Recipe
    from convcli.net import Network as Network
    from convcli.net.lookup import network as network
    from convcli.net.solving import solve as solve
    from convcli.present.comparison import comparison_document as comparison_document
    from convcli.present.installation import installation_report as installation_report
    from convcli.present.run_page import (
        run_document as run_document,
        write_run_page as write_run_page,
    )

__version__ = "0.1.0"

_NAMES = {
    "api.estimators": "ConvClassifier ConvRegressor",
    "api.explaining": (
        "explain_adam explain_backward explain_bn explain_conv explain_dense explain_forward "
        "explain_permutation explain_pool explain_softmax explain_translation"
    ),
    "api.networks": "compare list_presets",
    "api.pictures": "filter_image filter_result kernel list_kernels pool",
    "api.seeing": (
        "Drawn lesson show_activations show_cam show_confusion show_curves show_errors "
        "show_filters show_heatmap show_maximize show_occlusion show_receptive show_robustness "
        "show_saliency write_page write_report"
    ),
    "api.training": "evaluate fit gradcheck list_runs lr_find predict run_sweep",
    "data": "Dataset Split load_dataset",
    "engine.correlation": "convolve correlate",
    "exchange.export": "export_model",
    "exchange.features": "features",
    "exchange.importing": "import_model",
    "inspect.convolutionalize": "convolutionalize",
    "learn.modelfile": "TrainedModel load",
    "learn.recipes": "Recipe",
    "net": "Network",
    "net.lookup": "network",
    "net.solving": "solve",
    "present.comparison": "comparison_document",
    "present.installation": "installation_report",
    "present.run_page": "run_document write_run_page",
}
"""Module -> the public names that it defines."""

_HOME = {name: f"convcli.{module}" for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  (names come from the table above)


if not TYPE_CHECKING:  # checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'convcli' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
