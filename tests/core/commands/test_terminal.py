"""Standard output is for results alone, whatever prints meanwhile."""

import subprocess
import sys

CODE = """
import os, subprocess, sys
from core.commands.terminal import results_alone, show_json, show_result
show_result("before")
with results_alone():
    print("by a network")
    sys.stdout.write("by its library\\n")
    os.write(1, b"by C code\\n")
    subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
    show_json({"a": 1})
print("after")
"""


def test_only_results_reach_standard_output():
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == 'before\n{\n "a": 1\n}\nafter\n'
    assert sorted(done.stderr.splitlines()) == ["by C code", "by a child", "by a network", "by its library"]
