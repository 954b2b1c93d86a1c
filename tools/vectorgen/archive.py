"""Packs the conformance vectors for everybody who will never install a Python package.

    python -m tools.vectorgen.archive           # dist/functional-mlp-vectors-RELEASE.zip, and its checksum beside it

In it are the groups, their schemas, the documents, the licence, and SHA256SUMS, which `sha256sum --check` reads. The
same vectors give the same bytes: entries are sorted and carry no time.
"""

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from functional_mlp.files import write_bytes
from tools.vectorgen.making import FOLDER, RELEASE

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ("case", "gradients", "update")
NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say


def contents() -> dict[str, bytes]:
    """What is packed, by its name in the archive."""
    files = {f"vectors/{path.relative_to(FOLDER).as_posix()}": path.read_bytes() for path in FOLDER.rglob("*.json")}
    for name in ("vectors.schema.json", "operations.schema.json"):
        files[f"schemas/{name}"] = (FOLDER.parent / "schemas" / name).read_bytes()
    for kind in SCHEMAS:
        name = f"{kind}.schema.json"
        files[f"schemas/{name}"] = (ROOT / "functional_mlp" / "oracle" / "documents" / "schemas" / name).read_bytes()
    files["README.md"] = (FOLDER.parent / "README.md").read_bytes()
    files["vectors.md"] = (ROOT / "docs" / "reference" / "vectors.md").read_bytes()
    files["derivations.md"] = (ROOT / "docs" / "reference" / "derivations.md").read_bytes()
    files["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return files | {"SHA256SUMS": sums.encode()}


def packed(files: Mapping[str, bytes], folder: str) -> bytes:
    """A zip file of these files, below one folder."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{folder}/{name}", NO_TIME)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
    return memory.getvalue()


def main() -> int:
    """Writes the archive and its checksum."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.vectorgen.archive", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    folder = parser.parse_args().out
    name = f"functional-mlp-vectors-{RELEASE}"
    archive = packed(contents(), name)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"{name}.zip", archive)
    checksum = f"{hashlib.sha256(archive).hexdigest()}  {name}.zip\n"
    write_bytes(folder / f"{name}.zip.sha256", checksum.encode())
    print(f"{folder / name}.zip: {len(archive) / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
