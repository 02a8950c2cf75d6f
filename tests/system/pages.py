# SPDX-License-Identifier: MIT
"""pages.py - what people are told to give to other programs, as it stands in the repository."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "handlers/README.md").read_text()
SITE = "http://192.168.1.10:8080"


def blocks(title, kind):
    """The code blocks of one page."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]
    return re.findall(rf"^```{kind}\n(.*?)^```$", section, re.M | re.S)
