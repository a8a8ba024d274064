import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from overmem.observe.token_texts import token_texts


@pytest.fixture
def sentencepieces():
    """Tokens that carry their space in front, as SentencePiece writes and decodes it."""
    words = ["<unk>", "<eos>", "▁a", "▁the", "▁cat", "s", "."]
    tokenizer = Tokenizer(models.Unigram([(w, -float(i)) for i, w in enumerate(words)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return lambda: PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>")


@pytest.mark.parametrize(("made", "text"), [("byte_tokenizer", "a cat.\n 3 < 5"), ("sentencepieces", " the cats.")])
def test_joined_token_texts_are_the_text(made, text, request):
    tokenizer = request.getfixturevalue(made)()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    result = token_texts(tokenizer, ids)
    assert "".join(result[i] for i in ids) == text
    assert list(result) == sorted(set(ids))


def test_a_part_of_a_character_is_shown_as_one_that_cannot_be(byte_tokenizer):
    tokenizer = byte_tokenizer()
    ids = tokenizer("é", add_special_tokens=False)["input_ids"]
    assert len(ids) == 2
    assert set(token_texts(tokenizer, ids).values()) == {"\ufffd"}


def test_a_special_token_is_shown_by_its_name(byte_tokenizer):
    tokenizer = byte_tokenizer()
    assert token_texts(tokenizer, [tokenizer.eos_token_id])[tokenizer.eos_token_id] == "<eos>"
