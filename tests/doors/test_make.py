# SPDX-License-Identifier: MIT
"""What make takes from its environment, and when it makes a thing anew."""
import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments, **env):
    """What make says. Nothing of this run's own make, nor of who builds the product, reaches it."""
    clean = {name: value for name, value in os.environ.items() if name not in ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")
             and not name.startswith("MAKE") and name != "MFLAGS"}
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, env=clean | env)
    assert done.returncode == 0, done
    return done.stdout


def test_compiler_and_flags_come_from_the_environment(tmp_path):
    planned = make("-n", "V=1", f"BUILD={tmp_path}", "all", CC="clang", CFLAGS="-O3 -g1", CPPFLAGS="-DA=1", LDFLAGS="-Wl,--as-is")
    compiled = re.search(r"^(\S+) .* -c -o \S+/model-router/main.o .*$", planned, re.M)
    assert compiled[1] == "clang" and compiled[0].count("-O") == 1
    assert {"-O3", "-g1", "-DA=1"} <= set(compiled[0].split())
    linked = re.search(r"^(\S+) .* -o \S+/model-router .*$", planned, re.M)
    assert linked[1] == "clang" and "-Wl,--as-is" in linked[0].split()


def test_without_any_it_is_gcc_with_fortified_sources(tmp_path):
    planned = make("-n", "V=1", f"BUILD={tmp_path}", "all")
    assert re.search(r"^gcc .* -D_FORTIFY_SOURCE=2 .* -O2 -g -c ", planned, re.M)


def test_sources_are_not_fortified_twice_nor_without_the_optimizer(tmp_path):
    planned = make("-n", "V=1", f"BUILD={tmp_path}", "all", CPPFLAGS="-D_FORTIFY_SOURCE=3", CFLAGS="-O2")
    assert "-D_FORTIFY_SOURCE=3" in planned and "-D_FORTIFY_SOURCE=2" not in planned
    assert "_FORTIFY_SOURCE" not in make("-n", "V=1", f"BUILD={tmp_path}", "all", CFLAGS="-g")


def test_another_compiler_or_flag_makes_it_anew_and_the_same_does_not(tmp_path):
    goal = (f"BUILD={tmp_path}", f"{tmp_path}/common/base/str.o")
    assert "CC common/base/str.c" in make(*goal)
    assert "CC common/base/str.c" not in make(*goal)
    for env in {"CFLAGS": "-O1"}, {"CC": "clang"}, {"CPPFLAGS": "-DA=1"}, {}:
        assert "CC common/base/str.c" in make(*goal, **env), env
        assert "CC common/base/str.c" not in make(*goal, **env), env
    assert "CC common/base/str.c" not in make(*goal, CI="true"), "warnings as errors change nothing in a program"
    make(f"BUILD={tmp_path}", f"{tmp_path}/common/http/parser.o")
    assert "CC common/base/str.c" not in make(*goal), "flags of one source are none of the others"


def test_help_names_each_goal_that_is_meant_for_people():
    said = make("help")
    goals = set(re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text() + (ROOT / "tests/tests.mk").read_text(), re.M))
    for goal in " ".join(goals).replace("FORCE", "").replace("unit-tests", "").split():
        assert re.search(rf"^  {re.escape(goal)} +\S", said, re.M), goal


def test_compile_commands_name_each_source(tmp_path):
    make("compile_commands.json", f"COMMANDS={tmp_path}/commands.json")
    named = {entry["file"] for entry in json.loads((tmp_path / "commands.json").read_text())}
    sources = {str(file.relative_to(ROOT)) for folder in ("common", "handlers", "tests/unit") for file in (ROOT / folder).rglob("*.c")}
    assert sources <= named, sources - named


def test_make_takes_llhttp_from_a_release_of_its_own(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "include").mkdir()
    for name in "api", "http", "llhttp":
        (tmp_path / f"src/{name}.c").write_text("")
    (tmp_path / "include/llhttp.h").write_text("")
    planned = make("-n", "V=1", f"BUILD={tmp_path}/build", f"LLHTTP={tmp_path}", "all")
    for name in "api", "http", "llhttp":
        assert f"-c -o {tmp_path}/build/llhttp/{name}.o {tmp_path}/src/{name}.c" in planned
    assert f"-isystem {tmp_path}/include" in planned and "-lllhttp" not in planned
