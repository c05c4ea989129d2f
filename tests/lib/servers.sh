# shellcheck shell=bash
#
# Starts the real servers once, for one run of the tests, and always ends them.
#
# Sourced after groups.sh and tools.sh, never run, under `set -euo pipefail`:
#
#   servers_start   starts all, waits until each answers, and exports
#                   SIGNET_TEST_SERVERS, the path of a JSON file that says where
#                   they are.
#   servers_stop    ends all and removes their data; harmless if none runs. Call it
#                   from an EXIT trap.
#
# Everything is bound to loopback, and keeps its data in one temporary folder.

# How long a server may take until it answers.
SERVERS_START_SECONDS=60

SERVERS_DIR=""
SERVERS_GROUPS=()
SERVERS_PROCESSES=()   # of those that answer, as members of a JSON object
SERVERS_PORT=""

# PostgreSQL refuses to run as root: then it gets a folder and a user of its own.
SERVERS_POSTGRES_DIR=""
SERVERS_POSTGRES_GROUP=""
SERVERS_POSTGRES_USER=()
SERVERS_POSTGRES_PASSWORD=""

servers_start() {
  SERVERS_DIR=$(mktemp -d "${TMPDIR:-/tmp}/signet-test-servers.XXXXXX") || return
  local root_token vault_port postgres_port distribution_2_port distribution_3_port ociregistry_port
  root_token="root-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" || return

  servers_launch vault servers_exec_vault servers_vault_answers "$root_token" || return
  vault_port=$SERVERS_PORT
  servers_prepare_vault "$vault_port" "$root_token" || return

  servers_prepare_postgres || return
  servers_launch postgresql servers_exec_postgres servers_postgres_answers || return
  postgres_port=$SERVERS_PORT SERVERS_POSTGRES_GROUP=$GROUP_STARTED

  servers_launch distribution-2.8 servers_exec_distribution servers_registry_answers "$DISTRIBUTION_2_BIN" || return
  distribution_2_port=$SERVERS_PORT
  servers_launch distribution-3 servers_exec_distribution servers_registry_answers "$DISTRIBUTION_3_BIN" || return
  distribution_3_port=$SERVERS_PORT
  servers_launch ociregistry servers_exec_ociregistry servers_registry_answers || return
  ociregistry_port=$SERVERS_PORT

  # Read by the test harness: tests/common knows this shape.
  cat >"$SERVERS_DIR/servers.json" <<JSON || return
{
  "vault": {
    "address": "http://127.0.0.1:$vault_port",
    "root_token": "$root_token",
    "binary": $(servers_json_string "$VAULT_BIN"),
    "audit_log": $(servers_json_string "$SERVERS_DIR/vault/audit.log")
  },
  "postgres": {
    "url": "postgres://signet:$SERVERS_POSTGRES_PASSWORD@127.0.0.1:$postgres_port/postgres",
    "binaries": $(servers_json_string "$POSTGRES_BINARIES"),
    "libraries": $(servers_json_string "$POSTGRES_LIBRARIES"),
    "uid": $(stat --format %u "$SERVERS_POSTGRES_DIR"),
    "gid": $(stat --format %g "$SERVERS_POSTGRES_DIR")
  },
  "registries": {
    "distribution-2.8": "127.0.0.1:$distribution_2_port",
    "distribution-3": "127.0.0.1:$distribution_3_port",
    "ociregistry": "127.0.0.1:$ociregistry_port"
  },
  "registry_binaries": {
    "distribution-2.8": $(servers_json_string "$DISTRIBUTION_2_BIN"),
    "distribution-3": $(servers_json_string "$DISTRIBUTION_3_BIN"),
    "ociregistry": $(servers_json_string "$OCIREGISTRY_BIN")
  },
  "cosign": {
    "$COSIGN_2_VERSION": $(servers_json_string "$COSIGN_2_BIN"),
    "$COSIGN_3_VERSION": $(servers_json_string "$COSIGN_3_BIN")
  },
  "processes": {
    $(servers_json_members "${SERVERS_PROCESSES[@]}")
  },
  "browser": {
    "chromium": $(servers_json_string "$CHROMIUM_BIN"),
    "driver": $(servers_json_string "$CHROMEDRIVER_BIN"),
    "libraries": $(servers_json_string "$CHROMIUM_LIBRARIES"),
    "fonts": $(servers_json_string "$CHROMIUM_FONTS"),
    "axe": $(servers_json_string "$AXE_SCRIPT")
  },
  "crane": $(servers_json_string "$CRANE_BIN"),
  "tlog": $(servers_json_string "$TLOG_BIN")
}
JSON
  export SIGNET_TEST_SERVERS="$SERVERS_DIR/servers.json"
}

servers_stop() {
  local status=0
  if [[ -n $SERVERS_POSTGRES_GROUP ]]; then
    # At once, without writing to the disk what is removed below.
    group_signal QUIT "$SERVERS_POSTGRES_GROUP"
    SERVERS_POSTGRES_GROUP=""
  fi
  groups_end "${SERVERS_GROUPS[@]}" || status=$?
  SERVERS_GROUPS=()
  SERVERS_PROCESSES=()
  if [[ -n $SERVERS_DIR ]]; then
    rm -rf "$SERVERS_DIR"
    SERVERS_DIR=""
  fi
  if [[ -n $SERVERS_POSTGRES_DIR ]]; then
    rm -rf "$SERVERS_POSTGRES_DIR"
    SERVERS_POSTGRES_DIR=""
  fi
  unset SIGNET_TEST_SERVERS
  return "$status"
}

# servers_launch NAME EXEC ANSWERS [ARGUMENT…]
#
# Starts a server and leaves its port in SERVERS_PORT. `EXEC folder port ARGUMENT…`
# becomes the server, and `ANSWERS port` says whether it is ready. Between choosing
# a free port and binding it, another process may take it: then the server exits,
# and is started again on another port.
servers_launch() {
  local name=$1 exec=$2 answers=$3 folder="$SERVERS_DIR/$1" attempt port status
  shift 3
  mkdir -p "$folder" || return
  for attempt in 1 2 3 4 5; do
    port=$(servers_free_port) || return
    group_start "$exec" "$folder" "$port" "$@" >"$folder/output" 2>&1
    SERVERS_GROUPS+=("$GROUP_STARTED")
    status=0
    servers_wait_until_it_answers "$GROUP_STARTED" "$answers" "$port" || status=$?
    if ((status == 0)); then
      SERVERS_PORT=$port
      SERVERS_PROCESSES+=("$(servers_json_string "$name"): $GROUP_STARTED")
      printf '  %s: on 127.0.0.1:%s\n' "$name" "$port" >&2
      return
    fi
    if ((status == 2)); then
      break
    fi
  done
  printf 'error: %s did not start; its output ends with\n' "$name" >&2
  tail -n 30 "$folder/output" >&2
  return 1
}

# 0: it answers. 1: it has exited. 2: the time is up.
servers_wait_until_it_answers() {
  local pid=$1 answers=$2 port=$3 deadline=$((SECONDS + SERVERS_START_SECONDS))
  while ((SECONDS < deadline)); do
    if ! kill -0 "$pid" 2>/dev/null; then
      return 1
    fi
    # Asked again afterwards, because the answer may be that of the process that
    # took the port.
    if "$answers" "$port" && kill -0 "$pid" 2>/dev/null; then
      return 0
    fi
    sleep 0.05
  done
  return 2
}

servers_free_port() {
  local attempt port
  for attempt in {1..100}; do
    # Below the range from which the kernel hands out ports, so that no test that
    # listens on port 0 gets it in between.
    port=$((20000 + RANDOM % 10000))
    if ! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
  done
  printf 'error: no free port on 127.0.0.1 after %s attempts\n' "$attempt" >&2
  return 1
}

# Becomes a server. It sees none of the variables that would reconfigure it (VAULT_…,
# REGISTRY_…, proxies), and the kernel ends it should this shell be killed outright.
servers_exec() {
  exec env -i PATH="$PATH" HOME="$SERVERS_DIR" OTEL_TRACES_EXPORTER=none \
    setpriv --pdeathsig KILL "$@"
}

servers_exec_vault() {
  local folder=$1 port=$2 root_token=$3
  # Without the last flag it would overwrite the developer's ~/.vault-token.
  servers_exec "$VAULT_BIN" server -dev -dev-root-token-id="$root_token" \
    -dev-listen-address="127.0.0.1:$port" -dev-no-store-token
}

servers_exec_distribution() {
  local folder=$1 port=$2 binary=$3
  cat >"$folder/config.yml" <<YAML
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: $(servers_json_string "$folder/data")
  delete:
    enabled: true
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: 127.0.0.1:$port
  secret: only-for-tests
YAML
  servers_exec "$binary" serve "$folder/config.yml"
}

servers_exec_ociregistry() {
  local port=$2
  servers_exec "$OCIREGISTRY_BIN" -listen "127.0.0.1:$port"
}

# Makes an empty cluster. What it has acknowledged is on the disk, as in production.
servers_prepare_postgres() {
  SERVERS_POSTGRES_DIR=$(mktemp -d "${TMPDIR:-/tmp}/signet-test-postgres.XXXXXX") || return
  SERVERS_POSTGRES_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') || return
  printf '%s\n' "$SERVERS_POSTGRES_PASSWORD" >"$SERVERS_POSTGRES_DIR/password" || return
  SERVERS_POSTGRES_USER=()
  if ((EUID == 0)); then
    local user=nobody
    if id -u postgres >/dev/null 2>&1; then user=postgres; fi
    SERVERS_POSTGRES_USER=("--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
    chown -R "$user:$(id -g "$user")" "$SERVERS_POSTGRES_DIR" || return
    servers_share_postgres || return
  fi
  servers_postgres_tool initdb --pgdata="$SERVERS_POSTGRES_DIR/data" --username=signet --encoding=UTF8 --locale=C \
    --auth=scram-sha-256 --pwfile="$SERVERS_POSTGRES_DIR/password" >"$SERVERS_POSTGRES_DIR/preparation" 2>&1 && return
  printf 'error: postgresql could not be prepared\n' >&2
  cat "$SERVERS_POSTGRES_DIR/preparation" >&2
  return 1
}

# The cache of tools may lie where only root comes.
servers_share_postgres() {
  # Asked by a program that is that user already: what setpriv starts is still found with the rights of root.
  if setpriv "${SERVERS_POSTGRES_USER[@]}" test -x "$POSTGRES_BINARIES/postgres"; then
    return
  fi
  cp -a "$TOOLS/postgresql" "$SERVERS_POSTGRES_DIR/tools" || return
  POSTGRES_BINARIES=$(tools_find_postgres "$SERVERS_POSTGRES_DIR/tools/")
  POSTGRES_LIBRARIES=$(printf '%s:' "$SERVERS_POSTGRES_DIR"/tools/usr/lib/*-linux-gnu*)
}

# servers_postgres_tool NAME ARGUMENT…
servers_postgres_tool() {
  local name=$1
  shift
  (cd / && exec env -i PATH="$PATH" LD_LIBRARY_PATH="$POSTGRES_LIBRARIES" \
    setpriv "${SERVERS_POSTGRES_USER[@]}" "$POSTGRES_BINARIES/$name" "$@")
}

servers_exec_postgres() {
  local port=$2
  cd "$SERVERS_POSTGRES_DIR" || return
  exec env -i PATH="$PATH" LD_LIBRARY_PATH="$POSTGRES_LIBRARIES" \
    setpriv --pdeathsig KILL "${SERVERS_POSTGRES_USER[@]}" "$POSTGRES_BINARIES/postgres" -D "$SERVERS_POSTGRES_DIR/data" \
    -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=500
}

servers_postgres_answers() { servers_postgres_tool pg_isready --quiet --host=127.0.0.1 --port="$1"; }

servers_registry_answers() { [[ $(servers_http_status "$1" /v2/) == 200 ]]; }

# 200 once Vault is initialised, unsealed and active.
servers_vault_answers() { [[ $(servers_http_status "$1" /v1/sys/health) == 200 ]]; }

# The status of `GET path`, or nothing. Bash speaks enough HTTP for that, so that
# the tests need no further client.
servers_http_status() {
  local port=$1 path=$2 status=""
  {
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$path" "$port" >&0 &&
      IFS=' ' read -r -t 5 _ status _
  } 2>/dev/null 0<>"/dev/tcp/127.0.0.1/$port" || true
  printf '%s\n' "$status"
}

# The shared Vault signs with `transit/`, and its audit log shows our batch id as
# it was sent, which is how tests tie a record to the call that it came from.
servers_prepare_vault() {
  local port=$1 root_token=$2
  {
    servers_vault_cli "$port" "$root_token" secrets enable transit &&
      servers_vault_cli "$port" "$root_token" audit enable file file_path="$SERVERS_DIR/vault/audit.log" &&
      servers_vault_cli "$port" "$root_token" write sys/config/auditing/request-headers/x-signet-batch-id hmac=false
  } >"$SERVERS_DIR/vault/preparation" 2>&1 && return
  printf 'error: vault could not be prepared\n' >&2
  cat "$SERVERS_DIR/vault/preparation" >&2
  return 1
}

servers_vault_cli() {
  local port=$1 root_token=$2
  shift 2
  env -i PATH="$PATH" HOME="$SERVERS_DIR" VAULT_ADDR="http://127.0.0.1:$port" VAULT_TOKEN="$root_token" "$VAULT_BIN" "$@"
}

# servers_json_members MEMBER…
servers_json_members() {
  printf '%s' "$1"
  shift
  printf ',\n    %s' "$@"
}

# Paths may hold quotes and backslashes; that they hold no control characters is
# taken for granted.
servers_json_string() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}
