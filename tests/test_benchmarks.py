"""The benchmarks run, lose nothing, and their figures can be plotted.

The measured values are not checked, because that needs a machine with no other work.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import drivers, pages, plots
from tests.support.servers import ROOT

RUN_SECONDS = 90


@pytest.mark.server
@pytest.mark.timeout(RUN_SECONDS + 30)
@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="needs Linux's accounting"
)
def test_a_small_run_loses_nothing_and_can_be_plotted(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--connections", "50", "--quick", "--only", "push,baseline,bare,login"]
    run = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *options, "--json", str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = run.communicate(timeout=RUN_SECONDS)
    finally:
        if run.poll() is None:
            # It stops its servers first.
            run.send_signal(signal.SIGTERM)
            run.wait(15)
    assert run.returncode == os.EX_OK, output
    figures = json.loads(file.read_text())
    assert [server["name"] for server in figures["servers"]] == ["push", "baseline"]
    assert len(figures["connects"]) == 4
    for one in figures["servers"] + figures["connects"]:
        assert one["faults"] == 0, one
    for server in figures["servers"]:
        assert server["tallies"]["paced"]["received"] == 2 * 3 * 50

    plots.main([str(file), str(tmp_path)])
    drawn = {path.stem for path in tmp_path.glob("*.svg")}
    assert drawn == {"connects", *(plot.file for plot in plots.PLOTS)}


def test_a_plot_is_well_formed_and_tells_the_values() -> None:
    bars = [plots.Bar("ours <1>", 2.5, True), plots.Bar("theirs", 10, False)]
    root = ET.fromstring(plots.svg('A "title"', bars, "µs", 1))
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{space}text")]
    assert texts == ['A "title"', "ours <1>", "2.5 µs", "theirs", "10.0 µs"]
    widths = [float(element.attrib["width"]) for element in root.iter(f"{space}rect")]
    assert widths[1] == pytest.approx(4 * widths[0], abs=0.2)
    assert "theirs 10.0 µs" in root.attrib["aria-label"]


@pytest.mark.server
def test_pages_and_streams_are_measured_under_a_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert pages.main(["--only", "flask run --without", "--streams", "20"]) == os.EX_OK
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("flask run --without-threads")
    assert "handed-off" in line
    assert " 20 " in line


@pytest.mark.server
def test_what_a_locked_database_does_to_streams_is_measured() -> None:
    took, silence, slowest = drivers.measure("sqlite3, locked", "postgresql://unused")
    assert min(took, silence, slowest) > 0
