# What every tests/*.bats loads. "make check" sets TCPTOOL (the program) and HELPERS (the directory of
# the built tests/helpers/*.c); by hand: TCPTOOL=... HELPERS=... bats tests/NAME.bats
# shellcheck shell=bash

bats_require_minimum_version 1.5.0
export LC_ALL=C
: "${TCPTOOL:?names the program to test}" "${HELPERS:?names the directory of the built helpers}"

# No test waits for anything longer than this, in seconds: plenty even for a slow machine.
LIMIT=${LIMIT:-20}

# Each test works in a directory of its own. The descriptors 5 to 9 are the test's: no program that it
# starts inherits them.
setup() {
	cd "$BATS_TEST_TMPDIR" || return
	declare -gA PIDS=()
}

# end_background: ends what start_bg has started, by the process ids that were noted.
end_background() {
	local name
	for name in "${!PIDS[@]}"; do
		kill -KILL "${PIDS[$name]}" 2>/dev/null || true
		wait "${PIDS[$name]}" 2>/dev/null || true
	done
}

# Ends what still runs; shows all logs when the test has failed.
teardown() {
	local file
	end_background
	[ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
	for file in *.err *.out err out; do
		if [ ! -f "$file" ] || [ ! -s "$file" ]; then continue; fi
		echo "--- $file"
		head -c 2000 "$file" | cat -v
	done
}

# start_bg NAME COMMAND...: runs COMMAND in the background; its output goes to NAME.out and NAME.err. With
# IN=FILE or OUT=FILE before it, stdin or stdout is that file instead. A name may be used again; teardown
# still ends the earlier command.
start_bg() {
	local name=$1
	shift
	[ -z "${PIDS[$name]:-}" ] || PIDS[$name-${PIDS[$name]}]=${PIDS[$name]}
	"$@" <"${IN:-/dev/null}" >"${OUT:-$name.out}" 2>"$name.err" \
		3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
	PIDS[$name]=$!
}

# gone NAME: the background command has ended.
gone() {
	! kill -0 "${PIDS[$1]}" 2>/dev/null
}

# ends STATUS NAME: the background command ends, and with this status.
ends() {
	local status=0
	wait_for gone "$2"
	wait "${PIDS[$2]}" 2>/dev/null || status=$?
	unset "PIDS[$2]"
	[ "$status" -eq "$1" ] || {
		echo "$2 ended with status $status, not $1"
		return 1
	}
}

# stays MILLISECONDS NAME...: the background commands are all still there after so long.
stays() {
	local name ms=$1
	shift
	"$HELPERS/pause" "$ms"
	for name; do
		! gone "$name" || {
			echo "$name has ended"
			return 1
		}
	done
}

# returns STATUS COMMAND...: runs COMMAND in the foreground, its output to the files out and err; it
# ends in time, and with this status.
returns() {
	local status=0 want=$1
	shift
	timeout -k 5 "$LIMIT" "$@" >out 2>err 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- || status=$?
	[ "$status" -eq "$want" ] || {
		echo "status $status, not $want: $*" | head -c 500
		return 1
	}
}

# fails COMMAND...: it does not succeed. (Before a command of its own, "!" would not fail a test.)
fails() {
	! "$@"
}

# wait_for COMMAND...: waits until COMMAND succeeds.
wait_for() {
	local end=$((SECONDS + LIMIT))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || {
			echo "waited in vain: $*"
			return 1
		}
		"$HELPERS/pause" 10
	done
}

# wait_port FILE: waits for a port file and stores the port in PORT.
wait_port() {
	wait_for test -e "$1"
	# shellcheck disable=SC2034 # the test uses it
	PORT=$(<"$1")
}

# listen_bg NAME [OPTION]... [HOST] [PORT]: starts "tcptool listen" and stores its port in PORT. It hears
# SIGHUP, even where the tests are run by nohup.
listen_bg() {
	local name=$1
	shift
	[ $# -gt 0 ] || set -- 127.0.0.1 0
	rm -f "$name.port"
	start_bg "$name" env --default-signal=HUP "$TCPTOOL" listen --port-file="$name.port" "$@"
	wait_port "$name.port"
}

# peer_bg NAME [OPTION]... STEP...: starts a scripted peer that listens (tests/helpers/peer.c) and
# stores its port in PORT.
peer_bg() {
	local name=$1 options=()
	shift
	while [[ $1 == -* ]]; do
		options+=("$1" "$2")
		shift 2
	done
	rm -f "$name.port"
	start_bg "$name" "$HELPERS/peer" "${options[@]}" listen "$name.port" "$@"
	wait_port "$name.port"
}

# one_line FILE [TEXT]: the file is one line of tcptool's, and TEXT is in it.
one_line() {
	local lines
	mapfile lines <"$1"
	[[ ${#lines[@]} -eq 1 && ${lines[0]} == "tcptool: "*"${2:-}"*$'\n' ]] || {
		echo "not one line with '${2:-}' in $1:"
		head -c 1000 "$1" | cat -v
		return 1
	}
}

# holds FILE TEXT: the file consists of TEXT, to the byte; TEXT takes the escapes of printf.
holds() {
	# shellcheck disable=SC2059 # it is a format
	printf "$2" | cmp - "$1"
}

# cpu NAME: the processor time a background command has used, in ticks.
cpu() {
	local fields
	read -r -a fields <"/proc/${PIDS[$1]}/stat"
	echo $((fields[13] + fields[14]))
}

# calm NAME...: the background commands, which have nothing to do, do nothing. A tick is 1/100 s: one
# that spins takes 50 of them here, however slow the machine.
calm() {
	local name
	local -A before
	for name; do
		before[$name]=$(cpu "$name")
	done
	"$HELPERS/pause" 500
	for name; do
		[ $(($(cpu "$name") - before[$name])) -le 12 ] || {
			echo "$name used $(($(cpu "$name") - before[$name])) ticks of 50"
			return 1
		}
	done
}

# random FILE SIZE: a file of so many random bytes.
random() {
	head -c "$2" /dev/urandom >"$1"
}

# need_ipv6: skips the test where ::1 is missing.
need_ipv6() {
	grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null || skip "no IPv6"
}

# need_localhost: skips the test where that name has no address, as on a machine without /etc/hosts.
need_localhost() {
	getent hosts localhost >/dev/null || skip "localhost has no address here"
}

# need COMMAND: skips the test where it is not installed.
need() {
	command -v "$1" >/dev/null || skip "no $1"
}

# need_terminal: skips the test where there are no pseudo-terminals, as in some chroots.
need_terminal() {
	"$HELPERS/pty" -- true >/dev/null 2>&1 || skip "no terminals here"
}

# first_bg NAME COMMAND...: the same as process 1 of a PID namespace of its own, to which the kernel sends no
# signal without a handler. FIRST gets its process id. Skips the test where that is not allowed.
first_bg() {
	local name=$1
	shift
	unshare --map-root-user --fork --pid --mount-proc true 2>/dev/null || skip "no PID namespaces here"
	start_bg "$name" unshare --map-root-user --fork --pid --mount-proc --kill-child "$@"
	wait_for first_found "$name"
}

first_found() {
	FIRST=$(<"/proc/${PIDS[$1]}/task/${PIDS[$1]}/children")
	FIRST=${FIRST% }
	[ -n "$FIRST" ]
}

# need_strace: skips the test where system calls cannot be watched. LeakSanitizer does not work there.
need_strace() {
	need strace
	strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
	export ASAN_OPTIONS=detect_leaks=0
}

# make_network [OPTION]...: makes a network that nobody else is in (tests/helpers/netns.c). The words in
# NET, put before a command, run it in there. Skips the test where that is not allowed.
make_network() {
	isolate "$@"
	[ "${#NET[@]}" -gt 0 ] || skip "networks of one's own are not allowed here"
}

# isolate [OPTION]...: the same, but where it is not allowed NET is empty.
isolate() {
	NET=()
	start_bg network "$HELPERS/netns" "$@" sh -c 'echo made; exec sleep 1000'
	wait_for network_settled
	if gone network; then
		ends 77 network
	else
		NET=("$HELPERS/netns" -j "${PIDS[network]}")
	fi
}

network_settled() {
	gone network || [ -s network.out ]
}
