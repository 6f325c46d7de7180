#!/usr/bin/env bats
# Guards what passes through --forward: every byte, each end, each loss, and nothing of one connection into
# another; and what a connection costs that is silent.

load helpers

# talk PORT STEP...: a client that does these steps.
talk() {
	local port=$1
	shift
	returns 0 "$HELPERS/peer" connect "$port" "$@"
}

# forward_bg NAME UPSTREAM [OPTION]...: starts a forwarder to port UPSTREAM and stores its port in PORT.
forward_bg() {
	local name=$1 upstream=$2
	shift 2
	listen_bg "$name" -k --forward="127.0.0.1:$upstream" "$@" 127.0.0.1 0
}

# crowd_bg: starts an upstream that echoes on any number of connections, and stores its port in PORT.
crowd_bg() {
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
}

# only_listens NAME: it comes to have one socket only, the one that listens. Idle pipes it may keep.
only_listens() {
	wait_for has_sockets 1 "$1"
}

has_sockets() {
	[ "$(find "/proc/${PIDS[$2]}/fd" -lname "socket:*" | wc -l)" -eq "$1" ]
}

# slow_build: its figures say nothing about the program itself.
slow_build() {
	grep -q __asan_init "$TCPTOOL"
}

# --- bytes ----------------------------------------------------------------------------------------

@test "both ways at once, 32 MiB each: every byte arrives" {
	random there 33554432
	random back 33554432
	IN=back listen_bg upstream 127.0.0.1 0
	forward_bg tool "$PORT"
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <there
	cmp back out
	ends 0 upstream
	cmp there upstream.out
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	holds tool.err ''
}

@test "many at once, each gets its own bytes" {
	listen_bg upstream -k 127.0.0.1 0 -- cat
	forward_bg tool "$PORT"
	for i in 1 2 3 4 5 6; do
		random "sent$i" $((i * 700000 + i))
		IN=sent$i start_bg "c$i" "$TCPTOOL" connect 127.0.0.1 "$PORT"
	done
	for i in 1 2 3 4 5 6; do
		ends 0 "c$i"
		cmp "sent$i" "c$i.out"
	done
	only_listens tool
}

@test "a chain of forwarders changes nothing" {
	random sent 4194304
	listen_bg upstream -k 127.0.0.1 0 -- cat
	for name in first second third; do
		forward_bg "$name" "$PORT"
	done
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <sent
	cmp sent out
}

@test "a byte goes through at once: nothing waits for more" {
	crowd_bg
	forward_bg tool "$PORT"
	talk "$PORT" send:a expect:a send:b expect:b 'dribble:5:slowly' expect:slowly shut eof
}

@test "without -k it is one connection, and its status" {
	peer_bg upstream expect:hello send:bye
	upstream=$PORT
	listen_bg tool --forward="127.0.0.1:$upstream" 127.0.0.1 0
	talk "$PORT" send:hello shut rest:bye
	ends 0 upstream
	ends 0 tool
	rm tool.port
	listen_bg tool --forward="127.0.0.1:$("$HELPERS/peer" free)" 127.0.0.1 0
	talk "$PORT" lost
	ends 4 tool
}

# --- ends -----------------------------------------------------------------------------------------

@test "the client's end-of-file reaches the upstream, whose answer still comes" {
	peer_bg upstream rest:question touch:ended wait:answer send:answer shut
	forward_bg tool "$PORT"
	start_bg client "$HELPERS/peer" connect "$PORT" send:question shut quiet:100 rest:answer
	wait_for test -e ended
	stays 300 client upstream
	touch answer
	ends 0 client
	ends 0 upstream
	only_listens tool
	holds tool.err ''
}

@test "the upstream's end-of-file reaches the client, which goes on sending" {
	peer_bg upstream send:said shut expect:more quiet:100 touch:got rest:end
	forward_bg tool "$PORT"
	start_bg client "$HELPERS/peer" connect "$PORT" rest:said send:more wait:got send:end shut
	ends 0 client
	ends 0 upstream
	only_listens tool
	holds tool.err ''
}

@test "a client that is reset resets the upstream, after what it had sent" {
	peer_bg upstream expect:abc touch:got lost
	forward_bg tool "$PORT" -v
	talk "$PORT" send:abc wait:got reset
	ends 0 upstream
	wait_for grep -q 'connection from 127.0.0.1 port [0-9]*: Connection reset by peer' tool.err
	only_listens tool
}

@test "an upstream that is reset resets the client, after what it had sent" {
	peer_bg upstream expect:x send:abc acked touch:sent wait:go reset
	forward_bg tool "$PORT" -v
	start_bg client "$HELPERS/peer" connect "$PORT" send:x wait:sent expect:abc touch:go lost
	ends 0 upstream
	ends 0 client
	wait_for grep -q 'upstream: Connection reset by peer' tool.err
	only_listens tool
}

@test "bytes come before bad news: 1 MiB, then a reset; all of it arrives" {
	random sent 1048576
	peer_bg upstream expect:x file:sent acked reset
	forward_bg tool "$PORT"
	# the client reads only once the upstream is gone
	start_bg client "$HELPERS/peer" connect "$PORT" send:x wait:go gulp:1048576 lost
	ends 0 upstream
	touch go
	ends 0 client
	only_listens tool
}

@test "the upstream refuses: the client gets a reset, not an end-of-file, and others are served" {
	crowd_bg
	crowd=$PORT
	forward_bg alive "$crowd"
	alive=$PORT
	forward_bg tool "$("$HELPERS/peer" free)"
	talk "$PORT" lost
	wait_for one_line tool.err 'Connection refused'
	talk "$PORT" lost
	talk "$alive" send:x expect:x shut eof
	only_listens tool
}

@test "an upstream that dies ends only its own connections" {
	crowd_bg
	forward_bg tool "$PORT"
	start_bg client "$HELPERS/peer" connect "$PORT" send:x expect:x touch:there lost
	wait_for test -e there
	port=$(<crowd.port)
	# its kernel resets what comes for a process that is gone with bytes unread; here it just ends
	kill -KILL "${PIDS[crowd]}"
	ends 137 crowd
	wait_for gone_or_ended client
	talk "$PORT" lost
	start_bg upstream "$HELPERS/peer" -p "$port" listen again.port expect:y send:z shut eof
	wait_for test -e again.port
	talk "$PORT" send:y shut rest:z
	ends 0 upstream
}

# The death of a process is a FIN or a reset, as the kernel finds it: either ends the client.
gone_or_ended() {
	gone "$1" && { wait "${PIDS[$1]}" || true; } && unset "PIDS[$1]"
}

@test "an upstream that does not answer: -w ends the attempt with a reset, live connections go on" {
	start_bg deaf "$HELPERS/fullbacklog" deaf.port
	wait_port deaf.port
	forward_bg tool "$PORT" -w 300ms
	returns 0 "$HELPERS/peer" connect "$PORT" lost
	wait_for one_line tool.err 'no answer'
	only_listens tool
}

@test "a client that leaves while the upstream is being dialed is forgotten" {
	start_bg deaf "$HELPERS/fullbacklog" deaf.port
	wait_port deaf.port
	forward_bg tool "$PORT" -w 1
	talk "$PORT" reset
	talk "$PORT" send:x close
	only_listens tool
}

@test "-i ends a silent connection with a reset on both sides" {
	peer_bg upstream expect:x touch:there lost
	forward_bg tool "$PORT" -v -i 300ms
	talk "$PORT" send:x wait:there lost
	ends 0 upstream
	wait_for grep -q -e --idle-timeout tool.err
	only_listens tool
}

@test "SIGTERM in the middle of a transfer is a reset on both sides, and not an end-of-file" {
	peer_bg upstream expect:x send:part touch:there lost
	forward_bg tool "$PORT"
	start_bg client "$HELPERS/peer" connect "$PORT" send:x expect:part touch:got lost
	wait_for test -e got
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	ends 0 upstream
	ends 0 client
}

@test "--drain lets forwarded connections end" {
	crowd_bg
	forward_bg tool "$PORT" --drain=1m
	start_bg client "$HELPERS/peer" connect "$PORT" send:a expect:a touch:there wait:go send:b shut rest:b
	wait_for test -e there
	kill -TERM "${PIDS[tool]}"
	stays 200 tool client
	touch go
	ends 0 client
	ends 143 tool
}

# --- where to ------------------------------------------------------------------------------------

@test "the upstream may be a name" {
	need_localhost
	crowd_bg
	listen_bg tool -k --forward="localhost:$PORT" 127.0.0.1 0
	returns 0 "$HELPERS/storm" "$PORT" 50
}

@test "the upstream may be this machine" {
	crowd_bg
	listen_bg tool -k --forward=":$PORT" 127.0.0.1 0
	returns 0 "$HELPERS/storm" "$PORT" 50
}

@test "the upstream may be an IPv6 address" {
	need_ipv6
	start_bg six "$TCPTOOL" listen -k --port-file=six.port ::1 0 -- cat
	wait_port six.port
	listen_bg tool -k -4 --forward="[::1]:$PORT" 127.0.0.1 0
	talk "$PORT" send:x shut rest:x
}

@test "all addresses of a name are tried for each connection" {
	printf '%s\n' '127.0.0.9 some.test' '127.0.0.1 some.test' >hosts
	echo 'hosts: files' >nsswitch
	make_network -b "$PWD/hosts:/etc/hosts" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg crowd "${NET[@]}" "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	start_bg tool "${NET[@]}" "$TCPTOOL" listen -k --forward="some.test:$PORT" --port-file=tool.port 127.0.0.1 0
	wait_port tool.port
	returns 0 "${NET[@]}" "$HELPERS/storm" "$PORT" 50
	start_bg lost "${NET[@]}" "$TCPTOOL" listen -k --forward=nowhere.test:1 --port-file=lost.port 127.0.0.1 0
	wait_port lost.port
	returns 0 "${NET[@]}" "$HELPERS/peer" connect "$PORT" lost
	wait_for one_line lost.err 'look up nowhere.test'
}

# asked COMMAND...: the look-up that tcptool has under way is such that COMMAND PID succeeds.
asked() {
	local pid
	pid=$(pgrep -P "${PIDS[tool]}" | head -n 1)
	[ -n "$pid" ] && "$@" "$pid"
}

# has_nothing PID: no descriptor but the standard ones and the one for its answer, and its own socket.
has_nothing() {
	local fds=("/proc/$1/fd"/*)
	[ -S "/proc/$1/fd/4" ] && [ ${#fds[@]} -eq 5 ]
}

@test "a client that has closed during the look-up is closed" {
	echo 'nameserver 127.0.0.1' >resolv
	echo 'hosts: dns' >nsswitch
	make_network -b "$PWD/resolv:/etc/resolv.conf" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg dns "${NET[@]}" "$HELPERS/fullbacklog" -u -p 53 dns.port
	wait_port dns.port
	start_bg tool "${NET[@]}" "$TCPTOOL" listen -k --forward=silent.test:80 --port-file=tool.port 127.0.0.1 0
	wait_port tool.port
	start_bg client "${NET[@]}" "$HELPERS/peer" connect "$PORT" send:x hold
	wait_for asked has_nothing
}

@test "a bad upstream is a usage error before a socket listens" {
	for upstream in 127.0.0.1 127.0.0.1:0 127.0.0.1:99999 '[::1]' ::1:5 'bad name:1' 0x7f.1:1; do
		returns 2 "$TCPTOOL" listen --port-file=port --forward="$upstream" 127.0.0.1 0
		[ ! -e port ]
		one_line err
	done
	for option in --recv-only --no-shutdown --greet '--shell=true' '-q 1'; do
		# shellcheck disable=SC2086
		returns 2 "$TCPTOOL" listen --forward=127.0.0.1:1 $option 127.0.0.1 0
		one_line err
	done
}

# --- many -----------------------------------------------------------------------------------------

@test "a peer that does not read slows no other connection" {
	listen_bg upstream -k 127.0.0.1 0 -- cat
	forward_bg tool "$PORT"
	# three kinds of stopped: full towards the upstream and back, each
	for i in 1 2 3; do
		start_bg "s$i" "$HELPERS/peer" connect "$PORT" stuff "touch:stuffed$i" hold
	done
	for i in 1 2 3; do
		wait_for test -e "stuffed$i"
	done
	calm tool
	random sent 8388608
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <sent
	cmp sent out
	returns 0 "$HELPERS/storm" -c 20 "$PORT" 200
	calm tool
}

@test "1 that is stopped and 99 that live, all at the same time" {
	listen_bg upstream -k 127.0.0.1 0 -- cat
	forward_bg tool "$PORT"
	start_bg stopped "$HELPERS/peer" connect "$PORT" stuff touch:stuffed hold
	wait_for test -e stuffed
	start_bg live "$HELPERS/crowd" connect "$PORT" 99 there go
	wait_for test -e there
	# the hundredth place: -m is 100
	"$HELPERS/pause" 50
	touch go
	ends 0 live
	calm tool
}

@test "a side that is lost after it has ended is noticed, and nothing of the two is kept" {
	peer_bg up expect:req eof touch:there hold
	forward_bg tool "$PORT" -o trace.jsonl
	returns 0 "$HELPERS/peer" connect "$PORT" send:req shut wait:there reset
	only_listens tool
	wait_for grep -q '"event":"end".*"received","how":"reset"' trace.jsonl
	peer_bg up shut touch:ended wait:seen reset
	forward_bg tool "$PORT"
	start_bg client "$HELPERS/peer" connect "$PORT" eof touch:seen hold
	only_listens tool
}

# memory NAME: what is private to a background command, in bytes: its proportional share.
memory() {
	awk '/^Pss:/ { print $2 * 1024 }' "/proc/${PIDS[$1]}/smaps_rollup"
}

@test "a silent connection costs little memory, and no processor time" {
	slow_build && skip "a build with sanitizers"
	[ -r /proc/self/smaps_rollup ] || skip "no smaps_rollup"
	[ "$(ulimit -Hn)" -ge 5000 ] || skip "the limit of descriptors is $(ulimit -Hn)"
	ulimit -n "$(ulimit -Hn)"
	crowd_bg
	forward_bg tool "$PORT" -m 2000
	# what is allocated once, and what the busiest moment leaves behind
	returns 0 "$HELPERS/storm" -c 100 "$PORT" 1000
	before=$(memory tool)
	start_bg held "$HELPERS/crowd" connect "$PORT" 1000 there go
	wait_for test -e there
	each=$((($(memory tool) - before) / 1000))
	echo "bytes of memory for each idle connection: $each"
	[ "$each" -lt 2048 ]
	calm tool
	touch go
	ends 0 held
	# and it is given back: none of these connections owns a descriptor any more
	only_listens tool
}
