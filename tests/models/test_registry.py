import subprocess
import sys

import pytest

from senet_jax.models.registry import (
    ARCHITECTURES,
    describes,
    families,
    family_of,
    find_family,
    output_of,
)
from senet_jax.models.settings import Settings
from senet_jax.system.errors import UserError
from tests.test_imports import IMPORTS


def test_nothing_but_the_registry_and_its_own_layers_knows_a_family():
    prefix = "senet_jax.models.families"
    users = {
        name
        for name, imports in IMPORTS.items()
        if any(each.startswith(prefix) for each in imports) and not name.startswith(prefix)
    }
    layers = ("cvnet", "disk", "efficientnet_lite", "registry")
    assert users == {f"senet_jax.models.{name}" for name in layers}


def test_names_and_settings_need_no_jax():
    code = "import sys, senet_jax.models.registry; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_named_network_is_of_the_family_that_names_it():
    named = {settings.name: family.name for family in families() for settings in family.models}
    assert named == {name: family_of(known).name for name, known in ARCHITECTURES.items()}
    assert (named["r50_dot"], named["resnet152"]) == ("senet", "resnet")
    assert (named["cvnet_r101"], named["lite0"]) == ("cvnet", "efficientnet_lite")
    for known in ARCHITECTURES.values():
        assert describes(known) == (not known.name.startswith(("resnet", "disk")))
        if "local" in family_of(known).gives:
            assert output_of(known, "local").stride(known) in (8, 16)


def test_what_a_network_does_not_give_is_one_line():
    with pytest.raises(UserError, match=r"resnet50 gives no global features .*, but local; choose"):
        output_of(ARCHITECTURES["resnet50"], "global")
    assert output_of(ARCHITECTURES["cvnet_r50"], "dense").extras == ("reranker",)


def test_what_is_not_registered_is_one_line():
    with pytest.raises(UserError, match="no family of models is called 'vit'; there are senet"):
        find_family("vit")
    with pytest.raises(UserError, match="no family of models has settings of the type Settings"):
        family_of(Settings("x", outputs=3))
