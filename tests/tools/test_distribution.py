"""What is published says the same version everywhere, and its description has no link that an index cannot follow."""

import re
import tomllib
import zipfile

import pytest

import functional_mlp as fm
from tools.distribution import LINK, ROOT, DistributionError, require_description

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def described():
    """The README as an index shows it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for change in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    return text


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.M)[1] == fm.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (Unreleased|" + re.escape(fm.__version__) + r")", changelog, re.M)


def test_the_description_has_no_link_to_a_file_and_every_extra():
    text = described()
    assert not LINK.search(text)
    assert "](http" in (ROOT / "README.md").read_text(encoding="utf-8") or "](" not in text
    assert all(f"`{extra}`" in text for extra in PROJECT["project"]["optional-dependencies"])


def wheel_with(folder, description):
    path = folder / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a-1.dist-info/METADATA", f"Name: a\nVersion: 1\nProvides-Extra: more\n\n{description}")
    return path


@pytest.mark.parametrize(("description", "words"), [("`more` [x](x.txt)", "links"), ("nothing", "extra")])
def test_a_description_that_misleads_is_refused(description, words, tmp_path):
    with pytest.raises(DistributionError, match=words):
        require_description(wheel_with(tmp_path, description))


def test_a_description_with_links_to_the_web_passes(tmp_path):
    require_description(wheel_with(tmp_path, "`more` [x](https://example.org)"))
