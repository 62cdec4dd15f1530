"""Who may take part in a cluster: whoever has its certificate. Without one, nobody beyond this machine.

Whoever reaches a Dask scheduler can have code run by all its workers. So a cluster listens on this machine alone, or
speaks TLS in which both sides show a certificate of the cluster's own authority.
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.common.errors import EspalierError
from core.common.files import written_beside
from core.machine.optional_packages import extra, reason_absent

if TYPE_CHECKING:
    from distributed.security import Security

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "cluster.pem", "cluster-key.pem"
_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where workers are asked.

    Attributes:
        address: of a scheduler, or `local:N` for so many workers on this machine.
        tls: folder with the certificates; None on this machine.
    """

    address: str
    tls: Path | None = None


def check_installed() -> None:
    """Nothing where Dask is there.

    Raises:
        EspalierError: where it is not.
    """
    for label, module in (("Dask's distributed", "distributed"), ("cryptography", "cryptography")):
        if reason := reason_absent(label, module, extra("cluster")):
            raise EspalierError(
                reason, "Install it in the Python that runs Espalier, on every machine of the cluster."
            )


def make_certificates(folder: Path) -> list[Path]:
    """A new authority and the certificate of a cluster, in a folder that everybody who takes part gets a copy of.

    Raises:
        EspalierError: when there are certificates already, or the folder takes none.
    """
    check_installed()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    files = [folder / name for name in (AUTHORITY, CERTIFICATE, KEY)]
    if any(file.exists() for file in files):
        raise EspalierError(
            f"There are certificates in {folder} already.", "Choose another folder, or remove them."
        )
    now = datetime.now(UTC)

    def certificate(
        name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
    ) -> bytes:
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
        made = (
            x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=_DAYS))
            .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
            .sign(signer, hashes.SHA256())
        )  # fmt: skip
        return made.public_bytes(serialization.Encoding.PEM)

    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    private = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    contents = (
        certificate("espalier cluster authority", authority, "espalier cluster authority", authority),
        certificate("espalier cluster", own, "espalier cluster authority", authority),
        private,
    )  # the authority's own key is kept nowhere: nobody can make a further certificate
    try:
        for file, content in zip(files, contents, strict=True):
            with written_beside(file) as part:
                part.touch(mode=0o600)
                part.write_bytes(content)
    except OSError as error:
        raise EspalierError(
            f"The certificates cannot be written into {folder}: {error.strerror or error}.",
            "Choose another folder.",
        ) from error
    return files


def security_of(folder: Path | None) -> "Security | None":
    """What Dask needs to speak TLS with the certificates in a folder; None without a folder.

    Raises:
        EspalierError: when they are not there, or the key can be read by others.
    """
    check_installed()
    if folder is None:
        return None
    from distributed.security import Security

    files = {name: folder / name for name in (AUTHORITY, CERTIFICATE, KEY)}
    if missing := [str(file) for file in files.values() if not file.is_file()]:
        raise EspalierError(
            f"Expected the certificates of a cluster, found no {missing[0]}.",
            "espalier cluster init FOLDER makes them; every machine needs a copy.",
        )
    if os.name == "posix" and files[KEY].stat().st_mode & 0o077:
        raise EspalierError(
            f"Others can read {files[KEY]}, and with it have code run by the cluster.",
            f"chmod 600 {files[KEY]}",
        )
    pair = {
        f"tls_{role}_{part}": str(files[name])
        for role in ("client", "worker", "scheduler")
        for part, name in (("cert", CERTIFICATE), ("key", KEY))
    }
    return Security(tls_ca_file=str(files[AUTHORITY]), require_encryption=True, **pair)


def checked_address(address: str, secure: bool) -> str:
    """The address of a scheduler as Dask takes it; `HOST:PORT` may stand alone.

    Raises:
        EspalierError: when it is none, or leads to another machine without TLS.
    """
    scheme = "tls" if secure else "tcp"
    full = address if "://" in address else f"{scheme}://{address}"
    try:
        parts = urlsplit(full)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme != scheme:
        raise EspalierError(
            f"Expected the address of a scheduler, such as {scheme}://HOST:8786, received {address!r}.",
            "espalier cluster start says it." + ("" if secure else " A tls:// address needs --tls FOLDER."),
        )
    check_reach(host, secure)
    return full


def check_reach(host: str, secure: bool) -> None:
    """Nothing for this machine itself, or with TLS.

    Raises:
        EspalierError: for any other host without TLS.
    """
    if not secure and not _is_loopback(host):
        raise EspalierError(
            f"{host} is reached over a network, where a cluster needs TLS: whoever reaches it can have code run.",
            "espalier cluster init FOLDER makes certificates; give --tls FOLDER on every machine.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
