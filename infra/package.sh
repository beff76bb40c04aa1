#!/bin/sh
# Makes the zip that Lambda takes, from a bootstrap that is there or is built here. Two runs over the same binary give the
# same bytes, if zopfli, which is fetched from PyPI and packs tighter, can be had for both or for neither. Prints the zip's
# path, and nothing else, to stdout; beside the zip lie its checksum and the template.
#
#   infra/package.sh [--arch arm64|x86_64] [--out FOLDER] [BOOTSTRAP]
#
# Without BOOTSTRAP it is built: by cargo-zigbuild where that is installed (for either processor, and for the glibc of
# Amazon Linux 2023), else by cargo for this machine's own processor only.
set -eu

arch=arm64
out=
binary=
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --arch | --out)
        [ $# -ge 2 ] || usage
        case $1 in --arch) arch=$2 ;; --out) out=$2 ;; esac
        shift 2
        ;;
    -*) usage ;;
    *)
        [ -z "$binary" ] || usage
        binary=$1
        shift
        ;;
    esac
done
case $arch in
arm64) triple=aarch64-unknown-linux-gnu ;;
x86_64) triple=x86_64-unknown-linux-gnu ;;
*) usage ;;
esac
out=${out:-$target/package}

if [ -z "$binary" ]; then
    cd "$here"
    # The lambda profile is small before it is fast: see Cargo.toml.
    set -- --locked --profile lambda --no-default-features --features aws --bin bootstrap
    if command -v cargo-zigbuild >/dev/null 2>&1; then
        cargo zigbuild "$@" --target "$triple.2.34" >&2
        binary=$target/$triple/lambda/bootstrap
    else
        case $(uname -m) in
        aarch64 | arm64) own=arm64 ;;
        *) own=$(uname -m) ;;
        esac
        if [ "$own" != "$arch" ]; then
            echo "this machine is $own and builds no $arch: pip install cargo-zigbuild, or --arch $own" >&2
            exit 1
        fi
        cargo build "$@" >&2
        binary=$target/lambda/bootstrap
    fi
fi
if [ ! -f "$binary" ]; then
    echo "there is no file $binary" >&2
    exit 1
fi

# Lambda unpacks deflate and nothing newer. Zopfli takes a minute for the same format, and needs a twentieth less room than zlib
# (docs/decisions/0076).
tools=$target/package-tools
zopfli() {
    [ -x "$tools/bin/python" ] && "$tools/bin/python" -c 'import zopfli.zlib' 2>/dev/null
}
if ! zopfli; then
    if ! { python3 -m venv --clear "$tools" && "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --retries 1 --timeout 10 --no-deps --only-binary=:all: --require-hashes -r "$here/infra/package-requirements.txt"; } \
        >/dev/null 2>&1; then
        echo "zopfli cannot be had from PyPI (infra/package-requirements.txt): zlib packs the zip, a twentieth larger" >&2
    fi
fi
python=python3
if zopfli; then python=$tools/bin/python; fi

mkdir -p "$out"
"$python" - "$binary" "$out" "$arch" "$here" <<'PYTHON'
import hashlib
import pathlib
import re
import shutil
import struct
import sys
import zlib

binary, out, arch, here = sys.argv[1:]
out, here = pathlib.Path(out), pathlib.Path(here)
version = re.search(r'^version = "(.+)"', (here / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
content = pathlib.Path(binary).read_bytes()
try:
    import zopfli.zlib
    # Without the header and the sum of zlib's own format.
    packed = zopfli.zlib.compress(content)[2:-4]
except ImportError:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(content) + deflate.flush()
# One file in a zip, written out here: neither the clock nor the time zone nor the file's owner has a say. Version 2.0, deflate,
# midnight of the first of January 1980.
name = b"bootstrap"
known = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, zlib.crc32(content), len(packed), len(content), len(name), 0)
body = b"PK\x03\x04" + known + name + packed
# Made on Unix, mode 0755.
entry = b"PK\x01\x02" + struct.pack("<H", 3 << 8 | 20) + known + struct.pack("<HHHII", 0, 0, 0, 0o100755 << 16, 0) + name
end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(body), 0)
made = out / f".defib-{arch}.zip"
made.write_bytes(body + entry + end)
digest = hashlib.sha256(made.read_bytes()).hexdigest()
# The name holds the checksum, so that another zip is another key, and CloudFormation sees that it changed.
named = made.rename(out / f"defib-{version}-{arch}-{digest[:12]}.zip")
template = out / "template.yaml"
shutil.copyfile(here / "infra" / "template.yaml", template)
for file in (named, template):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_name(file.name + ".sha256").write_text(f"{digest}  {file.name}\n", encoding="utf-8")
print(named)
PYTHON
