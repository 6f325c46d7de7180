#!/usr/bin/env bats
# Guards that a listener is the same after very many connections, a third of them aborted at some moment: no
# descriptor, no memory, no process and no place in a count is left behind.
#
# CHURN in the environment says how many connections each test makes; 100000 is a thorough run. Commands
# take a process each, and get a tenth.

load helpers

CHURN=${CHURN:-20000}

# So many are served at a time. It is the limit for an address, too: a count that does not go down again
# soon closes connections that should be served.
MOST=8

# A storm that takes so many seconds hangs; on a busy machine a connection may take 20 ms.
LIMIT=$((60 + CHURN / 50))

# slow_build: its memory says nothing about the program itself.
slow_build() {
	grep -q __asan_init "$TCPTOOL"
}

# rss: how much memory the listener has, in KiB.
rss() {
	sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB$/\1/p' "/proc/${PIDS[tool]}/status"
}

# descriptors: how many the listener has open.
descriptors() {
	local all=("/proc/${PIDS[tool]}/fd"/*)
	echo "${#all[@]}"
}

# is_idle: it has the socket that listens, and no other, and no child, be it one to be reaped.
is_idle() {
	[ "$(find "/proc/${PIDS[tool]}/fd" -lname 'socket:*' | wc -l)" -eq 1 ] &&
		! grep -q "^PPid:[[:space:]]*${PIDS[tool]}\$" /proc/[0-9]*/status 2>/dev/null
}

# storm COUNT: connections that are echoed, each third aborted at a random moment.
storm() {
	returns 0 "$HELPERS/storm" -t "$LIMIT" -c $((2 * MOST)) -a 3 "$PORT" "$1"
	[ "$(<out)" = "$1 connections, $((($1 + 2) / 3)) aborted" ]
}

# greet COUNT: connections that greet, and as many of each kind that are aborted instead.
greet() {
	local each=$(($1 / 6)) kind
	start_bg whole1 "$HELPERS/peer" -t "$LIMIT" -n "$each" connect "$PORT" 'expect:hi\0' 'send:x\0' eof
	start_bg whole2 "$HELPERS/peer" -t "$LIMIT" -n "$each" connect "$PORT" 'send:x\0' 'expect:hi\0' eof
	start_bg whole3 "$HELPERS/peer" -t "$LIMIT" -n "$each" connect "$PORT" send:x 'expect:hi\0' 'send:y\0' eof
	start_bg whole4 "$HELPERS/peer" -t "$LIMIT" -n "$each" connect "$PORT" shut 'expect:hi\0' eof
	start_bg lost1 "$HELPERS/peer" -t "$LIMIT" -n "$each" connect "$PORT" reset
	start_bg lost2 "$HELPERS/peer" -t "$LIMIT" -n $((each / 2)) connect "$PORT" 'expect:hi\0' send:x reset
	start_bg lost3 "$HELPERS/peer" -t "$LIMIT" -n $((each / 2)) connect "$PORT" send:xyz reset
	for kind in whole1 whole2 whole3 whole4 lost1 lost2 lost3; do
		ends 0 "$kind"
	done
}

# churn COMMAND: calls "COMMAND COUNT" for half of the connections and for the other half, and compares.
churn() {
	local half end
	"$1" $((CHURN / 2))
	wait_for is_idle
	half=$(rss)
	"$1" $((CHURN / 2))
	wait_for is_idle
	end=$(rss)
	echo "# $BATS_TEST_DESCRIPTION: $CHURN connections; $half KiB, then $end KiB; $(descriptors) descriptors" \
		>>"${CHURN_FIGURES:-figures}"
	# what is kept for the next ones has a bound
	[ "$(descriptors)" -le 50 ]
	slow_build || [ $((end - half)) -le 256 ]
	calm tool
}

# all_places STEP...: just MOST connections that do these steps are served at the same time, and one more waits.
all_places() {
	for ((i = 1; i <= MOST; i++)); do
		start_bg "c$i" "$HELPERS/peer" connect "$PORT" "$@" touch:"c$i" wait:go shut eof
	done
	for ((i = 1; i <= MOST; i++)); do
		wait_for test -e "c$i"
	done
	start_bg more "$HELPERS/peer" connect "$PORT" "$@" touch:more shut eof
	"$HELPERS/pause" 200
	[ ! -e more ]
	touch go
	for ((i = 1; i <= MOST; i++)); do
		ends 0 "c$i"
	done
	ends 0 more
	wait_for is_idle
}

# What is told once when all places are taken and more connections wait.
FULL="^tcptool: connections served: $MOST, as many as --max-connections allows; more wait$"

@test "-- COMMAND" {
	listen_bg tool -k -m "$MOST" --max-per-host="$MOST" 127.0.0.1 0 -- cat
	CHURN=$((CHURN / 10)) churn storm
	all_places send:x expect:x
	# cat tells of the connections that it has lost
	fails grep '^tcptool:' <(grep -v "$FULL" tool.err)
}

@test "--forward" {
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	listen_bg tool -k -m "$MOST" --max-per-host="$MOST" --forward="127.0.0.1:$PORT" 127.0.0.1 0
	churn storm
	all_places send:x expect:x
	fails grep -v "$FULL" tool.err
}

@test "--greet" {
	OUT=/dev/null listen_bg tool -k -m "$MOST" --max-per-host="$MOST" --greet=hi 127.0.0.1 0
	churn greet
	all_places 'expect:hi\0'
	fails grep -v "$FULL" tool.err
}
