"""How often mistakes are made: a number for each of the catalogue, the commonest first."""

from functional_mlp.oracle import MISTAKES
from functional_mlp.oracle.mistakes import FREQUENCIES, frequency_of


def test_every_mistake_has_a_frequency() -> None:
    assert all(frequency_of(name) > 0 for name in MISTAKES)
    assert {name: frequency_of(name) for name in FREQUENCIES} == dict(FREQUENCIES)


def test_they_stand_in_order() -> None:
    assert list(FREQUENCIES.values()) == sorted(FREQUENCIES.values(), reverse=True)


def test_what_was_counted_in_a_program_is_commoner_than_what_was_met_elsewhere() -> None:
    assert frequency_of("updated-weights-used") > frequency_of("mean-missing") > frequency_of("ascends")
