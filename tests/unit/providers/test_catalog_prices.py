"""List prices in the catalog."""

from datetime import date
from pathlib import Path

import pytest

from potluck.errors import ConfigError
from potluck.providers.catalog import Catalog
from potluck.providers.catalog_file import load_catalog
from potluck.providers.succession import successors
from potluck.quota.calls import Price
from potluck.settings import PROJECT_DIR


def load(folder: Path, model: str) -> Catalog:
    text = f"providers:\n  groq:\n    models:\n      - id: a\n        {model}\n"
    (folder / "providers.yaml").write_text(text)
    return load_catalog(folder)


def test_a_price_is_read_with_its_day_and_source(tmp_path: Path) -> None:
    catalog = load(tmp_path, "price: {input: 1, output: 2.5, checked_on: 2026-11-21, source: x}")
    assert catalog.prices() == {"groq/a": Price(1.0, 2.5, date(2026, 11, 21), "x")}


def test_a_model_without_a_price_has_none(tmp_path: Path) -> None:
    assert load(tmp_path, "context: 1000").prices() == {}


@pytest.mark.parametrize(
    "price",
    ["-1", "{input: 1}", "{input: -1, output: 1}", "{input: .nan, output: 1}", "{in: 1, out: 1}"],
)
def test_a_price_that_makes_no_sense_stops_the_start_with_its_line(
    tmp_path: Path, price: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"price: {price}")
    assert caught.value.line == 5
    assert caught.value.fix


def test_a_replacement_that_is_not_listed_does_not_take_over_the_price(tmp_path: Path) -> None:
    catalog = load(tmp_path, "replacement: b\n        price: {input: 1, output: 2}")
    provider = catalog.providers["groq"]
    (heir,) = successors(provider.models[0], provider)
    assert heir.price is None


def test_every_shipped_price_tells_its_day_and_source() -> None:
    prices = load_catalog(PROJECT_DIR / "config").prices()
    assert prices
    assert all(price.checked_on and price.source for price in prices.values())
    assert all(price.output >= price.input > 0 for price in prices.values())
