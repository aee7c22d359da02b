import pytest

from potluck.providers.chain import ChainModel
from potluck.server.openai.errors import ApiError
from potluck.server.openai.targets import Target, find_model, list_models, resolve

GROQ = ChainModel("groq/openai/gpt-oss-20b", "groq", 131_072, on=True, reason="")
OFF = ChainModel("openai/gpt", "openai", None, on=False, reason="OPENAI_API_KEY is not set.")
MODELS = [GROQ, OFF]


@pytest.mark.parametrize(
    ("model_id", "target"),
    [
        ("potluck", Target(agent=True)),
        ("auto", Target(agent=False)),
        ("groq/openai/gpt-oss-20b", Target(agent=False, ref=GROQ.ref)),
        ("potluck:groq/openai/gpt-oss-20b", Target(agent=True, ref=GROQ.ref)),
    ],
)
def test_each_kind_of_id_means_its_own(model_id: str, target: Target) -> None:
    assert resolve(model_id, MODELS) == target


@pytest.mark.parametrize("model_id", ["gpt-4", "", "potluck:", "potluck:auto", "groq", "Potluck"])
def test_an_unknown_id_is_not_found(model_id: str) -> None:
    with pytest.raises(ApiError) as caught:
        resolve(model_id, MODELS)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert caught.value.param == "model"


def test_a_model_that_is_off_says_why() -> None:
    for model_id in (OFF.ref, f"potluck:{OFF.ref}"):
        with pytest.raises(ApiError, match="OPENAI_API_KEY is not set"):
            resolve(model_id, MODELS)


def test_lists_what_can_be_asked_in_both_forms() -> None:
    ids = [entry["id"] for entry in list_models(MODELS)]
    assert ids == ["potluck", "auto", f"potluck:{GROQ.ref}", GROQ.ref]


def test_every_entry_of_the_list_can_be_got() -> None:
    for entry in list_models(MODELS):
        assert find_model(entry["id"], MODELS) == entry
    assert find_model(GROQ.ref, MODELS)["context_length"] == 131_072
