#!/usr/bin/env bats
# Guards a listener that has run out of something: it says so once, goes on serving those it has, does not
# spin, loses nobody who waits, and is itself again as soon as there is enough.

load helpers

# Some of these move much, and a busy machine is slow at that.
LIMIT=100

# The user whose processes are limited: root's are not. The limit counts all that the machine runs for that
# user, another run of these tests included, so each run has a user of its own.
LIMITED=$((20000 + $$ % 40000))

# talk PORT STEP...: a client that does these steps.
talk() {
	local port=$1
	shift
	returns 0 "$HELPERS/peer" connect "$port" "$@"
}

# limited_bg LIMITS NAME OPTION...: listen_bg under limits, written as words of ulimit.
limited_bg() {
	local limits=$1 name=$2
	shift 2
	rm -f "$name.port"
	touch begun
	start_bg "$name" bash -c 'exec 11</dev/null; ulimit $1 && shift && exec "$@"' bash "$limits" \
		"$TCPTOOL" listen --port-file="$name.port" "$@"
	wait_port "$name.port"
}

# room LIMIT NAME EACH: how many connections, of EACH descriptors, a background command serves at a time when it
# serves none yet: two descriptors are for what happens now and then. What it has inherited from the test may lie
# beyond the limit.
room() {
	local number used=0
	for number in "/proc/${PIDS[$2]}/fd"/*; do
		[ "${number##*/}" -ge "$1" ] || used=$((used + 1))
	done
	used=$((($1 - used - 2) / $3))
	echo $((used > 1 ? used : 1))
}

# has_sockets COUNT NAME
has_sockets() {
	[ "$(find "/proc/${PIDS[$2]}/fd" -lname 'socket:*' | wc -l)" -eq "$1" ]
}

# are FILE... COUNT: so many of the files of a pattern exist.
are() {
	local files
	files=$(compgen -G "$1" || true)
	[ "$(grep -c . <<<"$files")" -eq "$2" ]
}

# said TEXT: tcptool has written something, and nothing but lines with TEXT.
said() {
	grep -qE "$1" tool.err && ! grep -qvE "$1" tool.err
}

# said_sparingly TEXT: the same, and no line came within 5 s of the one before it. That is judged by the time that
# has passed since the file `begun` was made.
said_sparingly() {
	said "$1" && [ "$(wc -l <tool.err)" -le $((1 + ($(date +%s) - $(date -r begun +%s)) / 5)) ]
}

# slow_build: one that needs much more memory than the program itself.
slow_build() {
	grep -q __asan_init "$TCPTOOL"
}

NO_DESCRIPTORS='^tcptool: connections served: [0-9]+, as many as the limit of descriptors allows [(]ulimit -n[)]; more wait$'

# A user of this run alone, since the limit counts all processes of a user. Root's own are not limited.

# --- descriptors ----------------------------------------------------------------------------------

# upstream_bg: what echoes, on as many connections as come.
upstream_bg() {
	start_bg upstream "$HELPERS/crowd" listen upstream.port
	wait_port upstream.port
}

# waiting_bg COUNT: clients that want a byte back, which they do not get yet: waitingN.
waiting_bg() {
	for ((i = 1; i <= $1; i++)); do
		start_bg "waiting$i" "$HELPERS/peer" connect "$PORT" send:w touch:"w$i.sent" expect:w touch:"w$i.served" \
			shut eof
	done
	for ((i = 1; i <= $1; i++)); do
		wait_for test -e "w$i.sent"
	done
}

# they_are_served COUNT: they all get it after all.
they_are_served() {
	for ((i = 1; i <= $1; i++)); do
		ends 0 "waiting$i"
	done
	rm -f w[0-9]*.sent w[0-9]*.served
}

# forward_exhausted LIMIT: fills a forwarder twice over.
forward_exhausted() {
	local most round
	upstream_bg
	limited_bg "-n $1" tool -k --forward="127.0.0.1:$PORT" 127.0.0.1 0
	most=$(room "$1" tool 2)
	[ "$most" -ge 1 ]
	for round in 1 2; do
		start_bg held "$HELPERS/crowd" connect "$PORT" "$most" "held$round" "go$round"
		wait_for test -e "held$round"
		waiting_bg 3
		wait_for said "$NO_DESCRIPTORS"
		calm tool
		are 'w*.served' 0
		# those that are served exchange bytes once more, and end
		touch "go$round"
		ends 0 held
		they_are_served 3
		wait_for has_sockets 1 tool
		talk "$PORT" send:x expect:x shut eof
	done
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	said_sparingly "$NO_DESCRIPTORS"
	grep -q "served: $most," tool.err
}

@test "--forward with 8 descriptors: one at a time, others wait, and are served" {
	forward_exhausted 8
}

@test "--forward with 9 descriptors: one is left over, which is of no use for another connection" {
	forward_exhausted 9
}

@test "--forward with 16 descriptors" {
	forward_exhausted 16
}

@test "--forward with 24 descriptors" {
	forward_exhausted 24
}

# forward_waits EACH OPTION...: a crowd that has all the places, of EACH descriptors, which 24 allow, and 20 more
# clients, to be forwarded with these options: they wait, and are served when the crowd has ended.
forward_waits() {
	local each=$1
	shift
	[ -n "${PIDS[tool]:-}" ] || limited_bg '-n 24' tool -k "$@" 127.0.0.1 0
	: "${most:=$(room 24 tool "$each")}"
	rm -f held go
	start_bg held "$HELPERS/crowd" connect "$PORT" "$most" held go
	wait_for test -e held
	waiting_bg 20
	wait_for said "$NO_DESCRIPTORS"
	are 'w*.served' 0
	touch go
	ends 0 held
	they_are_served 20
}

@test "--forward to a name with 24 descriptors, some of which the look-up takes: no connection is lost" {
	need_localhost
	upstream_bg
	forward_waits 2 --forward="localhost:$PORT"
	# again when the answer has to be asked for anew, with no descriptor to spare
	"$HELPERS/pause" 5100
	forward_waits 2
	said_sparingly "$NO_DESCRIPTORS"
}

@test "--forward with a raw trace, which takes two descriptors more: no connection is lost" {
	upstream_bg
	forward_waits 4 --forward="127.0.0.1:$PORT" --trace=t --trace-format=raw
	said_sparingly "$NO_DESCRIPTORS"
}

@test "--forward to a name without processes to ask for it: clients wait, and are served once there are" {
	need setpriv
	need prlimit
	need_localhost
	[ "$(id -u)" -eq 0 ] || skip "not root"
	# the limit holds for a user, and not for root
	as_user=(setpriv --reuid "$LIMITED" --clear-groups)
	"${as_user[@]}" test -x "$TCPTOOL" || skip "a plain user cannot execute $TCPTOOL"
	upstream_bg
	start_bg tool "${as_user[@]}" "$TCPTOOL" listen -kv --forward="localhost:$PORT" 127.0.0.1 0
	wait_for grep -q 'listening on' tool.err
	PORT=$(sed -n 's/.*listening on 127.0.0.1 //p' tool.err)
	"${as_user[@]}" prlimit --pid "${PIDS[tool]}" --nproc=0:
	waiting_bg 3
	wait_for grep -q 'cannot reach localhost: .*will retry' tool.err
	calm tool
	are 'w*.served' 0
	"${as_user[@]}" prlimit --pid "${PIDS[tool]}" --nproc=1000:
	they_are_served 3
	[ "$(grep -c 'will retry' tool.err)" -eq 1 ]
}

@test "--forward: 4 MiB both ways while there is not one descriptor to spare are the same bytes" {
	random sent 4194304
	start_bg upstream "$TCPTOOL" listen -k --port-file=upstream.port 127.0.0.1 0 -- cat
	wait_port upstream.port
	for limit in 8 9 16 17; do
		rm -f go held
		limited_bg "-n $limit" tool -k --forward="127.0.0.1:$PORT" 127.0.0.1 0
		most=$(room "$limit" tool 2)
		start_bg client bash -c '(printf x; until [ -e go ]; do "$HELPERS/pause" 10; done; cat sent) | "$@"' bash \
			"$TCPTOOL" connect 127.0.0.1 "$PORT"
		wait_for holds client.out x
		if [ "$most" -gt 1 ]; then
			start_bg held "$HELPERS/crowd" connect "$PORT" $((most - 1)) held go.held
			wait_for test -e held
		fi
		waiting_bg 1
		wait_for said "$NO_DESCRIPTORS"
		touch go
		ends 0 client
		{ printf x && cat sent; } | cmp - client.out
		rm -f go.held && touch go.held
		[ "$most" -le 1 ] || ends 0 held
		they_are_served 1
		rm -f go.held
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
		said_sparingly "$NO_DESCRIPTORS"
		wait_port upstream.port
	done
}

@test "--forward: 300 connections, 60 at a time, through 24 descriptors: none is lost" {
	upstream_bg
	limited_bg '-n 24' tool -k --forward="127.0.0.1:$PORT" 127.0.0.1 0
	returns 0 "$HELPERS/storm" -c 60 "$PORT" 300
	wait_for has_sockets 1 tool
	# all places are taken again and again in this
	said_sparingly "$NO_DESCRIPTORS"
}

# greet_exhausted LIMIT: fills a greeter twice over.
greet_exhausted() {
	local most round all=0
	limited_bg "-n $1" tool -k --greet=hi 127.0.0.1 0
	most=$(room "$1" tool 1)
	for round in 1 2; do
		for ((i = 0; i < most + 3; i++)); do
			start_bg "c$i" "$HELPERS/peer" connect "$PORT" 'expect:hi\0' "touch:served$i" "wait:go$round" \
				"send:round $round\\0" eof
		done
		wait_for said "$NO_DESCRIPTORS"
		wait_for are 'served*' "$most"
		calm tool
		are 'served*' "$most"
		touch "go$round"
		for ((i = 0; i < most + 3; i++)); do
			ends 0 "c$i"
		done
		all=$((all + most + 3))
		wait_for has_sockets 1 tool
		rm served*
		talk "$PORT" 'expect:hi\0' "send:round $round\\0" eof
		all=$((all + 1))
	done
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	said_sparingly "$NO_DESCRIPTORS"
	grep -q "served: $most," tool.err
	[ "$(grep -c '^round [12]$' tool.out)" -eq "$all" ]
}

@test "--greet with 8 descriptors: more wait and are greeted" {
	greet_exhausted 8
}

@test "--greet with 16 descriptors" {
	greet_exhausted 16
}

@test "--greet with 24 descriptors" {
	greet_exhausted 24
}

@test "commands with 8 and more descriptors: as many as there is room for, the others wait and are served" {
	for limit in 8 16 24; do
		rm -f held go
		limited_bg "-n $limit" tool -k 127.0.0.1 0 -- cat
		most=$(room "$limit" tool 1)
		start_bg held "$HELPERS/crowd" connect "$PORT" "$most" held go
		wait_for test -e held
		waiting_bg 3
		wait_for said "$NO_DESCRIPTORS"
		calm tool
		are 'w*.served' 0
		touch go
		ends 0 held
		they_are_served 3
		returns 0 "$HELPERS/storm" -c 30 "$PORT" 100
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
		said_sparingly "$NO_DESCRIPTORS"
		grep -q "served: $most," tool.err
	done
}

@test "stdin and stdout, one after another, with as few descriptors as one takes" {
	limited_bg '-n 7' tool -k --recv-only 127.0.0.1 0
	for i in 1 2 3 4 5; do
		talk "$PORT" "send:$i" shut eof
	done
	wait_for holds tool.out 12345
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

# --- processes ------------------------------------------------------------------------------------

NO_PROCESSES='^tcptool: cannot start a command: Resource temporarily unavailable; will retry$'

@test "a limit of 4 processes: 3 commands at a time, said once, the others are served after" {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	limited_bg '-u 4' tool -k --user="$LIMITED:$LIMITED" 127.0.0.1 0 -- cat
	for round in 1 2; do
		start_bg held "$HELPERS/crowd" connect "$PORT" 3 "held$round" "go$round"
		wait_for test -e "held$round"
		waiting_bg 5
		wait_for said "$NO_PROCESSES"
		calm tool
		are 'w*.served' 0
		# not even one of them has been given up, or forgotten
		stays 100 waiting1 waiting2 waiting3 waiting4 waiting5
		touch "go$round"
		ends 0 held
		they_are_served 5
		wait_for no_children tool
		talk "$PORT" send:x shut rest:x
	done
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	said_sparingly "$NO_PROCESSES"
}

@test "a limit of processes: 200 connections, 30 at a time: each is served" {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	limited_bg '-u 8' tool -k --user="$LIMITED:$LIMITED" 127.0.0.1 0 -- cat
	returns 0 "$HELPERS/storm" -c 30 "$PORT" 200
	wait_for no_children tool
	said_sparingly "$NO_PROCESSES"
}

@test "SIGTERM ends it although connections wait for processes" {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	limited_bg '-u 2' tool -k --user="$LIMITED:$LIMITED" 127.0.0.1 0 -- cat
	start_bg held "$HELPERS/peer" connect "$PORT" send:x expect:x touch:held eof
	wait_for test -e held
	waiting_bg 2
	wait_for said "$NO_PROCESSES"
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	ends 0 held
}

# no_children NAME: a background command has none, not even one that waits to be reaped.
no_children() {
	! grep -q "^PPid:[[:space:]]*${PIDS[$1]}\$" /proc/[0-9]*/status 2>/dev/null
}

# --- memory ---------------------------------------------------------------------------------------

NO_MEMORY='^tcptool: out of memory; will retry$'

# stop_growing NAME: a background command gets hardly more memory than it has now: some for its stack.
stop_growing() {
	local kilobytes
	slow_build && skip "a sanitizer's memory cannot be limited"
	command -v prlimit >/dev/null || skip "no prlimit"
	kilobytes=$(awk '/^VmSize:/ { print $2 }' "/proc/${PIDS[$1]}/status")
	prlimit --pid "${PIDS[$1]}" --as="$(((kilobytes + 96) * 1024))"
}

@test "--forward without any more memory: 3000 connections, 1000 at a time, are all served" {
	upstream_bg
	listen_bg tool -k -m 2000 --forward="127.0.0.1:$PORT" 127.0.0.1 0
	returns 0 "$HELPERS/storm" -c 4 "$PORT" 20
	stop_growing tool
	touch begun
	returns 0 "$HELPERS/storm" -t "$LIMIT" -c 1000 "$PORT" 3000
	said_sparingly "$NO_MEMORY"
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

@test "--forward without any more memory: 1 MB to each of 150 clients at a time" {
	random sent 1000000
	start_bg upstream "$TCPTOOL" listen -k -m 1000 --port-file=upstream.port 127.0.0.1 0 -c 'cat; cat sent'
	wait_port upstream.port
	listen_bg tool -k -m 1000 --forward="127.0.0.1:$PORT" 127.0.0.1 0
	"$TCPTOOL" connect 127.0.0.1 "$PORT" </dev/null | cmp - sent
	stop_growing tool
	for ((i = 0; i < 150; i++)); do
		start_bg "c$i" "$HELPERS/peer" -t "$LIMIT" connect "$PORT" send:w expect:w touch:"there$i" wait:go shut "sink:got$i"
	done
	wait_for are 'there*' 150
	wait_for calm tool
	touch go
	for ((i = 0; i < 150; i++)); do
		ends 0 "c$i"
		cmp "got$i" sent
	done
	# memory may have been short in this, and nothing else was amiss
	fails grep -vE "$NO_MEMORY" tool.err
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

@test "--greet without any more memory: 40 guests are greeted" {
	listen_bg tool -k --greet=hi 127.0.0.1 0
	talk "$PORT" 'expect:hi\0' 'send:first\0' eof
	stop_growing tool
	for ((i = 0; i < 40; i++)); do
		start_bg "c$i" "$HELPERS/peer" connect "$PORT" 'expect:hi\0' "send:$i\0" eof
	done
	for ((i = 0; i < 40; i++)); do
		ends 0 "c$i"
	done
	fails grep -vE "$NO_MEMORY" tool.err
	[ "$(wc -l <tool.out)" -eq 41 ]
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}
