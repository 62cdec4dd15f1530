"""Scripts of the first version find its modules."""

import subprocess
import sys

import pytest

from core.common.former_names import FORMER


@pytest.mark.parametrize(("former", "name"), FORMER.items())
def test_a_former_name_gives_the_same_module(former, name):
    code = (
        "import importlib, sys, warnings; warnings.simplefilter('error', ImportWarning)\n"
        f"import {former}\nimport {name}\nassert {former} is {name} and {former}.__spec__.name == {name!r}\n"
        f"assert sys.modules[{former!r}].__name__ == {name!r}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError):
        __import__("core.nothing")
