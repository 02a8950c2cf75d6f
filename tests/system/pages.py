# SPDX-License-Identifier: MIT
"""pages.py - what people are told to give to other programs, as it stands in the repository."""
import documents
from documents import ROOT

DOCUMENT = "handlers/CLIENTS.md"
PAGE = (ROOT / DOCUMENT).read_text()
RULES = ROOT / "units/prometheus/home-lab-services.rules.yml"
SITE = "http://192.168.1.10:8080"


def blocks(title, kind):
    """The code blocks of one page."""
    return [text for _, text in documents.blocks(DOCUMENT, title, kind)]
