# SPDX-License-Identifier: Apache-2.0
"""A certificate authority as bottler keeps one, in any part of its life.

usage: ca_life.py PATH NAME BEGAN ENDS     PATH.pem and PATH.key; seconds from now
"""
import datetime
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USAGE = {"digital_signature": False, "content_commitment": False, "key_encipherment": False, "data_encipherment": False,
         "key_agreement": False, "key_cert_sign": True, "crl_sign": True, "encipher_only": False, "decipher_only": False}


def main(path, name, began, ends):
    now = datetime.datetime.utcnow()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + datetime.timedelta(seconds=int(began)))
    builder = builder.not_valid_after(now + datetime.timedelta(seconds=int(ends)))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.KeyUsage(**USAGE), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    os.umask(0o077)
    with open(f"{path}.key", "wb") as out:
        out.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                    serialization.NoEncryption()))
    with open(f"{path}.pem", "wb") as out:
        out.write(certificate.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    main(*sys.argv[1:])
