"""A tokenizer whose vocabulary is a file of base64 words and ranks."""

import base64
import os
import unicodedata

from transformers import AddedToken, PreTrainedTokenizer

PATTERN = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+(?!\S)|\s+"""


def ranks_of(path: str) -> dict[bytes, int]:
    with open(path, "rb") as file:
        return {base64.b64decode(word): int(rank) for word, rank in map(bytes.split, file.read().splitlines())}


class RankTokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "custom.tiktoken"}

    def __init__(self, vocab_file, errors="replace", **more):
        self.errors, self.ranks = errors, ranks_of(vocab_file)
        self.specials = {AddedToken(f"<|extra_{number}|>").content: number for number in range(205)}
        super().__init__(**more)

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key != "encoding"}

    def __setstate__(self, state):
        import tiktoken

        self.__dict__.update(state)
        self.encoding = tiktoken.Encoding("custom", pat_str=PATTERN, mergeable_ranks=self.ranks, special_tokens=self.specials)

    def _tokenize(self, text, **more):
        return self.encoding.encode(unicodedata.normalize("NFC", text))

    def save_vocabulary(self, save_directory, filename_prefix=None):
        path = os.path.join(save_directory, (filename_prefix or "") + "custom.tiktoken")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{base64.b64encode(word).decode()} {rank}\n" for word, rank in self.ranks.items())
        return (path,)
