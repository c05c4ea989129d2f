# shellcheck shell=bash
# shellcheck disable=SC2034 # the paths are for those who source this
#
# Gets the real servers and clients that the tests run against.
#
# Sourced after groups.sh, never run, under `set -euo pipefail`. `tools_get_all` is the way in. Each tool also has a function
# of its own, which leaves what it got in variables:
#
#   VAULT_BIN CRANE_BIN COSIGN_2_BIN COSIGN_3_BIN
#   COSIGN_2_VERSION COSIGN_3_VERSION
#   DISTRIBUTION_2_BIN DISTRIBUTION_3_BIN OCIREGISTRY_BIN TLOG_BIN CARGO_DENY_BIN
#   WRK_BIN WRK_LIBRARIES TOXIPROXY_BIN
#   POSTGRES_BINARIES POSTGRES_LIBRARIES (folders; the second is empty for an installed one)
#   CHROMIUM_BIN CHROMEDRIVER_BIN CHROMIUM_LIBRARIES CHROMIUM_FONTS (the last two are empty for installed ones)
#   AXE_SCRIPT
#
# The binaries are kept in $SIGNET_TEST_TOOLS, outside the checkout, so that they
# survive `cargo clean` and serve every checkout on the machine. What is found
# there is not trusted for its name: a tool is reused only if the file `pins`
# beside it is the hash of all that it is made from, and is made again otherwise.

TOOLS_PINS_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../tools" && pwd)"
TOOLS="${SIGNET_TEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/signet-test-tools}"

# Bounds one build. The slowest, Vault, takes about five minutes on two cores.
TOOLS_BUILD_SECONDS="${SIGNET_TEST_TOOLS_BUILD_SECONDS:-3600}"

CARGO_DENY_VERSION=0.20.2
DISTRIBUTION_2_VERSION=2.8.2

tools_say() { printf '  %s\n' "$*" >&2; }

tools_fail() {
  printf 'error: %s\n' "$*" >&2
  return 1
}

tools_get_all() {
  tools_get_servers && tools_get_cargo_deny
}

# The servers and their clients, from the quickest to the slowest, so that a mistake
# in the set-up of the machine shows early.
tools_get_servers() {
  tools_say "tools are kept in $TOOLS"
  tools_get_crane &&
    tools_get_ociregistry &&
    tools_get_tlog &&
    tools_get_distribution_2 &&
    tools_get_postgres &&
    tools_get_axe &&
    tools_get_chromium &&
    tools_get_distribution_3 &&
    tools_get_vault &&
    tools_get_cosign_3 &&
    tools_get_cosign_2
}

tools_get_crane() {
  local package=github.com/google/go-containerregistry/cmd/crane version
  version=$(tools_pinned_version crane github.com/google/go-containerregistry) &&
    tools_provide_go crane "$version" crane "$package" &&
    CRANE_BIN="$TOOLS/crane-$version/crane"
}

# The registry that has the referrers API: a few lines of ours over a library.
tools_get_ociregistry() {
  local version
  version=$(tools_pinned_version ociregistry cuelabs.dev/go/oci/ociregistry) &&
    tools_provide_go ociregistry "$version" ociregistry . &&
    OCIREGISTRY_BIN="$TOOLS/ociregistry-$version/ociregistry"
}

# Go's own transparency logs, as an oracle: a few lines of ours over a library.
tools_get_tlog() {
  local version
  version=$(tools_pinned_version tlog golang.org/x/mod) &&
    tools_provide_go tlog "$version" tlog . &&
    TLOG_BIN="$TOOLS/tlog-$version/tlog"
}

# distribution 2.8.2 has no go.mod to build it from, so it comes as a Debian
# package: the installed one if its version is right, else one that is unpacked
# into the cache. It is not installed, because that would take root, and would
# start a registry on port 5000 of the developer's machine.
tools_get_distribution_2() {
  local folder="docker-registry-$DISTRIBUTION_2_VERSION" installed
  installed=$(type -P docker-registry || true)
  if [[ -n $installed ]] && tools_is_distribution_2 "$installed"; then
    tools_say "docker-registry $DISTRIBUTION_2_VERSION: ready, installed as $installed"
    DISTRIBUTION_2_BIN=$installed
    return
  fi
  tools_provide "$folder" "debian-package $DISTRIBUTION_2_VERSION" \
    "docker-registry $DISTRIBUTION_2_VERSION" tools_unpack_docker_registry &&
    DISTRIBUTION_2_BIN="$TOOLS/$folder/docker-registry"
}

tools_get_distribution_3() {
  local version
  version=$(tools_pinned_version registry github.com/distribution/distribution/v3) &&
    tools_provide_go registry "$version" registry \
      github.com/distribution/distribution/v3/cmd/registry &&
    DISTRIBUTION_3_BIN="$TOOLS/registry-$version/registry"
}

# The tag leaves out the storage, database and cloud plug-ins that no test uses.
# Vault is under the BUSL: it is built and run for tests, and never shipped.
tools_get_vault() {
  local version
  version=$(tools_pinned_version vault github.com/hashicorp/vault) &&
    tools_provide_go vault "$version" vault github.com/hashicorp/vault -tags minimal &&
    VAULT_BIN="$TOOLS/vault-$version/vault"
}

tools_get_cosign_2() {
  tools_get_cosign 2 && COSIGN_2_BIN=$COSIGN_BIN COSIGN_2_VERSION=$COSIGN_VERSION
}

tools_get_cosign_3() {
  tools_get_cosign 3 && COSIGN_3_BIN=$COSIGN_BIN COSIGN_3_VERSION=$COSIGN_VERSION
}

tools_get_cosign() {
  local module="github.com/sigstore/cosign/v$1" version
  version=$(tools_pinned_version "cosign-$1" "$module") &&
    tools_provide_go cosign "$version" "cosign-$1" "$module/cmd/cosign" &&
    COSIGN_BIN="$TOOLS/cosign-$version/cosign" COSIGN_VERSION=$version
}

# What `benches/run` needs beside the servers: something that makes load, and something that makes networks slow.
tools_get_loads() { tools_get_wrk && tools_get_toxiproxy; }

# WRK_LIBRARIES is a folder, and empty for an installed wrk.
tools_get_wrk() {
  WRK_LIBRARIES=""
  WRK_BIN=$(type -P wrk || true)
  if [[ -n $WRK_BIN ]]; then
    tools_say "wrk: ready, installed as $WRK_BIN"
    return
  fi
  tools_provide wrk debian-packages wrk tools_unpack_debian wrk || return
  WRK_BIN="$TOOLS/wrk/usr/bin/wrk"
  WRK_LIBRARIES=$(printf '%s:' "$TOOLS"/wrk/usr/lib/*-linux-gnu*)
}

tools_get_toxiproxy() {
  local version
  version=$(tools_pinned_version toxiproxy github.com/Shopify/toxiproxy/v2) &&
    tools_provide_go toxiproxy "$version" toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server &&
    TOXIPROXY_BIN="$TOOLS/toxiproxy-$version/toxiproxy"
}

tools_get_cargo_deny() {
  local folder="cargo-deny-$CARGO_DENY_VERSION"
  tools_provide "$folder" "cargo-install $CARGO_DENY_VERSION" \
    "cargo-deny $CARGO_DENY_VERSION" tools_install_cargo_deny &&
    CARGO_DENY_BIN="$TOOLS/$folder/bin/cargo-deny"
}

# The version of a module that the go.mod of a tool requires, without the `v`:
# go.mod is the one place that states it.
tools_pinned_version() {
  local name=$1 module=$2 version
  version=$(awk -v module="$module" '
    $1 == "require" { $1 = ""; $0 = $0 }
    $1 == module && $2 ~ /^v/ { print substr($2, 2); exit }
  ' "$TOOLS_PINS_ROOT/$name/go.mod")
  [[ -n $version ]] || tools_fail "tests/tools/$name/go.mod does not require $module" || return
  printf '%s\n' "$version"
}

# tools_provide_go BINARY VERSION PINS-FOLDER PACKAGE [BUILD-FLAG…]
tools_provide_go() {
  local binary=$1 version=$2 pins_folder="$TOOLS_PINS_ROOT/$3" package=$4 pins
  shift 4
  # Go's own version is left out: another patch release of Go makes the same tool.
  pins=$({
    printf '%s\n' "$package" "$@"
    find "$pins_folder" -maxdepth 1 -type f -print0 | LC_ALL=C sort -z | xargs -0 cat
  } | sha256sum | cut -d' ' -f1) || return
  tools_provide "$binary-$version" "$pins" "$binary $version" \
    tools_build_go "$pins_folder" "$package" "$binary" "$@"
}

# tools_build_go PINS-FOLDER PACKAGE BINARY [BUILD-FLAG…] INTO
tools_build_go() {
  local pins_folder=$1 package=$2 binary=$3 into=${!#}
  local flags=("${@:4:$#-4}")
  type -P go >/dev/null || tools_fail "Go is not installed; it builds the servers that the tests use: https://go.dev/doc/install" || return
  # GOFLAGS and GOWORK of the developer's own must not change what is built.
  cd "$pins_folder" &&
    GOWORK=off GOFLAGS='' CGO_ENABLED=0 timeout --foreground "$TOOLS_BUILD_SECONDS" \
      go build -v -mod=readonly -trimpath -buildvcs=false "${flags[@]}" -o "$into/$binary" "$package"
}

# tools_install_cargo_deny INTO
#
# In a target folder of its own, so that it does not mix with the project's.
tools_install_cargo_deny() {
  local into=$1
  CARGO_TARGET_DIR="$into/target" timeout --foreground "$TOOLS_BUILD_SECONDS" \
    cargo install --locked --root "$into" --version "$CARGO_DENY_VERSION" cargo-deny &&
    rm -rf "$into/target"
}

# tools_unpack_docker_registry INTO
tools_unpack_docker_registry() {
  local into=$1
  type -P apt-get dpkg-deb >/dev/null ||
    tools_fail "docker-registry $DISTRIBUTION_2_VERSION is not on PATH, and without apt-get it cannot be fetched" || return
  # Only root may refresh the package lists; the lists of a machine in use will do.
  if ((EUID == 0)); then
    apt-get update || return
  fi
  mkdir "$into/package" &&
    (cd "$into/package" && apt-get download docker-registry) &&
    dpkg-deb --extract "$into"/package/docker-registry_*.deb "$into/package" &&
    mv "$into/package/usr/bin/docker-registry" "$into/docker-registry" &&
    rm -rf "$into/package" || return
  tools_is_distribution_2 "$into/docker-registry" ||
    tools_fail "apt-get brought $("$into/docker-registry" --version), and the tests are for $DISTRIBUTION_2_VERSION; put that one on PATH as docker-registry"
}

# PostgreSQL comes as Debian's packages too: the newest version that is installed,
# else what `apt-get install postgresql` would bring, unpacked into the cache and
# not installed, for the same reasons.
tools_get_postgres() {
  POSTGRES_LIBRARIES=""
  POSTGRES_BINARIES=$(tools_find_postgres /)
  if [[ -n $POSTGRES_BINARIES ]]; then
    tools_say "postgresql: ready, installed in $POSTGRES_BINARIES"
    return
  fi
  tools_provide postgresql debian-packages postgresql tools_unpack_postgres || return
  POSTGRES_BINARIES=$(tools_find_postgres "$TOOLS/postgresql/")
  POSTGRES_LIBRARIES=$(printf '%s:' "$TOOLS"/postgresql/usr/lib/*-linux-gnu*)
}

# tools_find_postgres ROOT
tools_find_postgres() {
  find "$1usr/lib/postgresql" -path '*/bin/postgres' 2>/dev/null | sort --version-sort | tail -n 1 | sed 's|/postgres$||'
}

# The browser and its driver, which has to be of the same version: the installed ones, else what `apt-get install`
# would bring, unpacked. Where the browser alone is installed, that is only its driver, and the right one for as long as
# the browser stays what it is. A browser that was unpacked gets fonts and an account of them too.
tools_get_chromium() {
  local folder="$TOOLS/chromium" installed
  CHROMIUM_LIBRARIES="" CHROMIUM_FONTS=""
  CHROMIUM_BIN=$(type -P chromium || true)
  CHROMEDRIVER_BIN=$(type -P chromedriver || true)
  if [[ -n $CHROMIUM_BIN && -n $CHROMEDRIVER_BIN ]]; then
    tools_say "chromium: ready, installed as $CHROMIUM_BIN, with $CHROMEDRIVER_BIN"
    return
  fi
  installed=$(dpkg-query --show --showformat='${Version}' chromium 2>/dev/null || true)
  tools_provide chromium "debian-packages, chromium ${installed:-not} installed" chromium tools_unpack_chromium || return
  CHROMEDRIVER_BIN="$folder/usr/bin/chromedriver"
  if [[ -x $folder/usr/lib/chromium/chromium ]]; then
    CHROMIUM_LIBRARIES=$(printf '%s:' "$folder"/usr/lib/*-linux-gnu*)
    CHROMIUM_BIN="$folder/usr/lib/chromium/chromium"
    CHROMIUM_FONTS="$folder/fonts.conf"
  fi
}

# tools_unpack_chromium INTO
tools_unpack_chromium() {
  local into=$1
  tools_unpack_debian chromium chromium-driver fonts-dejavu-core "$into" || return
  [[ -x $into/usr/bin/chromedriver ]] || tools_fail "apt-get brought no chromedriver" || return
  # Both places, because what was installed already is not unpacked.
  cat >"$into/fonts.conf" <<XML
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>$TOOLS/chromium/usr/share/fonts</dir>
  <cachedir>$TOOLS/chromium/fonts-cache</cachedir>
</fontconfig>
XML
}

# The checker of accessibility, of which one file is needed: it is run in the browser.
# It is under the MPL: it is run for tests, and never shipped.
tools_get_axe() {
  local folder pins version
  version=$(sed -n 's/^ *"axe-core": "\(.*\)"$/\1/p' "$TOOLS_PINS_ROOT/axe/package.json") &&
    pins=$(cat "$TOOLS_PINS_ROOT/axe/package.json" "$TOOLS_PINS_ROOT/axe/package-lock.json" | sha256sum | cut -d' ' -f1) || return
  folder="axe-core-$version"
  tools_provide "$folder" "$pins" "axe-core $version" tools_install_axe && AXE_SCRIPT="$TOOLS/$folder/axe.min.js"
}

# tools_install_axe INTO
#
# npm compares what it fetches with the hash in package-lock.json. Debian's npm works only where it is installed; that
# starts nothing, and without root it is left to the developer.
tools_install_axe() {
  local into=$1
  if ! type -P npm >/dev/null && ((EUID == 0)) && type -P apt-get >/dev/null; then
    apt-get update && apt-get install --yes --no-install-recommends npm || return
  fi
  type -P npm >/dev/null || tools_fail "npm is not installed; it fetches axe-core, which checks pages for accessibility" || return
  mkdir "$into/packages" && cp "$TOOLS_PINS_ROOT"/axe/package*.json "$into/packages" &&
    (cd "$into/packages" && npm ci --ignore-scripts --no-audit --no-fund) &&
    mv "$into/packages/node_modules/axe-core/axe.min.js" "$into" &&
    rm -rf "$into/packages"
}

# tools_unpack_debian PACKAGE… INTO
#
# What `apt-get install PACKAGE…` would bring.
tools_unpack_debian() {
  local wanted="${*:1:$#-1}" into=${!#} packages package
  type -P apt-get dpkg-deb >/dev/null ||
    tools_fail "$wanted is not installed, and without apt-get it cannot be fetched" || return
  # Only root may refresh the package lists; the lists of a machine in use will do.
  if ((EUID == 0)); then
    apt-get update || return
  fi
  # shellcheck disable=SC2086 # a name for each word
  packages=$(apt-get install --simulate --no-install-recommends $wanted | awk '$1 == "Inst" { print $2 }') || return
  mkdir "$into/packages" || return
  # shellcheck disable=SC2086 # a name for each word
  (cd "$into/packages" && apt-get download $packages) || return
  for package in "$into"/packages/*.deb; do
    dpkg-deb --extract "$package" "$into" || return
  done
  rm -rf "$into/packages"
}

# tools_unpack_postgres INTO
tools_unpack_postgres() {
  tools_unpack_debian postgresql "$1" || return
  [[ -n $(tools_find_postgres "$1/") ]] || tools_fail "apt-get brought no PostgreSQL"
}

tools_is_distribution_2() {
  [[ $("$1" --version 2>/dev/null) =~ [[:space:]]v?${DISTRIBUTION_2_VERSION//./\\.}([^0-9].*)?$ ]]
}

# tools_provide FOLDER PINS LABEL COMMAND [ARGUMENT…]
#
# Makes sure that $TOOLS/FOLDER holds what COMMAND makes. COMMAND gets one more
# argument, an empty folder, and that is renamed into place as a whole once the
# command has succeeded: what is interrupted leaves nothing half-made.
tools_provide() {
  local folder=$1 pins=$2 label=$3
  shift 3
  if tools_is_there "$folder" "$pins"; then
    tools_say "$label: ready"
    return
  fi
  mkdir -p "$TOOLS" || return
  # A shell of its own, so that its lock and its scratch folder end with it.
  group_run tools_make "$folder" "$pins" "$label" "$@"
}

tools_is_there() { [[ $(cat "$TOOLS/$1/pins" 2>/dev/null) == "$2" ]]; }

# Exits: only tools_provide calls it, in a shell of its own.
tools_make() {
  local folder=$1 pins=$2 label=$3 scratch start=$SECONDS
  shift 3
  # Two runs must not build the same thing side by side.
  exec {lock}>"$TOOLS/.$folder.lock"
  if ! flock --nonblock "$lock"; then
    tools_say "$label: another run is making it, waiting for that"
    flock "$lock"
    if tools_is_there "$folder" "$pins"; then
      tools_say "$label: ready after $((SECONDS - start)) s"
      exit 0
    fi
  fi
  # With the lock held, what an earlier, killed run left behind can be removed.
  rm -rf "$TOOLS/.$folder".making.*
  scratch=$(mktemp -d "$TOOLS/.$folder.making.XXXXXX") || exit
  # shellcheck disable=SC2064 # the folder is to be the one of now
  trap "rm -rf '$scratch'" EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  mkdir "$scratch/new" || exit
  tools_say "$label: making it"
  # The lock is closed for the command: a process that outlives it must not hold it.
  if ! ("$@" "$scratch/new") {lock}>&- 2>&1 </dev/null | tools_show_progress "$label" "$scratch/output"; then
    tail -n 40 "$scratch/output" >&2
    tools_fail "$label could not be made (after $((SECONDS - start)) s)"
    exit 1
  fi
  printf '%s\n' "$pins" >"$scratch/new/pins" || exit
  if [[ -e $TOOLS/$folder ]]; then
    mv -T "$TOOLS/$folder" "$scratch/old" || exit
  fi
  mv -T "$scratch/new" "$TOOLS/$folder" || exit
  tools_say "$label: made in $((SECONDS - start)) s"
  exit 0
}

# Keeps what a build says in a file, and shows every 15 seconds that it goes on.
tools_show_progress() {
  local label=$1 output=$2 start=$SECONDS shown=$SECONDS lines=0 line status
  while true; do
    status=0
    IFS= read -r -t 15 line || status=$?
    if ((status == 0)); then
      printf '%s\n' "$line"
      lines=$((lines + 1))
    elif ((status <= 128)); then # the end; above 128 is a time-out
      return 0
    fi
    if ((SECONDS - shown >= 15)); then
      shown=$SECONDS
      tools_say "$label: … $((SECONDS - start)) s, $lines steps"
    fi
  done >"$output"
}
