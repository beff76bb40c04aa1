#!/bin/sh
# Makes the zip that Lambda takes, from a bootstrap that is there or is built here. Two runs over the same binary give the
# same bytes. Prints the zip's path, and nothing else, to stdout; beside the zip lie its checksum and the template.
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
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
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
    # The lambda profile is small before it is fast: see Cargo.toml. In it a panic aborts, so nobody reads the tables for
    # unwinding, half a megabyte of the zip; the standard library brings them, and only the linker can leave them out.
    set -- --locked --profile lambda --no-default-features --features aws --bin bootstrap
    layout=$here/infra/no-unwinding.ld
    if command -v cargo-zigbuild >/dev/null 2>&1; then
        cargo-zigbuild rustc "$@" --target "$triple.2.34" -- -C link-arg="-Wl,--no-eh-frame-hdr,-T,$layout" >&2
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
        cargo rustc "$@" -- -C link-arg="-Wl,--no-eh-frame-hdr,-T,$layout" >&2
        binary=$target/lambda/bootstrap
    fi
fi
if [ ! -f "$binary" ]; then
    echo "there is no file $binary" >&2
    exit 1
fi

mkdir -p "$out"
# zipfile, not zip: its output depends on neither the clock nor the time zone nor the file's owner.
python3 - "$binary" "$out" "$arch" "$here" <<'PYTHON'
import hashlib
import pathlib
import re
import shutil
import sys
import zipfile

binary, out, arch, here = sys.argv[1:]
out, here = pathlib.Path(out), pathlib.Path(here)
version = re.search(r'^version = "(.+)"', (here / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100755 << 16
made = out / f".defib-{arch}.zip"
with zipfile.ZipFile(made, "w") as archive:
    archive.writestr(entry, pathlib.Path(binary).read_bytes(), compresslevel=9)
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
