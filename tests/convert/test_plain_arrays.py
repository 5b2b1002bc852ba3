"""NumPy's arrays in files of PyTorch."""

import numpy as np
import pytest
import torch

from senet_jax.convert.checkpoint import read_checkpoint
from senet_jax.system.errors import UserError


def test_arrays_are_read_as_they_were_written(tmp_path):
    arrays = {
        "rows": np.arange(6.0).reshape(2, 3),
        "columns": np.arange(6, dtype=np.float32).reshape(3, 2).T,
        "other order": np.arange(3, dtype=">f8"),
    }
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": arrays}, tmp_path / "file.pth")
    found = read_checkpoint(tmp_path / "file.pth").beside["meta"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


class _Call:
    def __reduce__(self):
        return print, ("called",)


@pytest.mark.parametrize("entry", [np.array([{}]), np.array(["a"]), _Call(), np.float64(1)])
def test_what_is_no_array_of_numbers_is_refused(tmp_path, capsys, entry):
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": {"entry": entry}}, tmp_path / "f.pth")
    with pytest.raises(UserError) as raised:
        read_checkpoint(tmp_path / "f.pth")
    assert len(str(raised.value).splitlines()) == 1
    assert not capsys.readouterr().out
