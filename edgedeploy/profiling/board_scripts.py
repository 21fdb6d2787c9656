"""What runs on a board besides the worker: five scripts for any POSIX ``sh``.

They hold no ' and no comment, for they travel as one line (`ssh.Ssh.argv`). The board needs what
`HOLD` looks for, GNU's or BusyBox's. No time of the board is compared with anything: a Jetson Nano
has no clock that runs while it is switched off.
"""

MARK = b"edgedeploy-says"
"""Begins what is ours; before it stands whatever a login shell prints."""

LOCK = "/tmp/edgedeploy.lock"
"""On every board; a variable ``EDGEDEPLOY_LOCK`` there moves it."""

# One profile of a board at a time. The lock is a symbolic link, for that is made together with its
# contents in one step: "PID WHO". Its holder lives as long as the connection does, and then takes
# all that is ours away. What a holder left that was killed itself is removed by the next.
# $1: Python; $2: who asks; $3: Python code that prints its version; $4: a holder to end, or 0
HOLD = """
umask 077; LC_ALL=C; export LC_ALL; base=${TMPDIR:-/tmp};
lock=${EDGEDEPLOY_LOCK:-/tmp/edgedeploy.lock};
me="$$ $2"; dir=; beat=;
say() { echo "edgedeploy-says $*"; };
is() { grep -q -e "$2" "/proc/$1/cmdline" 2>/dev/null; };
holds() { is "$1" edgedeploy-board; };
clean() {
  trap "" HUP INT TERM PIPE;
  [ -z "$beat" ] || kill "$beat" 2>/dev/null;
  if [ -n "$dir" ]; then
    worker=$(cat "$dir/worker" 2>/dev/null);
    if is "$worker" edgedeploy.worker; then kill -9 "$worker"; fi;
    guard=$(cat "$dir/guard" 2>/dev/null); waits=0;
    if is "$guard" edgedeploy.worker; then kill "$guard" 2>/dev/null; fi;
    while is "$guard" edgedeploy.worker && [ "$waits" -lt 120 ]; do
      sleep 1; waits=$((waits + 1));
    done;
    rm -rf "$dir" 2>/dev/null || { sleep 1; rm -rf "$dir"; };
  fi;
  [ "$(readlink "$lock")" != "$me" ] || rm -f "$lock";
};
for need in tar mktemp readlink grep; do
  command -v "$need" >/dev/null || { say missing "$need"; exit 0; };
done;
command -v "$1" >/dev/null || { say no-python; exit 0; };
version=$("$1" -c "$3" 2>&1) || { say bad-python $version; exit 0; };
if [ "$4" != 0 ] && holds "$4"; then kill "$4"; sleep 1; fi;
tries=0;
until why=$(ln -sn "$me" "$lock" 2>&1); do
  held=$(readlink "$lock") || { say no-folder $why; exit 0; };
  if holds "${held%% *}"; then say held "$held"; exit 0; fi;
  tries=$((tries + 1)); [ "$tries" -lt 4 ] || { say not-freed "$held"; exit 0; };
  mv "$lock" "$lock.$$" 2>/dev/null || continue;
  got=$(readlink "$lock.$$"); rm -f "$lock.$$";
  [ "$got" = "$held" ] || ln -sn "$got" "$lock";
done;
trap clean EXIT; trap "exit 1" HUP INT TERM PIPE;
for old in "$base"/edgedeploy-run.*; do
  if [ -O "$old" ] && ! holds "$(cat "$old/holder" 2>/dev/null)"; then rm -rf "$old"; fi;
done;
why=$(mktemp -d "$base/edgedeploy-run.XXXXXX" 2>&1) || { say no-folder $why; exit 0; };
dir=$why;
why=$( { echo $$ > "$dir/holder"; } 2>&1) || { say no-folder $why; exit 0; };
say ready "$version" "$dir";
exec 3<&0; cat <&3 >/dev/null & beat=$!; wait "$beat"
"""

# Unpack an archive. $1: the folder; $2: the folder in it that is replaced
TAKE = """
umask 077; LC_ALL=C; export LC_ALL; cd "$1" && rm -rf "$2" && tar -xomf -
"""

# Pack files. $1: the folder; the others: their names
GIVE = """
LC_ALL=C; export LC_ALL; cd "$1" && shift && echo "edgedeploy-says begin" && tar -cf - "$@"
"""

# Run the worker on this session's stdin and stdout; what a vendor's library writes to TMPDIR goes
# with our folder. $1: the folder; $2: Python
WORK = """
case "$2" in /*) python=$2;; */*) python=$PWD/$2;; *) python=$2;; esac;
cd "$1" || exit; unset PYTHONHOME; PYTHONPATH=$1; TMPDIR=$1; export PYTHONPATH TMPDIR;
exec 3<&0; echo "edgedeploy-says begin";
"$python" -m edgedeploy.worker <&3 3<&- & worker=$!; echo "$worker" > worker; wait "$worker"
"""

# Run the worker that sets power modes: it ends by itself, after it has put the first one back, and
# HOLD waits for that. Our folder may be gone by then. $1: the folder; $2: Python
GUARD = """
case "$2" in /*) python=$2;; */*) python=$PWD/$2;; *) python=$2;; esac;
cd "$1" || exit; unset PYTHONHOME; PYTHONPATH=$1; export PYTHONPATH;
echo "$$" > guard; cd /; echo "edgedeploy-says begin"; exec "$python" -m edgedeploy.worker
"""

BEGIN = MARK + b" begin"
VERSION = 'import sys; print("%d.%d" % sys.version_info[:2])'
"""Python of any age; ends in an error where it is no Python."""
