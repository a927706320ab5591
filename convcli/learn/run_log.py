"""`train --log FILE.jsonl`: a line of JSON for each event worth keeping, written at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convcli.files import check_target
from convcli.learn.fit import Epoch, StepDone
from convcli.learn.run import Run, RunResult
from convcli.net import to_notation


class RunLog:
    """The log of one request: `start`, `epoch` and `result` of each run, with its directory.

    A file that can no longer be written ends the log and not the training.
    """

    def __init__(
        self, path: Path, say: Callable[[str], None], *, goes_on: bool = False, force: bool = False
    ) -> None:
        """Begin an empty file; one that a resumed run goes on with stays as it is.

        Raises:
            OutputExistsError: the file exists, and is neither to be replaced nor gone on with.
            InputError: it cannot be written there.
        """
        self.path, self.say, self.broken = path, say, False
        if not (goes_on and path.is_file()):
            check_target(path, force=force)
            path.unlink(missing_ok=True)

    def start(self, run: Run) -> None:
        """Note what a run is."""
        training = run.training
        self._note(
            "start",
            run=str(run.directory.path),
            network=to_notation(training.model.network),
            data=training.data.name,
            params=training.model.trace.totals.params,
            epochs=training.recipe.epochs,
            epochs_done=len(training.history),
            seed=training.seed,
        )

    def watch(self, run: Run, event: StepDone | Epoch) -> None:
        """Note an epoch."""
        if isinstance(event, Epoch):
            figures = asdict(event) | {"samples_per_second": event.samples_per_second}
            self._note("epoch", run=str(run.directory.path), **figures)

    def result(self, run: Run, result: RunResult) -> None:
        """Note what a run came to."""
        self._note("result", run=str(run.directory.path), **asdict(result))

    def _note(self, event: str, **figures: Any) -> None:
        if self.broken:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"event": event, **figures}) + "\n")
        except OSError as problem:
            self.broken = True
            self.say(f"The log {self.path} is no longer written: {problem.strerror}.")
