"""Certificates of the stand-in of AWS, of an authority that the machines trust and of one that they do not."""

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def signed(subject, key, issuer, issuer_key, start, extension):
    builder = x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named(issuer)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(start + 30 * DAY)
    return builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints)).sign(issuer_key, hashes.SHA256())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def make(folder):
    """Makes `roots.pem` and the endpoints' `good.pem`, `stranger.pem` and `future.pem`; answers the folder."""
    folder.mkdir()
    yesterday = datetime.now(timezone.utc) - DAY
    for name, authority, start in (("good", "Trusted", yesterday), ("stranger", "Stranger", yesterday), ("future", "Trusted", None)):
        if name != "future":
            root_key = ec.generate_private_key(ec.SECP256R1())
            root = signed(authority, root_key, authority, root_key, yesterday, x509.BasicConstraints(ca=True, path_length=None))
        if name == "good":
            (folder / "roots.pem").write_bytes(pem(root))
            trusted = root_key
        key = ec.generate_private_key(ec.SECP256R1())
        signer = trusted if authority == "Trusted" else root_key
        names = x509.SubjectAlternativeName([x509.DNSName("*.eu-central-1.amazonaws.com")])
        leaf = signed("endpoint", key, authority, signer, start or yesterday + 2 * DAY, names)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem(leaf) + private)
    return folder
