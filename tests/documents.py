# SPDX-License-Identifier: MIT
"""documents.py - the texts (*.md) as tests and tests/lint-prose read them: sections, code blocks, tables, prose."""
import dataclasses
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]

# tests/system/test_documents.py runs the shell blocks of all documents as they stand, in a machine, but for those of these
# sections, which the tests here take from the document themselves,
ELSEWHERE = {
    ("README.md", "Install it"): "tests/system/test_package.py",
    ("handlers/README.md", "Command line"): "tests/system/test_cli.py",
    ("handlers/MODELS.md", "At boot, and around a load"): "tests/system/test_hooks.py",
    ("handlers/CLIENTS.md", "Events"): "tests/system/test_events.py",
    ("handlers/CLIENTS.md", "Home Assistant"): "tests/system/test_pages.py",
    ("handlers/CLIENTS.md", "Open WebUI"): "tests/system/test_pages.py",
    ("handlers/CLIENTS.md", "Prometheus"): "tests/system/test_pages.py",
    ("tests/README.md", "One program in a debugger"): "tests/doors/test_documents.py",
}
# and but for blocks of these commands, of the test suites themselves or for a cluster. Who runs each of them:
COMMANDS = {
    "make run": "tests/system/test_documents.py",  # its tour
    "make test": ".ci/run",
    "make check": "Makefile",  # the first four suites of "make test"
    "make lint": "tests/run",
    "make check-unit": "tests/run",
    "make check-fuzz": "tests/run",
    "/usr/bin/python3 -m pytest tests/doors": "tests/run",
    "tests/run system": "Makefile",
    "tests/run kubernetes": "Makefile",
    "make build/asan/base/test_json": "tests/tests.mk",
    "V=1 tests/run-unit build/asan/base/test_json": "tests/tests.mk",
    "RELEASE=trixie /usr/bin/python3 -m pytest tests/system/test_cli.py -k version": "tests/run",
    "tests/machine up box": "tests/system/machines.py",
    "tests/machine demo box": "tests/system/conftest.py",
    "tests/machine exec box -- home-lab-services status": "tests/tour",
    "tests/machine exec box --user games -- home-lab-services list": "tests/system/test_cli.py",
    "tests/machine exec box -- journalctl -b -t inference-service": "tests/tour",
    "tests/tour box": "tests/system/test_documents.py",
    "tests/machine list": "tests/system/test_documents.py",
    "tests/machine down box": "tests/system/machines.py",
    "make fuzz FUZZ_SECONDS=30": "tests/tests.mk",
    "make bench": "Makefile",
    "podman build -t localhost/home-lab-services/nginx-config-updater -f nginx/kubernetes/Containerfile .":
        "tests/kubernetes/test_image.py",
    "podman save localhost/home-lab-services/nginx-config-updater | ssh NODE sudo ctr -n k8s.io images import -":
        "tests/kubernetes/test_image.py",
    "kubectl apply -k nginx/kubernetes": "tests/kubernetes/clusters.py",
    "kubectl -n inference-manager create secret generic home-lab-services-token --from-literal=read=hls_… "
    "--from-literal=control=hls_…": "tests/kubernetes/test_nginx.py",
    "kubectl -n inference-manager port-forward service/nginx 8080": "tests/kubernetes/test_nginx.py",
    "curl http://127.0.0.1:8080/NAME/health": "tests/kubernetes/test_nginx.py",
}


@dataclasses.dataclass
class Line:
    """One line of a document, and what it belongs to."""
    number: int
    text: str
    title: str  # of the heading above it
    kind: str  # "prose", "heading", "table", "comment", or the language of the code block that it is in


def names():
    """The documents, relative to the root: those that git knows or would add; in a copy without git all."""
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                          capture_output=True, text=True)
    found = done.stdout.split() if done.returncode == 0 else [str(path.relative_to(ROOT)) for path in ROOT.rglob("*.md")]
    return sorted(name for name in found if (ROOT / name).exists())


def lines(document):
    """All lines. A fence's own lines are left out."""
    title, kind, found = "", "prose", []
    for number, text in enumerate((ROOT / document).read_text().splitlines(), 1):
        fence = re.match(r"\s*```\s*(\w*)", text)
        if fence:
            kind = "prose" if kind.startswith("code") else "code " + fence[1]
        elif kind.startswith("code"):
            found.append(Line(number, text, title, kind))
        elif match := re.match(r"#+ (.*)", text):
            title = match[1]
            found.append(Line(number, text, title, "heading"))
        else:
            is_table, is_comment = text.lstrip().startswith("|"), text.startswith("<!--")
            found.append(Line(number, text, title, "table" if is_table else "comment" if is_comment else "prose"))
    return found


def blocks(document, title=None, language="sh"):
    """The code blocks of one section, or of all: (title, text without the indentation of a list)."""
    found, last = [], None
    for line in lines(document):
        if line.kind == "code " + language:
            if last is None or line.number != last + 1:
                found.append((line.title, []))
            found[-1][1].append(line.text)
            last = line.number
    texts = []
    for where, text in found:
        indent = min(len(each) - len(each.lstrip()) for each in text if each.strip())
        texts.append((where, "".join(each[indent:] + "\n" for each in text)))
    return [each for each in texts if title is None or each[0] == title]


def commands(text):
    """The commands of a shell block, each on one line, without "sudo" in front and a comment behind."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [re.sub(r"\s+#.*", "", line).strip().removeprefix("sudo ") for line in joined.splitlines() if line.strip()]


def blocks_to_run(document):
    """The shell blocks that nobody else runs."""
    return [text for title, text in blocks(document)
            if (document, title) not in ELSEWHERE and not set(commands(text)) <= set(COMMANDS)]


def section(document, title):
    """The text of one section, with those below it."""
    text = (ROOT / document).read_text()
    heading = re.search(rf"^(#+) {re.escape(title)}\n", text, re.M)
    assert heading, f"{document} has no section \"{title}\""
    rest = text[heading.end():]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.M)
    return rest[:end.start()] if end else rest


def rows(document, title):
    """The rows of a section's tables, heads left out: lists of cells."""
    found = []
    for line in lines(document):
        if line.title != title or line.kind != "table":
            continue
        cells = [cell.replace(r"\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line.text.strip()[1:-1])]
        if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            found.pop()  # the head
        else:
            found.append(cells)
    return found


def anchors(document):
    """What "#…" may name in a document, as GitHub makes it from headings."""
    found = set()
    for line in lines(document):
        if line.kind == "heading":
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line.text.lstrip("#").strip()).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def links(document):
    """The targets of links, those of other sites left out: (line, target)."""
    found = []
    for line in lines(document):
        if not line.kind.startswith("code"):
            plain = re.sub(r"`[^`]*`", lambda code: code[0].replace("](", "] ("), line.text)
            found += [(line.number, target) for target in re.findall(r"\]\(([^)\s]+)\)", plain)]
    return [(number, target) for number, target in found if not re.match(r"[a-z]+:", target)]


def sentences(document):
    """The sentences of the prose: (line where it begins, words). Code in a sentence is one word; a link is its text."""
    paragraphs, current = [], None
    for line in lines(document):
        text = line.text.strip()
        item = re.match(r"([-*]|\d+\.) ", text)
        if line.kind != "prose" or not text:
            current = None
            continue
        if current is None or item:
            current = []
            paragraphs.append(current)
        current += [(line.number, word) for word in plain(text[item.end():] if item else text).split()]
    found = []
    for paragraph in paragraphs:
        start = 0
        for i, (_, word) in enumerate(paragraph):
            if re.search(r"[.!?][\"')*_]*$", word) or i == len(paragraph) - 1:
                words = [each for _, each in paragraph[start:i + 1] if re.search(r"\w", each)]
                if words:
                    found.append((paragraph[start][0], words))
                start = i + 1
    return found


def plain(text):
    """Without Markdown. Code does not go on in the next line here: tests/lint-prose says so."""
    text = re.sub(r"`[^`]*`", "CODE", text)
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", text)
    return text.replace("**", "")
