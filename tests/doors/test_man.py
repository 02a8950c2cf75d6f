# SPDX-License-Identifier: MIT
"""The manual and the programs know the same: options, commands, exit statuses, keys, routes, variables, units."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from programs import BUILD, SERVICES, TIMEOUT, by_cgi

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "units/man").iterdir())}
MAIN, CONFIG, MODEL = PAGES["home-lab-services.1"], PAGES["home-lab-services.json.5"], PAGES["home-lab-services-model.5"]
PROGRAMS = re.search(r"^PROGRAMS := \$\(SERVICES\) (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split() + SERVICES


def section(page, title):
    return re.search(rf"^\.S[hs] {title}\n(.*?)(?=^\.S[hs] |\Z)", page, re.M | re.S)[1]


def items(text, macro):
    """What stands in a list's heads behind a macro: ".It Fl -dry-run" is "--dry-run"."""
    return [item.split()[0] for item in re.findall(rf"^\.It {macro} (.*)$", text, re.M)]


def options(page):
    return {"-" + option for option in items(page, "Fl")}


def told(program, *arguments):
    return subprocess.run([BUILD / program, *arguments], capture_output=True, text=True, timeout=TIMEOUT,
                          stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}).stdout


def source(name):
    return (ROOT / name).read_text()


def test_each_program_has_its_page():
    named = {page.rpartition(".")[0] for page in PAGES}
    assert named == set(PROGRAMS) | {"home-lab-services-model", "home-lab-services.json"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_of_its_own_name_and_leads_to_pages_that_are_there(name):
    page, (title, number) = PAGES[name], name.rsplit(".", 1)
    assert f"\n.Dt {title.upper()} {number}\n" in page and f"\n.Nm {title}\n" in page
    ours = {f"{word}.{where}" for word, where in re.findall(r"^\.Xr (\S+) (\d)", page, re.M)
            if word.startswith(("home-lab", "model-")) or word in PROGRAMS}
    assert ours <= set(PAGES)
    seen = re.findall(r"^\.Xr (\S+) (\d)", section(page, "SEE ALSO"), re.M)
    assert seen == sorted(seen, key=lambda each: (each[1], each[0])) and (title, number) not in seen


def test_units_lead_to_pages_that_are_there():
    for unit in subprocess.run([ROOT / "units/render", "--list"], capture_output=True, text=True).stdout.split():
        text = subprocess.run([ROOT / "units/render", unit], capture_output=True, text=True).stdout
        named = re.search(r"^Documentation=(.*)$", text, re.M)
        assert named, unit
        for name, number in re.findall(r"man:(\S+)\((\d)\)", named[1]):
            assert f"{name}.{number}" in PAGES, unit
        program = re.search(r"^ExecStart=\S+/home-lab-services/(\S+)", text, re.M)
        assert not program or f"man:{program[1]}(8)" in named[1], unit


@pytest.mark.parametrize("program", ["home-lab-services", "model-idle-sweep"])
def test_options_are_those_of_the_help(program):
    help_text, page = told(program, "--help"), PAGES.get(program + ".8", MAIN)
    assert set(re.findall(r"(?<![\w-])(?<!journalctl )--?[a-z][a-z-]*", help_text)) | {"--version", "--help"} == options(page)


def test_options_of_the_updater_are_those_of_its_helps():
    helps = told("nginx-config-updater", "--help") + told("nginx-config-updater", "--kubernetes", "--help")
    page = PAGES["nginx-config-updater.8"]
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", helps)) | {"--version"} == options(page)
    for default in re.findall(r"default: (\S+)$", helps, re.M):
        assert default in page


def test_options_of_model_command():
    page = PAGES["model-command.8"]
    usage = re.search(r'"Usage: model-command (.*?)"', source("handlers/model-command/main.c"))[1]
    assert set(re.findall(r"--[a-z-]+", usage)) | {"--version"} == options(page)


def test_commands_are_those_of_the_help():
    help_text = told("home-lab-services", "--help")
    commands = set(re.findall(r"^  ((?:token )?[a-z]+)(?: .*)?   ", help_text, re.M))
    assert len(commands) >= 11
    described = section(MAIN, "DESCRIPTION")
    assert commands == {re.sub(r" (Ar|Fl).*", "", item) for item in re.findall(r"^\.It Cm (.*)$", described, re.M)}


def test_exit_statuses_are_those_of_the_help():
    help_text = told("home-lab-services", "--help")
    ends = re.search(r"^They end with (.*?)\n\n", help_text, re.M | re.S)[1]
    page = section(MAIN, "EXIT STATUS")
    assert re.findall(r"\b(\d+)[,:]", ends) == re.findall(r"^\.It (\d+)$", page, re.M)
    check = re.search(r"^check ends with (.*)", help_text, re.M | re.S)[1]
    assert re.findall(r"\b\d\d\b", check) == re.findall(r"^(\d\d),", page, re.M)


def fields():
    """The keys that the programs know: object -> names."""
    found = {}
    for name, table in re.findall(r"struct hl_json_field (\w+)\[\] = \{\n(.*?)\n        \};", source("common/config/config.c"),
                                  re.S):
        found[name] = re.findall(r'\{ "(\w+)", HL_JSON_', table)
    return found


def test_keys_of_the_configuration():
    known = fields()
    assert sum(map(len, known.values())) >= 16
    assert {name: items(section(CONFIG, name), "Cm") for name in known} == known
    example = json.loads(re.search(r"^\.Bd -literal\n(.*?)^\.Ed", section(CONFIG, "EXAMPLES"), re.M | re.S)[1])
    assert {name: list(keys) for name, keys in example.items()} == known


def test_defaults_of_the_configuration():
    """Those in the texts are those of the example, and those of the example are the program's."""
    text = source("common/config/config.c")
    example = json.loads(re.search(r"^\.Bd -literal\n(.*?)^\.Ed", section(CONFIG, "EXAMPLES"), re.M | re.S)[1])
    constant = re.search(r'HL_MODELS_DIR "(.*)"', source("common/config/config.h"))[1]
    names = {"active_threshold_minutes": "active_minutes", "idle_threshold_minutes": "idle_minutes", "output": "nginx_output"}
    for name, keys in example.items():
        texts = re.split(r"^\.It Cm ", section(CONFIG, name), flags=re.M)[1:]
        for described, (key, default) in zip(texts, keys.items()):
            shown = f".Qq {default} ." if isinstance(default, str) else f"{json.dumps(default)}."
            assert re.search(r"Default:[\n ](.*)\n", described)[1] == shown, key
            said = re.search(rf"\.{names.get(key, key)} = (.*?)(?:,| \}})", text)
            if default == []:
                continue
            assert said, key
            program = constant if said[1] == "HL_MODELS_DIR" else None if said[1] in ("NAN", "NULL") else json.loads(said[1])
            assert program == default, key


def test_keys_of_a_model():
    known = re.search(r"keys\[\] = \{(.*?)\}", source("common/config/model_file.c"), re.S)[1]
    assert re.findall(r'"(\w+)"', known) == items(section(MODEL, "KEYS"), "Cm")


@pytest.mark.parametrize("service", SERVICES)
def test_routes(lab, service):  # noqa: F811
    known = by_cgi(lab, service, "GET", "/").json["endpoints"]
    heads = re.findall(r"^\.It Li (\S+ \S+)$", section(PAGES[service + ".8"], "ROUTES"), re.M)
    assert heads == ["GET /", *(route.replace("{model...}", "ID").replace("{model}", "NAME") for route in known)]


def test_variables_that_people_set():
    """HL_…, and what systemd and web servers set, are not for people."""
    known = set()
    for path in [*ROOT.glob("common/**/*.c"), *ROOT.glob("handlers/**/*.c")]:
        known |= set(re.findall(r'"((?:HOME_LAB|MODELS_CONFIG|INFERENCE_SERVICE)_\w+)"', path.read_text()))
    told_of = {name for page in PAGES.values() for name in items(page, "Ev")}
    assert known == told_of - {"COMMAND", "KUBECONFIG"}
