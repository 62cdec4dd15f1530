"""The catalogue of data sources. A new source is one file and one line here.

Readable without importing torch.
"""

from collections.abc import Iterable

from core.common.errors import EspalierError
from core.data import cifar, csv_list, folder, idx, parquet, sample, shards, tiny_imagenet
from core.data.public_sets import PUBLIC_SETS
from core.data.source import DataSource

_FASHION_TERMS = PUBLIC_SETS["fashion-mnist"].terms


def register(sources: Iterable[DataSource]) -> dict[str, DataSource]:
    """The sources by id.

    Raises:
        ValueError: an id is used twice.
    """
    catalogue: dict[str, DataSource] = {}
    for source in sources:
        if source.id in catalogue:
            raise ValueError(f"Two data sources have the id '{source.id}'.")
        catalogue[source.id] = source
    return catalogue


SOURCES: dict[str, DataSource] = register(
    (
        DataSource(
            id="fashion-mnist-sample",
            title="Fashion-MNIST sample",
            help="24 000 grey images of clothing, 28 × 28 pixels, 10 classes; comes with Espalier.",
            path_kind="none",
            locate=sample.locate,
            licence=f"Data: {_FASHION_TERMS}",
        ),
        DataSource(
            id="folder",
            title="Image folder or zip",
            help="A folder (or zip file) with a folder of images per class, or with train, validation and "
            "test folders that hold these.",
            path_kind="file or folder",
            locate=folder.locate,
            image_files=True,
            file_filter="Zip files (*.zip)",
        ),
        DataSource(
            id="idx",
            title="IDX files (MNIST)",
            help="A folder with the files of MNIST or Fashion-MNIST, gzipped or not.",
            path_kind="folder",
            locate=idx.locate,
            licence=f"Data: of the files that you gave; if they are Fashion-MNIST: {_FASHION_TERMS}",
        ),
        DataSource(
            id="cifar",
            title="CIFAR-10 or CIFAR-100",
            help="The Python version as published: the .tar.gz file, or the folder it unpacks to. CIFAR-100 with "
            "its 100 fine labels.",
            path_kind="file or folder",
            locate=cifar.locate,
            licence=f"Data: {PUBLIC_SETS['cifar-10'].terms}",
            file_filter="CIFAR archives (*.tar.gz *.tgz *.tar)",
        ),
        DataSource(
            id="tiny-imagenet",
            title="Tiny ImageNet",
            help="The folder tiny-imagenet-200 or its zip file, as published. Its validation images are the test "
            "split, because those of its test split have no labels.",
            path_kind="file or folder",
            locate=tiny_imagenet.locate,
            file_filter="Zip files (*.zip)",
        ),
        DataSource(
            id="csv",
            title="CSV list of images",
            help="A file with the columns path, label and, optionally, split (train, validation, test); or a zip "
            "file with one and its images.",
            path_kind="file",
            locate=csv_list.locate,
            file_filter="Lists and zip files (*.csv *.tsv *.txt *.zip)",
            numbers_by_value=True,
        ),
        DataSource(
            id="shards",
            title="Tar shards (WebDataset)",
            help="A folder of tar files, or one of them, in which each image has its class beside it (.cls, or a label in "
            ".json). Names such as train-0001.tar and val-0001.tar say the splits.",
            path_kind="file or folder",
            locate=shards.locate,
            file_filter="Tar files (*.tar)",
            numbers_by_value=True,
        ),
        DataSource(
            id="parquet",
            title="Parquet (Hugging Face)",
            help="A folder of Parquet files, or one of them, in which each row has an image and its label. Names such as "
            "train-00000-of-00002.parquet and test-00000-of-00001.parquet say the splits.",
            path_kind="file or folder",
            locate=parquet.locate,
            file_filter="Parquet files (*.parquet)",
            numbers_by_value=True,
        ),
    )
)


def find_source(source_id: str) -> DataSource:
    """The source with this id.

    Raises:
        EspalierError: there is none.
    """
    if source_id not in SOURCES:
        raise EspalierError(
            f"Expected one of the data sets {', '.join(SOURCES)}, received '{source_id}'.",
            "Choose one of these as `source` in the data settings.",
        )
    return SOURCES[source_id]
