import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.data.pickled_arrays import read_pickled_arrays
from dancelcm_cli.errors import InputError


class Malice:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_come_back_by_their_path(protocol: int) -> None:
    kernel, bias = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2)
    content = pickle.dumps({"a": {"b": {"kernel": kernel}, "bias": bias}}, protocol)
    arrays = read_pickled_arrays(content)
    assert list(arrays) == ["a/b/kernel", "a/bias"]
    assert np.array_equal(arrays["a/b/kernel"], kernel)
    assert arrays["a/bias"].dtype == np.float64


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_arrays_of_old_and_new_numpy_are_read(module: bytes) -> None:
    content = pickle.dumps({"a": np.ones(3)}, protocol=3)
    renamed = content.replace(b"numpy._core.multiarray", module)
    assert np.array_equal(read_pickled_arrays(renamed)["a"], np.ones(3))


def test_foreign_code_is_named_and_not_run(tmp_path: Path) -> None:
    content = pickle.dumps({"a": np.ones(3), "b": Malice(tmp_path / "run")}, protocol=4)
    with pytest.raises(InputError, match=r"would import (posix|nt)\.system") as caught:
        read_pickled_arrays(content)
    assert "Nothing of it was run" in caught.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("module", ["numpy.f2py", "os", "builtins"])
def test_an_allowed_name_of_another_module_is_refused(module: str) -> None:
    with pytest.raises(InputError, match=f"would import {module}.dtype"):
        read_pickled_arrays(f"c{module}\ndtype\n.".encode())


@pytest.mark.parametrize("value", [{"a": 3}, {"a": [np.ones(2)]}, "text"])
def test_what_is_no_array_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="there is a"):
        read_pickled_arrays(pickle.dumps(value, protocol=4))


def test_damage_is_told() -> None:
    content = pickle.dumps({"a": np.ones(100)}, protocol=4)
    for damaged in (content[:-50], b"", b"no pickle"):
        with pytest.raises(InputError, match="must hold nothing else"):
            read_pickled_arrays(damaged)
