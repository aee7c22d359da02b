"""The README's picture is the graph as it is, and what it names is there."""

import re
from pathlib import Path

from graph.agent import graph

PROJECT_DIR = Path(__file__).parents[2]
README = (PROJECT_DIR / "README.md").read_text()


def picture() -> str:
    return f"<!-- graph -->\n```mermaid\n{graph.get_graph().draw_mermaid().strip()}\n```\n<!-- /graph -->"


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
    import graph as graph_package
    import nodes
    import tools

    for package in (graph_package, nodes, tools):
        assert package.__file__ is not None
        assert Path(package.__file__).parents[1] == PROJECT_DIR
