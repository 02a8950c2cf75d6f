# SPDX-License-Identifier: MIT
"""documents.py - the texts (*.md) as tests read them: sections and code blocks."""
import dataclasses
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


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


def section(document, title):
    """The text of one section, with those below it."""
    text = (ROOT / document).read_text()
    heading = re.search(rf"^(#+) {re.escape(title)}\n", text, re.M)
    assert heading, f"{document} has no section \"{title}\""
    rest = text[heading.end():]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.M)
    return rest[:end.start()] if end else rest
