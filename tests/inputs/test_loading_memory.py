from __future__ import annotations

import os

import pytest

from leaky.inputs.loading import LoadingError, bytes_of, default_memory
from leaky.inputs.loading.memory import in_words


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 * 1024**3),
        ("4 gib", 4 * 1024**3),
        ("800MB", 800_000_000),
        ("1.5 kB", 1500),
        ("0.5TiB", 2**39),
        ("7", 7),
        ("7B", 7),
        (12345, 12345),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "4G", "-1", "0", "0.1B", "1e9", "1_000", "４GiB", "4GiB4", "nan", "9" * 30]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(LoadingError, match=r"^max_memory: '.*'; expected a size such as 4GiB or 800MB$"):
        bytes_of(text)


def test_half_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PHYS_PAGES": 1_000_000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert default_memory() == 2_048_000_000


def test_a_machine_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: -1)
    assert default_memory() == 4 * 2**30
    monkeypatch.delattr(os, "sysconf")
    assert default_memory() == 4 * 2**30


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (1010 * 1024, "1010 KiB"),
        (2**30, "1 GiB"),
        (2**400, "more than 1,024 TiB"),
    ],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words
