"""The README's picture is the graph as it is, and what it names is there."""

import re
from pathlib import Path

import graph.agent
import nodes.triage
import tools.registry

PROJECT_DIR = Path(__file__).parents[2]
README = (PROJECT_DIR / "README.md").read_text()


def picture() -> str:
    drawn = graph.agent.graph.get_graph().draw_mermaid().strip()
    return f"<!-- graph -->\n```mermaid\n{drawn}\n```\n<!-- /graph -->"


def test_the_picture_is_drawn_from_the_code() -> None:
    found = re.search(r"<!-- graph -->.*<!-- /graph -->", README, re.DOTALL)
    assert found is not None
    assert found[0] == picture()


def test_links_lead_somewhere() -> None:
    pages = [PROJECT_DIR / "README.md", PROJECT_DIR / "CONTRIBUTING.md"]
    for page in [*pages, *(PROJECT_DIR / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_packages_come_from_this_checkout() -> None:
    for module in (graph.agent, nodes.triage, tools.registry):
        assert Path(str(module.__file__)).parents[1] == PROJECT_DIR
