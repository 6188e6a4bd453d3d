"""What the papers' data sets are as published: files, sizes and check sums, by which downloads are checked.

Sizes and check sums are those that the archives list, taken from other projects' loaders: see `Download`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prerelax.errors import UserError

CHUNK = 1 << 20


@dataclass(frozen=True)
class PublishedFile:
    """One file of a data set."""

    name: str
    what: str
    n_bytes: int | None
    md5: str
    sha256: str | None = None


@dataclass(frozen=True)
class Download:
    """A data set as it lies in an archive."""

    name: str
    paper: str
    archive: str
    doi: str
    """of the data, not of the paper"""
    source: str
    """where the sizes and check sums were read"""
    files: tuple[PublishedFile, ...]


DOWNLOADS = (
    Download(
        "QM9",
        "Ramakrishnan et al., Sci. Data 2014, 1, 140022",
        "figshare, collection 978904",
        "10.6084/m9.figshare.c.978904",
        "sizes and SHA-256: TensorFlow Datasets (datasets/qm9/checksums.tsv); MD5: figshare's, as several "
        "loaders repeat them",
        (
            PublishedFile(
                "dsgdb9nsd.xyz.tar.bz2",
                "133 885 molecules, figshare file 3195389",
                86_144_227,
                "ad1ebd51ee7f5b3a6e32e974e5d54012",
                "3a63848ac80691bdb8d41834b575afad345b9300d7a2db0c38adb7f6eaa8360c",
            ),
            PublishedFile(
                "uncharacterized.txt",
                "3 054 of them that failed the consistency check, figshare file 3195404",
                486_752,
                "a361887bacb427b8a0ce7903d92a53b4",
                "3aa5115d540b356de94791d4a74c3bf1ed91c469ecf52a4f5d7cc0506fe02e24",
            ),
        ),
    ),
    Download(
        "QM7-X",
        "Hoja et al., Sci. Data 2021, 8, 43",
        "Zenodo, record 4288677",
        "10.5281/zenodo.4288677",
        "MD5: SchNetPack (schnetpack/datasets/qm7x.py), which checks its downloads against them; sizes: "
        "Zenodo's of the files with these check sums in record 3905361",
        (
            PublishedFile("1000.xz", "HDF5, packed", 715_361_604, "b50c6a5d0a4493c274368cf22285503e"),
            PublishedFile("2000.xz", "HDF5, packed", 1_043_743_376, "4418a813daf5e0d44aa5a26544249ee6"),
            PublishedFile("3000.xz", "HDF5, packed", 2_052_043_036, "f7b5aac39a745f11436047c12d1eb24e"),
            PublishedFile("4000.xz", "HDF5, packed", 1_461_283_500, "26819601705ef8c14080fa7fc69decd4"),
            PublishedFile("5000.xz", "HDF5, packed", 1_135_294_700, "85ac444596b87812aaa9e48d203d0b70"),
            # Of 6000.xz the list with sizes has another MD5 (two digits): no size is taken from it.
            PublishedFile("6000.xz", "HDF5, packed", None, "787fc4a9036af0e67c034a30ad854c07"),
            PublishedFile("7000.xz", "HDF5, packed", 1_104_141_872, "5ecce00a188410d06b747cb683d8d347"),
            PublishedFile("8000.xz", "HDF5, packed", 89_426_884, "c893ae88b8f5c32541c3f024fc1daa45"),
            PublishedFile(
                "DupMols.dat", "equilibria that are there twice", None, "5d886ccac38877c8cb26c07704dd1034"
            ),
        ),
    ),
    Download(
        "GEOM",
        "Axelrod & Gómez-Bombarelli, Sci. Data 2022, 9, 185",
        "Harvard Dataverse, version 4",
        "10.7910/DVN/JNGTDF",
        "MD5: the loader of GraphMVP (Liu et al., ICLR 2022), and others that verified drugs_crude against "
        "it; sizes: Dataverse's, as a loader repeats them",
        (
            PublishedFile(
                "drugs_crude.msgpack.tar.gz",
                "292 035 drug-like molecules, Dataverse file 4360331",
                42_687_717_910,
                "7778e84c50b7cde755cca670d1f75091",
            ),
            PublishedFile(
                "rdkit_folder.tar.gz",
                "the same and GEOM's QM9 as pickles, Dataverse file 4327252",
                50_137_579_520,
                "e8f2168b7050652db22c976be25c450e",
            ),
        ),
    ),
)
"""Of the papers' campaigns, which docs/guide/data.md makes their sets of."""


def published() -> str:
    """All of them as text: archives, files, sizes and check sums, and where these were read."""
    lines = []
    for download in DOWNLOADS:
        lines += [f"{download.name}: {download.paper}", f"  {download.archive}, doi:{download.doi}"]
        for file in download.files:
            size = "" if file.n_bytes is None else f", {file.n_bytes} bytes"
            lines.append(f"  {file.name}: {file.what}{size}")
            lines.append(f"    MD5 {file.md5}" + (f", SHA-256 {file.sha256}" if file.sha256 else ""))
        lines += [f"  {download.source}", ""]
    return "\n".join(lines).rstrip()


def check_downloads(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """What is wrong with each file, or an empty text where it is as published.

    Files are known by their names. Raises UserError for one of another name, before any is read.
    """
    known = {file.name: file for download in DOWNLOADS for file in download.files}
    for path in paths:
        if path.name not in known:
            raise UserError(f"{path}: not among the published files; those are {', '.join(known)}")
    for path in paths:
        yield path, _complaint(path, known[path.name])


def _complaint(path: Path, published: PublishedFile) -> str:
    try:
        size = path.stat().st_size
        if published.n_bytes is not None and size < published.n_bytes:
            return f"cut short: {size} of {published.n_bytes} bytes; go on with the download"
        if published.n_bytes is not None and size > published.n_bytes:
            return f"{size} bytes, {published.n_bytes} are published; download it again"
        md5, sha256 = _digests(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if md5 != published.md5:
        return f"MD5 {md5}, published is {published.md5}; download it again"
    if published.sha256 not in (None, sha256):
        return f"SHA-256 {sha256}, published is {published.sha256}; download it again"
    return ""


def _digests(path: Path) -> tuple[str, str]:
    """MD5 and SHA-256, the file read once."""
    sums = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            for each in sums:
                each.update(chunk)
    return sums[0].hexdigest(), sums[1].hexdigest()
