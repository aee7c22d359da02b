"""What has changed at a provider against the catalog."""

from potluck.providers.catalog import Model, Provider
from potluck.providers.differences import Loss, compare
from potluck.providers.model_lists import ModelList, ServedModel


def provider(*models: Model, paid: bool = False) -> Provider:
    return Provider("mine", "openai", None, (), models, paid=paid)


def model(name: str, replacement: str | None = None) -> Model:
    return Model("mine", name, replacement=replacement)


def served(*models: ServedModel | str) -> ModelList:
    made = (ServedModel(one) if isinstance(one, str) else one for one in models)
    return ModelList("mine", tuple(made))


def test_nothing_changed() -> None:
    found = compare(provider(model("a")), served("a"))
    assert (found.new, found.lost, found.served) == ((), (), 1)


def test_new_models_are_those_that_can_chat_and_are_free() -> None:
    listed = served(
        ServedModel("embedder", chats=False),
        ServedModel("dear", free=False),
        ServedModel("z-free", free=True, chats=True),
        ServedModel("b"),
        ServedModel("a-2026", aliases=frozenset({"a"})),
    )
    assert [one.id for one in compare(provider(model("a")), listed).new] == ["b", "z-free"]


def test_a_paid_provider_has_new_models_at_a_price() -> None:
    listed = served("a", ServedModel("dear", free=False))
    assert [one.id for one in compare(provider(model("a"), paid=True), listed).new] == ["dear"]


def test_what_is_not_listed_is_gone() -> None:
    assert compare(provider(model("a"), model("b")), served("b")).lost == (Loss(model("a")),)


def test_the_replacement_is_the_first_that_is_served() -> None:
    entries = (model("a", "b"), model("b", "c"))
    found = compare(provider(*entries), served("c"))
    assert found.lost == tuple(Loss(entry, ServedModel("c")) for entry in entries)


def test_a_replacement_that_is_gone_itself_replaces_nothing() -> None:
    assert compare(provider(model("a", "b")), served("x")).lost == (Loss(model("a", "b")),)


def test_a_model_on_its_way_out_names_its_successor() -> None:
    old = ServedModel("a", replacement="b")
    [loss] = compare(provider(model("a")), served(old, "b")).lost
    assert loss == Loss(model("a"), ServedModel("b"), still_served=True)
