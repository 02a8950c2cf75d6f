# SPDX-License-Identifier: MIT
"""What the documents say of the sources: links, commands, routes, keys and error codes. Each is compared, both ways."""
import ast
import json
import os
import re
import subprocess

import pytest

import documents
from documents import COMMANDS, ELSEWHERE, ROOT
from programs import BUILD, TIMEOUT

API, MODELS = "handlers/README.md", "handlers/MODELS.md"
SOURCES = sorted(path for folder in ("common", "handlers") for path in (ROOT / folder).rglob("*.c"))


def code_in(cell):
    return re.findall(r"`([^`]*)`", cell)


# ---- links ----

@pytest.mark.parametrize("document", documents.names())
def test_links_lead_somewhere(document):
    for line, target in documents.links(document):
        path, _, anchor = target.partition("#")
        place = ((ROOT / document).parent / path).resolve() if path else ROOT / document
        assert place.exists(), f"{document}:{line}: {target}"
        if place.is_dir():
            assert anchor == "", f"{document}:{line}: {target}: a folder has no sections"
        elif anchor:
            assert anchor in documents.anchors(place.relative_to(ROOT)), f"{document}:{line}: {target}"


def test_readme_is_short_and_leads_to_all_documents():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130
    linked = {((ROOT / "README.md").parent / target.partition("#")[0]) for _, target in documents.links("README.md")}
    linked |= {path / "README.md" for path in linked if path.is_dir()}
    assert {ROOT / name for name in documents.names()} <= linked | {ROOT / "README.md"}


# ---- what is safe ----

def test_each_row_of_the_security_page_has_its_test():
    rows = [line for line in documents.lines(".github/SECURITY.md") if line.kind == "table" and not re.match(r"\|[-|]+$", line.text)]
    rows = [line for line in rows if not line.text.endswith("| test |")]
    assert rows
    for line in rows:
        last = line.text.rstrip("|").rpartition("|")[2].strip()
        if last.startswith("no test: "):
            continue
        (named,) = code_in(last)
        file, _, test = named.partition("::")
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.M), f"{line.number}: {named}"


# ---- commands ----

@pytest.mark.parametrize("document", documents.names())
def test_every_shell_block_is_run_by_some_test(document):
    for title, text in documents.blocks(document):
        known = set(documents.commands(text)) & set(COMMANDS)
        if (document, title) in ELSEWHERE:
            test = (ROOT / ELSEWHERE[document, title]).read_text()
            assert document in test and title in test, f"{ELSEWHERE[document, title]} takes nothing from {document}, {title}"
        else:
            assert not known or known == set(documents.commands(text)), f"{document}, {title}: run only some of {text}"


def test_no_list_of_commands_is_out_of_date():
    there = [(document, *block) for document in documents.names() for block in documents.blocks(document)]
    said = {command for _, _, text in there for command in documents.commands(text)}
    assert set(ELSEWHERE) <= {(document, title) for document, title, _ in there} and set(COMMANDS) <= said
    assert all((ROOT / file).exists() for file in COMMANDS.values())


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("make ")])
def test_make_has_such_a_target(command):
    done = subprocess.run(["make", "-n", f"BUILD={BUILD}", *command.replace("build/", f"{BUILD}/").split()[1:]], cwd=ROOT,
                          capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done


def test_a_program_runs_in_a_debugger_as_the_page_says(tmp_path):
    """gdb is a stand-in, which runs what stands behind --args."""
    (tmp_path / "gdb").write_text('#!/bin/sh\nuntil [ "$1" = --args ]; do shift; done; shift; exec "$@"\n')
    (tmp_path / "gdb").chmod(0o755)
    (_, block), = documents.blocks("tests/README.md", "One program in a debugger")
    done = subprocess.run(["bash", "-ec", block.replace("build/", f"{BUILD}/")], cwd=ROOT, capture_output=True, text=True,
                          env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, stdin=subprocess.DEVNULL, timeout=TIMEOUT)
    heads = re.findall(r"^Status: (.*)", done.stdout, re.M)
    assert done.returncode == 0 and len(heads) == 2 and all(head.startswith("200") for head in heads), done


# ---- programs, routes, keys ----

def test_every_program_has_its_line():
    folders = {path.parent.name for path in (ROOT / "handlers").glob("*/main.c")}
    assert {code_in(row[0])[0] for row in documents.rows(API, "The programs, and their HTTP API")} == folders


def test_the_table_of_rooms():
    text = re.search(r"^ROOMS = (\{.*?^\})", (ROOT / "tests/lint-includes").read_text(), re.M | re.S)[1]
    rooms = {room: set(others) for room, others in ast.literal_eval(text).items()}
    table = documents.rows("common/README.md", "Rooms")
    assert {re.match(r"\[(\w+)\]", row[0])[1]: set(filter(None, row[2].split(", "))) for row in table} == rooms


@pytest.mark.parametrize("service, title", [
    ("shutdown-service", "Port 5001: shutdowns"), ("inference-service", "Port 5002: models"),
    ("model-monitor-service", "Port 5003: activity")])
def test_the_tables_of_routes(service, title):
    text = (ROOT / f"handlers/{service}/main.c").read_text()
    table = re.search(r"struct hl_route table\[\] = \{(.*?)^\};", text, re.M | re.S)[1]
    routes = {}
    of_tokens = {"logs": "read", "report": "control"}  # which a token has with these
    for method, path, scopes in re.findall(r'\{ HL_(GET|POST), "([^"]+)", \w+, ([A-Z_ |]+),', table):
        name = path.replace("{model...}", "ID").replace("{model}", "NAME")
        scopes = [scope.removeprefix("HL_SCOPE_").lower() for scope in scopes.split(" | ")]
        routes[f"{method} {name}"] = ", ".join(of_tokens.get(scope, scope) for scope in scopes)
    assert routes and {code_in(row[0])[0]: row[1] for row in documents.rows(API, title)} == routes


def test_the_table_of_the_configuration():
    """Keys as config.c reads them, defaults as it begins with them."""
    source, header = ((ROOT / f"common/config/config.{kind}").read_text() for kind in "ch")
    defaults = dict(re.findall(r"\.(\w+) = ([^,{}]+?)[, ]", source[source.index("int hl_config_load("):]))
    keys = {}
    for section, fields in re.findall(r"struct hl_json_field (\w+)\[\] = \{(.*?)\n        \};", source, re.S):
        for key, member in re.findall(r'\{ "(\w+)", HL_JSON_\w+,\s+&\w->(\w+)', fields):
            value = defaults.get(member, "[]")
            macro = re.search(rf"^#define {value} (.*)$", header, re.M) if re.fullmatch(r"\w+", value) else None
            keys[f"{section}.{key}"] = json.loads("null" if value in ("NAN", "NULL") else macro[1] if macro else value)
    table = {code_in(row[0])[0]: json.loads(code_in(row[1])[0]) for row in documents.rows(API, "Configuration")}
    assert len(keys) >= 16 and table == keys


def test_the_table_of_a_model_s_keys():
    text = (ROOT / "common/config/model_file.c").read_text()
    keys = re.search(r"keys\[\] = \{(.*?)\}", text, re.S)[1]
    assert [code_in(row[0])[0] for row in documents.rows(MODELS, "The file")] == re.findall(r'"(\w+)"', keys)


# ---- error codes ----

def statuses():
    """What each kind of error is in an answer, as the sources have it."""
    switch = re.search(r"^int hl_status_of\(.*?^\}", (ROOT / "common/http/problem.c").read_text(), re.M | re.S)[0]
    found, kinds = {}, []
    for kind, status in re.findall(r"case HL_ERR_(\w+):|return (\d+);", switch):
        kinds += [kind] if kind else []
        if status:
            found |= dict.fromkeys(kinds, int(status))
            kinds = []
    return found


STATUSES = statuses()


def arguments(text, start):
    """Of a call in C, from behind its bracket to the one that closes it."""
    found, depth, begin, at = [], 0, start, start
    while True:
        if text[at] == '"':
            at = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, at).end()
            continue
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth < 0 or (depth == 0 and text[at] == ","):
            found.append(text[begin:at].strip())
            begin = at + 1
        if depth < 0:
            return found
        at += 1


def calls(text):
    """Of each call that fails with a code, the argument that says the kind or status, and the one with the code."""
    takes_code = {"hl_fail": (1, 3), "hl_problem": (1, 2)}
    for name, parameters in re.findall(r"^static int (\w+)\(([^)]*const char \*code[^)]*)\)", text, re.M):
        names = [each.split()[-1].lstrip("*") for each in parameters.split(",")]
        takes_code[name] = (names.index("status"), names.index("code"))
    for match in re.finditer(rf"\b({'|'.join(takes_code)})\(", text):
        kind, code = takes_code[match[1]]
        given = arguments(text, match.end())
        if len(given) > code and "const char" not in given[code]:
            yield given[kind], given[code]


def in_c():
    """Each code of the C sources, with the statuses that it is answered with; those of a job's end stand in a table there."""
    found = {}
    for path in SOURCES:
        text = path.read_text()
        for kind, code in calls(text):
            for literal in re.findall(r'"(\w+)"', code):
                found.setdefault(literal, set()).update(int(each) for each in re.findall(r"\b\d{3}\b", kind))
                found[literal] |= {STATUSES[each] for each in re.findall(r"HL_ERR_(\w+)", kind)}
    verbs = re.search(r"verbs\[\] = \{(.*?)\};", (ROOT / "common/systemd/jobs.c").read_text(), re.S)[1]
    for literal in re.findall(r'"(\w+_failed)"', verbs):
        found.setdefault(literal, set()).add(STATUSES["UPSTREAM"])
    return found


def in_nginx():
    found = {}
    for path in (ROOT / "nginx").rglob("*.conf"):
        text = re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.M)
        for code, rest in re.findall(r"set \$hl_code (\w+);(.*?)\}", text, re.S):
            found.setdefault(code, set()).add(int(re.search(r"return (\d{3})", rest)[1]))
        for status, code in re.findall(r'return (\d{3}) \'[^\n]*"code":"(\w+)"', text):
            found.setdefault(code, set()).add(int(status))
    return found


def test_the_tables_of_error_codes_have_every_code_and_no_others():
    answers = [code_in(row[0])[0] for row in documents.rows(API, "Error codes")]
    programs = [code_in(row[0])[0] for row in documents.rows(API, "Codes of programs")]
    assert len(set(answers + programs)) == len(answers + programs), "a code stands twice"
    assert answers == sorted(answers)
    said = set(in_c()) | set(in_nginx())
    assert len(said) > 80
    assert set(answers + programs) - said == set(), "no source has these"
    assert said - set(answers + programs) == set(), "no table has these"


def test_the_table_of_error_codes_has_their_statuses():
    for row in documents.rows(API, "Error codes"):
        code, = code_in(row[0])
        told = {int(each) for each in row[1].split(", ")}
        assert in_nginx().get(code, set()) <= told, code
        if code not in ("internal_error", "token_invalid"):  # of which programs have their own
            assert in_c().get(code, set()) <= told, code
        assert told <= in_nginx().get(code, set()) | in_c().get(code, set()) | {400, 404, 503, 504}, code  # the router's
