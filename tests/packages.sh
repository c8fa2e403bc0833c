# What the setup scripts share: how packages are had from the archives of this machine's own apt
# configuration. Sourced by bash; messages begin with the name of the script.

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# The packages of a list that are not installed.
missing() {
  comm -23 <(printf '%s\n' "$@" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort)
}

# Runs an apt command; if it fails, once more with fresh package lists.
with_fresh_lists() {
  "$@" || {
    printf '%s: once more, with fresh package lists\n' "${0##*/}" >&2
    apt-get update -q
    "$@"
  }
}

apt_install() {
  apt-get install -q -y --no-install-recommends "$@"
}

# The archive this machine has its release's packages from, whatever form its sources are written in.
archive() {
  local release
  release=$(. /etc/os-release && printf %s "$VERSION_CODENAME")
  apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' "Codename: $release" 'Component: main' | head -n 1
}

# Makes `apart` the options with which apt keeps lists and state in a new directory, believes that no
# package is installed, and knows what these releases have for these architectures, the first of which
# is the machine's.
apt_apart() { # apt_apart DIRECTORY ARCHITECTURE[,ARCHITECTURE...] RELEASE...
  local work=$1 architectures=$2 uri release
  shift 2
  rm -rf "$work"
  mkdir -p "$work"/{lists,archives}/partial
  : >"$work/status"
  # Without package lists apt doesn't know what the archives have.
  [ -n "$(archive)" ] || apt-get update -q
  uri=$(archive)
  [ -n "$uri" ] || fail "apt knows no archive with the component main of this release"
  for release in "$@"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $release main"
  done >"$work/sources.list"
  apart=(
    -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status"
    -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives"
    -o APT::Architecture="${architectures%%,*}" -o APT::Architectures="$architectures"
    -o APT::Sandbox::User=root -o Acquire::Languages=none
  )
  apt-get "${apart[@]}" -qq update || fail "$uri has to have $* for $architectures"
}
