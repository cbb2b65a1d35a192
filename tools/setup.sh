#!/bin/sh
# Installs what is missing from Debian: setup.sh build|test|miniworld|photos|sysroot BUILD_DIR
set -eu

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs the packages of the list that are not there yet; asks the package lists for news only then.
install() {
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  command -v apt-get >/dev/null || { echo "setup: apt-get is missing; please install:$missing" >&2; exit 5; }
  echo "setup: installing$missing"
  as_root apt-get update -qq
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# Real photographs that come with Debian packages, unpacked without installing the packages.
photos() {
  [ -d "$1/photos/usr" ] && return 0
  mkdir -p "$1/photos"
  cd "$1/photos"
  apt-get download -qq opencv-doc python3-skimage 2>/dev/null || {
    as_root apt-get update -qq
    apt-get download -qq opencv-doc python3-skimage
  }
  for package in *.deb; do dpkg -x "$package" .; done
  rm -f -- *.deb
}

# An ARM machine's libraries in BUILD_DIR/sysroot, for tests under qemu: those of `build` and what they need, unpacked
# without installing them or telling this machine's apt of another architecture. Where they are not to be had the tests
# are skipped.
sysroot() {
  if [ -d "$1/sysroot" ] || ! command -v aarch64-linux-gnu-gcc >/dev/null; then return 0; fi
  mkdir -p "$1/sysroot.apt/lists/partial" "$1/sysroot.apt/archives/partial" "$1/sysroot.apt/root"
  root=$(cd "$1" && pwd)/sysroot
  cd "$root.apt"
  : >status
  cat >conf <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State "$root.apt";
Dir::State::status "$root.apt/status";
Dir::Cache "$root.apt";
END
  # shellcheck disable=SC2086
  if apt-get -c conf update -qq >log 2>&1 &&
    apt-get -c conf install -y -qq --no-install-recommends --download-only $libraries >>log 2>&1; then
    for package in archives/*.deb; do dpkg -x "$package" root; done
    rm -rf root/etc root/usr/share # nothing that a library needs
    mv root "$root"
  else
    echo "setup: no libraries for ARM: $(tail -1 log)" >&2
  fi
  rm -rf "$root.apt"
}

libraries="libc6-dev libpng-dev libjpeg-dev libcjson-dev libxxhash-dev libhdf5-dev libminizip-dev zlib1g-dev
  libprotobuf-c-dev libsqlite3-dev"
case "$1" in
  build) install gcc make flex bison graphviz pkg-config protobuf-c-compiler $libraries ;;
  test) install python3 python3-numpy valgrind openmpi-bin libopenmpi-dev iproute2 \
    $([ "$(dpkg --print-architecture)" = arm64 ] || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user) ;;
  miniworld) install python3 python3-venv libegl1 libgl1-mesa-dri libglu1-mesa ;;
  photos) photos "$2" ;;
  sysroot) sysroot "$2" ;;
  *) echo "usage: setup.sh build|test|miniworld|photos|sysroot BUILD_DIR" >&2; exit 2 ;;
esac
