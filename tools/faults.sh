#!/bin/sh
# Install what the tests of real faults use (iproute2, nftables, libfaketime, mkfs.ext4) where it is missing, we are root and there is apt.
# Never fails: without it, those tests are skipped and say so.
set -u

wanted=""
command -v ip >/dev/null && command -v tc >/dev/null || wanted="$wanted iproute2"
command -v nft >/dev/null || wanted="$wanted nftables"
command -v faketime >/dev/null || wanted="$wanted faketime"
command -v mkfs.ext4 >/dev/null || wanted="$wanted e2fsprogs"
if [ -z "$wanted" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "faults: not here:$wanted; it takes root and apt to install it; some tests of real faults will be skipped"
    exit 0
fi
echo "faults: installing with apt:$wanted"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get update -qq && apt-get install -y -qq --no-install-recommends $wanted >/dev/null || echo "faults: could not install$wanted"
exit 0
