"""One seed per purpose, the same everywhere."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.seeding import derive, generator, python_random

PURPOSES = st.lists(st.text("abc") | st.integers(0, 99), max_size=3)


def test_seeds_never_change() -> None:
    # sha256("0") starts with 5feceb66ffc86f38: read backwards and halved.
    assert hashlib.sha256(b"0").hexdigest()[:16] == "5feceb66ffc86f38"
    assert derive(0) == int("386fc8ff66ebec5f", 16) // 2
    digest = hashlib.sha256(b"7/trial/4/crop/17").digest()[:8]
    assert derive(7, "trial", 4, "crop", 17) == int.from_bytes(digest, "little") // 2


@given(st.integers(), PURPOSES)
def test_seeds_fit_everywhere(seed: int, purpose: list[str | int]) -> None:
    assert 0 <= derive(seed, *purpose) < 2**63
    assert derive(seed, *purpose) == derive(seed, *purpose)


def test_purposes_do_not_share_seeds() -> None:
    seeds = {
        derive(seed, "trial", trial, name)
        for seed in range(20)
        for trial in range(20)
        for name in ("crop", "flip")
    }
    assert len(seeds) == 20 * 20 * 2
    assert derive(1, 23) != derive(12, 3)


def test_generators_start_from_the_derived_seed() -> None:
    expected = np.random.Generator(np.random.PCG64(derive(3, "crop"))).integers(1000, size=5)
    assert generator(3, "crop").integers(1000, size=5).tolist() == expected.tolist()
    assert python_random(3, "crop").random() == python_random(3, "crop").random()
    assert python_random(3, "crop").random() != python_random(3, "flip").random()


def test_the_global_generators_are_left_alone() -> None:
    import random

    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    generator(0, "x").random(3)
    python_random(0, "x").random()
    after = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    assert before == after
