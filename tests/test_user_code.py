from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest

from leaky.user_code import in_one_line, run_file


class OurError(ValueError):
    pass


def test_a_file_is_run_with_its_folder_importable(tmp_path: Path) -> None:
    (tmp_path / "a_neighbour_of_mine.py").write_text("value = 3")
    (tmp_path / "mine.py").write_text("from a_neighbour_of_mine import value\nname = __name__")
    module = run_file(tmp_path / "mine.py")
    assert module.value == 3
    assert sys.modules[module.name] is module


def test_files_of_one_name_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    modules = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text("class Network:\n    pass")
        modules.append(run_file(tmp_path / folder / "net.py"))
    for module in modules:
        assert pickle.loads(pickle.dumps(module.Network)) is module.Network


def test_a_file_that_fails_leaves_no_module(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text("import sys\nhere = sys.modules[__name__]\n1 / 0")
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError):
        run_file(tmp_path / "half.py")
    assert set(sys.modules) == before


def test_the_users_own_line_is_named_not_the_librarys(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import json\n\ndef read():\n    return json.loads('{')")
    read = run_file(tmp_path / "mine.py").read
    with pytest.raises(OurError) as error:
        in_one_line("read() failed", read, OurError)
    assert str(error.value).startswith("read() failed: JSONDecodeError: Expecting property name")
    assert str(error.value).endswith("(mine.py, line 4)")
    assert isinstance(error.value.__cause__, json.JSONDecodeError)


def test_what_is_ours_already_goes_through() -> None:
    def fail() -> None:
        raise OurError("ours")

    with pytest.raises(OurError, match=r"^ours$"):
        in_one_line("it failed", fail, OurError)


def test_an_exit_is_a_failure_and_an_interrupt_is_not() -> None:
    with pytest.raises(OurError, match=r"^it failed: SystemExit: 3"):
        in_one_line("it failed", lambda: sys.exit(3), OurError)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_one_line("it failed", interrupt, OurError)
