#!/bin/sh
# Installs what is missing from Debian: setup.sh build|test|miniworld|photos BUILD_DIR
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

case "$1" in
  build) install gcc libc6-dev make flex bison graphviz libpng-dev libjpeg-dev libcjson-dev libxxhash-dev \
    libhdf5-dev libminizip-dev zlib1g-dev pkg-config \
    libprotobuf-c-dev protobuf-c-compiler libsqlite3-dev ;;
  test) install python3 python3-numpy openmpi-bin libopenmpi-dev iproute2 \
    $([ "$(dpkg --print-architecture)" = arm64 ] || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;;
  miniworld) install python3 python3-venv libegl1 libgl1-mesa-dri libglu1-mesa ;;
  photos) photos "$2" ;;
  *) echo "usage: setup.sh build|test|miniworld|photos BUILD_DIR" >&2; exit 2 ;;
esac
