from __future__ import annotations

import json
from pathlib import Path

import pytest

from leaky.cli import main


def test_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "bench.svg"
    assert main(["bench", "--size", "3", "--size", "1Ki", "--seconds", "0", "-o", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "np.where" in out
    assert out.splitlines()[-1] == f"Picture: {picture}"
    assert picture.read_text().startswith("<svg")
    assert main(["bench", "--size", "3", "--dtype", "float16", "--seconds", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "float16"


@pytest.mark.parametrize("size", ["", "-1", "0", "3x", "1.5Mi", "99999999999999Gi"])
def test_bench_says_what_a_size_is(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", f"--size={size}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "size" in line
    assert "expected" in line
