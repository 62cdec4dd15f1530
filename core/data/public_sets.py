"""The public data sets that can be fetched by name: addresses, sizes, hashes, terms. Reading this fetches nothing.

Sources of the hashes: what Keras and TensorFlow Datasets check for the same files; the MD5 sums that
torchvision checks belong to them as well.
"""

from dataclasses import dataclass
from pathlib import Path

_KRIZ = "https://www.cs.toronto.edu/~kriz"
_ZALANDO = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
    "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion"
)
_KRIZ_TERMS = (
    "No licence is stated; the author asks to cite: Alex Krizhevsky, Learning Multiple Layers of Features from "
    "Tiny Images, 2009."
)


@dataclass(frozen=True, slots=True)
class PublicFile:
    """A file on a server; `size` in bytes."""

    address: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.address.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A data set that may be fetched.

    Attributes:
        source: id of the data source that reads it.
        folder: where its files go, below the folder that a person chose; "" for that folder.
        terms: licence and citation, in a sentence.
    """

    id: str
    title: str
    source: str
    files: tuple[PublicFile, ...]
    terms: str
    folder: str = ""

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)

    def path(self, folder: Path) -> Path:
        """What to give as the path in the data settings, once it is in `folder`."""
        return folder / (self.folder or self.files[0].name)


_CIFAR_10 = PublicFile(
    f"{_KRIZ}/cifar-10-python.tar.gz",
    170_498_071,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)
_CIFAR_100 = PublicFile(
    f"{_KRIZ}/cifar-100-python.tar.gz",
    169_001_437,
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
)
_FASHION = (
    ("train-images-idx3", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ("train-labels-idx1", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ("t10k-images-idx3", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ("t10k-labels-idx1", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
_FASHION_TERMS = (
    "MIT licence, © 2017 Zalando SE; cite: Xiao, Rasul, Vollgraf, Fashion-MNIST, arXiv 1708.07747, 2017."
)

PUBLIC_SETS: dict[str, PublicSet] = {
    public_set.id: public_set
    for public_set in (
        PublicSet("cifar-10", "CIFAR-10", "cifar", (_CIFAR_10,), _KRIZ_TERMS),
        PublicSet("cifar-100", "CIFAR-100", "cifar", (_CIFAR_100,), _KRIZ_TERMS),
        PublicSet(
            "fashion-mnist",
            "Fashion-MNIST",
            "idx",
            tuple(PublicFile(f"{_ZALANDO}/{name}-ubyte.gz", size, sha) for name, size, sha in _FASHION),
            _FASHION_TERMS,
            folder="fashion-mnist",
        ),
    )
}
