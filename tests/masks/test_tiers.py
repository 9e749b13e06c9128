"""Tables of QP offsets by class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.core.errors import SacFileError, SacValueError
from vs_sac.core.labels import FINE_CLASSES
from vs_sac.masks.tiers import DRIVING, read_tiers, tier_offsets


def test_the_built_in_table_has_every_fine_class():
    assert set(DRIVING) == set(FINE_CLASSES)
    assert read_tiers("driving", "test") is DRIVING


@given(st.dictionaries(st.sampled_from(FINE_CLASSES), st.integers(-20, 20).map(lambda n: n / 2), min_size=1))
def test_all_forms_of_a_table_are_equal(tmp_path_factory, table):
    words = ", ".join(f"{name} = {value}" for name, value in table.items())
    path = tmp_path_factory.mktemp("tiers") / "tiers.toml"
    path.write_text("\n".join(f'"{name}" = {value}' for name, value in table.items()))
    assert dict(read_tiers(words, "test")) == dict(read_tiers(path, "test")) == dict(read_tiers(table, "test")) == table


def test_offsets_come_in_the_order_of_the_classes():
    assert tier_offsets(("sky", "cat", "person"), DRIVING, "test").tolist() == [2, 0, -2]
    with pytest.raises(SacValueError, match=r"none of them, but cat"):
        tier_offsets(("cat",), {"person": -2.0}, "test")


@pytest.mark.parametrize(
    ("given_tiers", "said"),
    [
        ("person=", "CLASS=OFFSET"), ("=3", "CLASS=OFFSET"), ("person=x", "CLASS=OFFSET"), ("person=1,,", "CLASS="),
        ("person=11", "-10 to 10"), ("person=nan", "-10 to 10"), ({"person": True}, "-10 to 10"),
        ({"person": "2"}, "-10 to 10"), ({}, "no entry"),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused(given_tiers, said):
    with pytest.raises(SacValueError, match=said):
        read_tiers(given_tiers, "test")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SacFileError, match="accepted: driving, entries"):
        read_tiers("drivin", "test")
    (tmp_path / "a.toml").write_text("person = = 3")
    with pytest.raises(SacFileError, match="cannot read the tiers"):
        read_tiers(tmp_path / "a.toml", "test")
