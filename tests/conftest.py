"""A run of the whole suite fails where it never gave one of the program's options; one browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from typer.core import TyperCommand

from tests.options import Option, all_options, noting

PARSED = pytest.StashKey[set[Option]]()
SELECTIONS = ("keyword", "markexpr", "lf", "deselect", "ignore", "ignore_glob", "maxfail")
"""Settings of pytest that leave out tests."""
PEERS = ("torch", "onnx", "h5py", "tensorboard", "distributed", "optuna", "tifffile", "playwright")
"""Packages without which tests are skipped, and options not given."""
GIVEN_ELSEWHERE = {"--warm"}
"""Options that tests give to a process of its own: doctor's, whose cache must be a fresh one."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PARSED] = set()
    TyperCommand.parse_args = noting(config.stash[PARSED])  # type: ignore[method-assign]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker of xdist has noted."""
    parsed = getattr(node, "workeroutput", {}).get("options", ())
    node.config.stash[PARSED].update(tuple(option) for option in parsed)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["options"] = sorted(config.stash[PARSED])
    elif exitstatus == pytest.ExitCode.OK and untested(config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if missing := untested(config):
        terminalreporter.section("options that no test gave", red=True, bold=True)
        for line in missing:
            terminalreporter.line(line)


def untested(config: pytest.Config) -> list[str]:
    """Return the options that no test gave; none are missed where only a part of the suite ran."""
    part = any(config.getoption(name, None) for name in SELECTIONS)
    part = part or any(find_spec(name) is None for name in PEERS)
    if part or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return []
    return sorted(
        f"convcli {command} {option[0]}"
        for option, command in all_options().items()
        if option not in config.stash[PARSED] and option[0] not in GIVEN_ELSEWHERE
    )


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the page is run in a browser; extra [browser]"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
