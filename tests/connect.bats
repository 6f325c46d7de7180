#!/usr/bin/env bats
# Guards how a connection is made: addresses and how many are tried, time, retries, where it comes from,
# and --check, which only looks whether somebody accepts.

load helpers

# lend_names NAME-LINES...: the words for make_network that put these lines in the place of /etc/hosts
# and let nothing else answer.
lend_names() {
	printf '%s\n' "$@" >hosts
	echo 'hosts: files' >nsswitch
	: >resolv
	LENT=(-b "$PWD/hosts:/etc/hosts" -b "$PWD/nsswitch:/etc/nsswitch.conf"
		-b "$PWD/resolv:/etc/resolv.conf")
}

# in_network_peer NAME ADDRESS PORT STEP...: a peer in there.
in_network_peer() {
	local name=$1 address=$2 port=$3
	shift 3
	start_bg "$name" "${NET[@]}" "$HELPERS/peer" -a "$address" -p "$port" listen "$name.port" "$@"
	wait_port "$name.port"
}

# --- operands ------------------------------------------------------------------------------------

@test "HOST PORT, HOST:PORT and options before or behind mean the same" {
	peer_bg peer -n 4 send:x
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT"
	holds out x
	returns 0 "$TCPTOOL" connect "127.0.0.1:$PORT"
	holds out x
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" --numeric
	holds out x
	returns 0 "$TCPTOOL" connect -w 10 "127.0.0.1:$PORT" -n
	holds out x
	ends 0 peer
}

@test ":PORT is this very machine" {
	peer_bg peer send:x
	returns 0 "$TCPTOOL" connect ":$PORT"
	holds out x
}

@test "IPv6 addresses: bare, in brackets, with a zone" {
	need_ipv6
	peer_bg peer -a ::1 -n 4 send:x
	returns 0 "$TCPTOOL" connect ::1 "$PORT"
	holds out x
	returns 0 "$TCPTOOL" connect "[::1]:$PORT"
	holds out x
	returns 0 "$TCPTOOL" connect '[::1]' "$PORT"
	holds out x
	returns 0 "$TCPTOOL" connect ::1%lo "$PORT"
	holds out x
	ends 0 peer
}

@test "a port may be the name of a service" {
	echo 'made-up-service 4242/tcp' >services
	make_network -b "$PWD/services:/etc/services"
	in_network_peer peer 127.0.0.1 4242 send:x
	returns 0 "${NET[@]}" "$TCPTOOL" connect 127.0.0.1 made-up-service
	holds out x
	returns 2 "${NET[@]}" "$TCPTOOL" connect 127.0.0.1 no-such-service
	one_line err no-such-service
}

# --- names and addresses -------------------------------------------------------------------------

@test "a name with addresses of both families: whichever accepts is found" {
	lend_names '127.0.0.1 both.test' '::1 both.test'
	make_network "${LENT[@]}"
	in_network_peer four 127.0.0.1 4004 send:four
	in_network_peer six ::1 4006 send:six
	returns 0 "${NET[@]}" "$TCPTOOL" connect both.test 4004
	holds out four
	returns 0 "${NET[@]}" "$TCPTOOL" connect both.test 4006
	holds out six
}

@test "an address that does not answer holds up the next for a moment only" {
	lend_names '::1 both.test' '127.0.0.1 both.test'
	make_network "${LENT[@]}"
	start_bg six "${NET[@]}" "$HELPERS/fullbacklog" -a ::1 -p 4000 six.port
	start_bg four "${NET[@]}" "$HELPERS/peer" -p 4000 listen four.port send:four
	wait_port six.port
	wait_port four.port
	returns 0 "${NET[@]}" "$TCPTOOL" connect -w 15 both.test 4000
	holds out four
}

@test "the families of a name's addresses take turns" {
	lend_names '127.0.0.1 many.test' '127.0.0.2 many.test' 'fd00::1 many.test' 'fd00::2 many.test'
	make_network "${LENT[@]}" -A fd00::1 -A fd00::2
	returns 4 "${NET[@]}" "$TCPTOOL" connect -vv many.test 4000
	families=$(sed -n 's/^tcptool: attempt \([^ ]*\) .*/\1/p' err | sed 's/.*:.*/6/; s/.*\..*/4/' | tr -d '\n')
	echo "tried: $families"
	[ "$families" = 4646 ] || [ "$families" = 6464 ]
}

@test "when no address of a name accepts, one line says which were tried" {
	lend_names '127.0.0.1 both.test' '::1 both.test'
	make_network "${LENT[@]}"
	returns 4 "${NET[@]}" "$TCPTOOL" connect both.test 4000
	one_line err "connect to both.test port 4000"
	[[ $(<err) == *127.0.0.1* && $(<err) == *::1* && $(<err) == *"Connection refused"* ]]
}

@test "-4 and -6 choose among the addresses of a name" {
	lend_names '127.0.0.1 both.test' '::1 both.test'
	make_network "${LENT[@]}"
	in_network_peer six ::1 4000 send:six
	returns 4 "${NET[@]}" "$TCPTOOL" connect -4 both.test 4000
	[[ $(<err) != *::1* ]]
	returns 0 "${NET[@]}" "$TCPTOOL" connect -6 both.test 4000
	holds out six
	returns 4 "${NET[@]}" "$TCPTOOL" connect --ipv6 both.test 4000
	[[ $(<err) != *127.0.0.1* ]]
}

@test "a name without an address: status 3, one line" {
	lend_names '127.0.0.1 there.test'
	make_network "${LENT[@]}"
	returns 3 "${NET[@]}" "$TCPTOOL" connect nowhere.test 80
	one_line err "nowhere.test"
	returns 3 "${NET[@]}" "$TCPTOOL" connect -6 there.test 80
	one_line err "there.test"
}

@test "a look-up that gets no answer blocks neither the budget of time nor signals" {
	echo 'nameserver 127.0.0.1' >resolv
	echo 'hosts: dns' >nsswitch
	make_network -b "$PWD/resolv:/etc/resolv.conf" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg dns "${NET[@]}" "$HELPERS/fullbacklog" -u -p 53 dns.port
	wait_port dns.port
	start_bg waiting "${NET[@]}" "$TCPTOOL" connect silent.test 80
	returns 5 "${NET[@]}" "$TCPTOOL" connect -w 0.3 silent.test 80
	one_line err silent.test
	returns 5 "${NET[@]}" "$TCPTOOL" connect --deadline=0.3 silent.test 80
	kill -TERM "${PIDS[waiting]}"
	ends 143 waiting
}

@test "-n looks nothing up" {
	peer_bg peer send:x
	returns 0 "$TCPTOOL" connect -n 127.0.0.1 "$PORT"
	holds out x
	returns 2 "$TCPTOOL" connect -n localhost "$PORT"
	one_line err localhost
}

@test "a refused connection: status 4, one line with address and port" {
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect 127.0.0.1 "$port"
	[ "$(<err)" = "tcptool: connect to 127.0.0.1 port $port: Connection refused" ]
}

@test "no way there: status 4" {
	make_network -d
	returns 4 "${NET[@]}" "$TCPTOOL" connect 127.0.0.1 80
	one_line err "connect to 127.0.0.1 port 80: Network is unreachable"
}

# --- time ----------------------------------------------------------------------------------------

@test "-w: no answer in time, status 5, and the line names the limit" {
	start_bg deaf "$HELPERS/fullbacklog" port
	wait_port port
	returns 5 "$TCPTOOL" connect -w 300ms 127.0.0.1 "$PORT"
	one_line err "300 ms"
	returns 5 "$TCPTOOL" connect --timeout=0.2 127.0.0.1 "$PORT"
	one_line err --timeout
	returns 5 "$TCPTOOL" connect --deadline=0.2 127.0.0.1 "$PORT"
	one_line err --deadline
}

@test "-w limits the connecting, not the session" {
	peer_bg peer pause:500 send:x
	returns 0 "$TCPTOOL" connect -w 0.2 127.0.0.1 "$PORT"
	holds out x
}

@test "-i ends a session in which nothing moves, in neither direction, and no other" {
	mkfifo in
	exec 5<>in
	peer_bg peer send:a pause:500 send:b pause:500 send:c hold
	returns 5 "$TCPTOOL" connect -i 900ms 127.0.0.1 "$PORT" <in
	holds out abc
	one_line err --idle-timeout
}

@test "--deadline ends the whole run, however much moves" {
	peer_bg peer flood
	OUT=/dev/null start_bg tool "$TCPTOOL" connect --deadline=0.3 127.0.0.1 "$PORT"
	ends 5 tool
	one_line tool.err --deadline
}

@test "it dies by a signal at once while it connects" {
	start_bg deaf "$HELPERS/fullbacklog" port
	wait_port port
	start_bg terminated "$TCPTOOL" connect 127.0.0.1 "$PORT"
	start_bg interrupted env --default-signal=INT "$TCPTOOL" connect 127.0.0.1 "$PORT"
	start_bg command "$TCPTOOL" connect 127.0.0.1 "$PORT" -- touch ran
	stays 100 terminated interrupted command
	kill -TERM "${PIDS[terminated]}" "${PIDS[command]}"
	kill -INT "${PIDS[interrupted]}"
	ends 143 terminated
	ends 143 command
	ends 130 interrupted
	[ ! -e ran ]
}

@test "SIGCHLD inherited as ignored: look-ups are still reaped here, so that no other process is killed" {
	need_strace
	echo 'hosts: files' >nsswitch
	make_network -b "$PWD/nsswitch:/etc/nsswitch.conf"
	for option in '' -z; do
		# shellcheck disable=SC2086
		returns 3 "${NET[@]}" env --ignore-signal=CHLD strace -o calls -e trace=wait4 \
			"$TCPTOOL" connect $option nowhere.test 80
		[ "$(grep -c '^wait4([0-9]*, NULL, 0, NULL) *= [0-9]' calls)" -eq 1 ]
		fails grep -q ECHILD calls
	done
}

# --- again and again -----------------------------------------------------------------------------

@test "--retry tries until the connection is accepted" {
	for option in --retry --retry=15; do
		rm -f go port
		# bound, but not listening yet: nobody else takes the port meanwhile
		start_bg peer "$HELPERS/peer" -l go listen port send:x
		wait_port port
		start_bg tool "$TCPTOOL" connect "$option" --retry-interval=20ms 127.0.0.1 "$PORT"
		stays 200 tool
		touch go
		ends 0 tool
		holds tool.out x
		ends 0 peer
	done
}

@test "--retry=TIME gives up with the status of the last failure" {
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect --retry=300ms 127.0.0.1 "$port"
	one_line err "Connection refused"
	returns 5 "$TCPTOOL" connect --retry -w 300ms 127.0.0.1 "$port"
	one_line err --timeout
}

@test "--retry=TIME: the last try begins when TIME has passed, however long the pause would be" {
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect -vv --retry=300ms --retry-interval=1h 127.0.0.1 "$port"
	[ "$(grep -c attempt err)" -eq 2 ]
	start_bg peer "$HELPERS/peer" -l go listen port send:x
	wait_port port
	start_bg tool "$TCPTOOL" connect -vv --retry=2 --retry-interval=1h 127.0.0.1 "$PORT"
	wait_for grep -q attempt tool.err
	touch go
	ends 0 tool
	holds tool.out x
}

@test "-w and --retry=TIME: the line names the limit that has passed" {
	start_bg deaf "$HELPERS/fullbacklog" port
	wait_port port
	returns 5 "$TCPTOOL" connect -w 15 --retry=300ms 127.0.0.1 "$PORT"
	one_line err "no answer within 300 ms (--retry)"
	returns 5 "$TCPTOOL" connect -w 300ms --retry=15 127.0.0.1 "$PORT"
	one_line err "no answer within 300 ms (--timeout)"
	port=$("$HELPERS/peer" free)
	returns 5 "$TCPTOOL" connect -w 300ms --retry=15 127.0.0.1 "$port"
	one_line err "Connection refused; no success within 300 ms (--timeout)"
	returns 4 "$TCPTOOL" connect -w 15 --retry=300ms 127.0.0.1 "$port"
	one_line err "Connection refused"
}

@test "--retry waits between two tries, and dies by a signal meanwhile" {
	port=$("$HELPERS/peer" free)
	start_bg tool "$TCPTOOL" connect -vv --retry 127.0.0.1 "$port"
	start_bg interval "$TCPTOOL" connect -vv --retry --retry-interval=10 127.0.0.1 "$port"
	stays 1000 tool interval
	kill -TERM "${PIDS[tool]}" "${PIDS[interval]}"
	ends 143 tool
	ends 143 interval
	# after 0, 100, 300, 550, 800 ms; fewer on a slow machine, and one more on one that stops late
	tries=$(grep -c attempt tool.err)
	echo "$tries tries"
	[ "$tries" -ge 1 ] && [ "$tries" -le 7 ]
	[ "$(grep -c attempt interval.err)" -eq 1 ]
}

# --- where it comes from -------------------------------------------------------------------------

@test "-s and -p: the address and port it comes from" {
	peer_bg peer -n 3 send:x
	returns 0 "$TCPTOOL" connect -s 127.0.0.5 127.0.0.1 "$PORT"
	port=$("$HELPERS/peer" free)
	returns 0 "$TCPTOOL" connect -p "$port" 127.0.0.1 "$PORT"
	returns 0 "$TCPTOOL" connect --source=127.0.0.6 --source-port=$((port + 1)) 127.0.0.1 "$PORT"
	ends 0 peer
	[[ $(sed -n 1p peer.out) == "from 127.0.0.5 "* ]]
	[ "$(sed -n 2p peer.out)" = "from 127.0.0.1 $port" ]
	[ "$(sed -n 3p peer.out)" = "from 127.0.0.6 $((port + 1))" ]
}

@test "a source that cannot be used is a failure to connect" {
	make_network
	in_network_peer peer 127.0.0.1 4000 hold
	returns 4 "${NET[@]}" "$TCPTOOL" connect -s fd00::9 127.0.0.1 4000
	one_line err
	returns 4 "${NET[@]}" "$TCPTOOL" connect -s 10.9.8.7 127.0.0.1 4000
	one_line err "Cannot assign requested address"
}

@test "a socket that is connected to itself counts as refused" {
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect -w 10 -p "$port" 127.0.0.1 "$port"
	one_line err refused
}

# --- only looking --------------------------------------------------------------------------------

@test "-z: open, with the time it took, status 0; closed, status 4" {
	peer_bg peer eof
	open=$PORT closed=$("$HELPERS/peer" free)
	returns 0 "$TCPTOOL" connect -z 127.0.0.1 "$open"
	[[ $(<out) =~ ^127.0.0.1\ $open\ open\ [0-9]+\.[0-9]+$ ]]
	holds err ''
	# it goes with a FIN and has sent nothing
	ends 0 peer
	returns 4 "$TCPTOOL" connect --check 127.0.0.1 "$closed"
	[ "$(<out)" = "127.0.0.1 $closed closed" ]
}

@test "-z: filtered, status 5" {
	start_bg deaf "$HELPERS/fullbacklog" port
	wait_port port
	returns 5 "$TCPTOOL" connect -z -w 300ms 127.0.0.1 "$PORT"
	[ "$(<out)" = "127.0.0.1 $PORT filtered" ]
}

@test "-z: unreachable, status 4; unresolved, status 3" {
	lend_names '127.0.0.1 there.test'
	make_network -d "${LENT[@]}"
	returns 4 "${NET[@]}" "$TCPTOOL" connect -z 127.0.0.1 80
	[ "$(<out)" = "127.0.0.1 80 unreachable" ]
	returns 3 "${NET[@]}" "$TCPTOOL" connect -z nowhere.test 80
	[ "$(<out)" = "nowhere.test 80 unresolved" ]
}

@test "-z: several targets, in the order given; the first that fails gives the status" {
	peer_bg peer -n 5 eof
	open=$PORT closed=$("$HELPERS/peer" free)
	start_bg deaf "$HELPERS/fullbacklog" deaf.port
	wait_port deaf.port
	returns 5 "$TCPTOOL" connect -z -w 600ms "127.0.0.1:$open" "127.0.0.1:$PORT" "127.0.0.1:$closed"
	cut -d ' ' -f 1-3 out >states
	holds states "127.0.0.1 $open open\n127.0.0.1 $PORT filtered\n127.0.0.1 $closed closed\n"
	returns 4 "$TCPTOOL" connect -z -w 600ms "127.0.0.1:$closed" "127.0.0.1:$PORT" "127.0.0.1:$open"
	cut -d ' ' -f 1-3 out >states
	holds states "127.0.0.1 $closed closed\n127.0.0.1 $PORT filtered\n127.0.0.1 $open open\n"
	returns 0 "$TCPTOOL" connect -z 127.0.0.1 "$open,$open"
	cut -d ' ' -f 1-3 out >states
	holds states "127.0.0.1 $open open\n127.0.0.1 $open open\n"
}

@test "-z: lists and ranges of ports, in order" {
	port=$("$HELPERS/peer" free)
	start_bg peer "$HELPERS/peer" -p "$port" listen port eof
	wait_port port
	returns 4 "$TCPTOOL" connect -z 127.0.0.1 "$((port - 2))-$((port + 2)),$((port - 5))"
	cut -d ' ' -f 2 out | tr '\n' ' ' >ports
	holds ports "$((port - 2)) $((port - 1)) $port $((port + 1)) $((port + 2)) $((port - 5)) "
	grep -q "^127.0.0.1 $port open " out
}

@test "-z: two thousand ports, and few descriptors" {
	port=$("$HELPERS/peer" free)
	start_bg peer "$HELPERS/peer" -p "$port" -n 2 listen port eof
	wait_port port
	for limit in 1000 30; do
		returns 4 sh -c 'ulimit -n "$1" && shift && exec "$@"' sh "$limit" \
			"$TCPTOOL" connect -z 127.0.0.1 "$((port - 1000))-$((port + 999))"
		cut -d ' ' -f 2 out >ports
		seq $((port - 1000)) $((port + 999)) | cmp - ports
		grep -q "^127.0.0.1 $port open " out
		fails grep -Ev '^127.0.0.1 [0-9]+ (open [0-9.]+|closed)$' out
		holds err ''
	done
	ends 0 peer
}

# names COUNT: so many targets, each with a name of its own: stored in NAMES.
names() {
	NAMES=()
	for ((i = 1; i <= $1; i++)); do
		NAMES+=("n$i.test:80")
	done
}

# has_children COUNT NAME: so many processes are children of a background command.
has_children() {
	[ "$(grep -ls "^PPid:[[:space:]]*${PIDS[$2]}\$" /proc/[0-9]*/status | wc -l)" -eq "$1" ]
}

@test "-z: more names than there are descriptors" {
	lend_names '127.0.0.1 there.test'
	make_network "${LENT[@]}"
	names 100
	returns 3 "${NET[@]}" sh -c 'ulimit -n 64 && exec "$@"' sh "$TCPTOOL" connect -z "${NAMES[@]}"
	printf '%s\n' "${NAMES[@]/%:80/ 80 unresolved}" | cmp - out
	holds err ''
}

@test "-z: few descriptors, and a name of which one address does not answer: the other is still found" {
	lend_names '2001:db8::2 both.test' '127.0.0.1 both.test'
	make_network -A 2001:db8::1/64 "${LENT[@]}"
	for ((port = 4001; port <= 4030; port++)); do
		start_bg "peer$port" "${NET[@]}" "$HELPERS/peer" -p "$port" listen "$port.port" eof
	done
	for ((port = 4001; port <= 4030; port++)); do
		wait_port "$port.port"
	done
	returns 0 "${NET[@]}" sh -c 'ulimit -n 40 && exec "$@"' sh "$TCPTOOL" connect -z -w 15 both.test 4001-4030
	[ "$(grep -c ' open ' out)" -eq 30 ]
	holds err ''
}

@test "-z: what cannot be tried for lack of descriptors is not called unreachable" {
	need_strace
	returns 11 strace -o /dev/null -e trace=socket -e inject=socket:error=EMFILE \
		"$TCPTOOL" connect -z 127.0.0.1 4000-4002
	holds out '127.0.0.1 4000 untried\n127.0.0.1 4001 untried\n127.0.0.1 4002 untried\n'
	one_line err 'check: Too many open files'
}

@test "-z raises the soft limit of descriptors, and its command gets it back as it was" {
	start_bg deaf "$HELPERS/fullbacklog" deaf.port
	wait_port deaf.port
	start_bg tool sh -c 'ulimit -Sn 50 && : >limited && exec "$@"' sh "$TCPTOOL" connect -z 127.0.0.1 "$PORT"
	wait_for test -e limited
	wait_for grep -Eq '^Max open files +([0-9]+) +\1 ' "/proc/${PIDS[tool]}/limits"
	peer_bg peer eof
	returns 0 sh -c 'ulimit -Sn 50 && exec "$@"' sh \
		"$TCPTOOL" connect -z --quiet 127.0.0.1 "$PORT" -- sh -c 'ulimit -Sn'
	holds out '50\n'
}

@test "-z: of many names, 32 at a time are looked up" {
	echo 'nameserver 127.0.0.1' >resolv
	echo 'hosts: dns' >nsswitch
	make_network -b "$PWD/resolv:/etc/resolv.conf" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg dns "${NET[@]}" "$HELPERS/fullbacklog" -u -p 53 dns.port
	wait_port dns.port
	names 100
	start_bg tool "${NET[@]}" "$TCPTOOL" connect -z --deadline=8 "${NAMES[@]}"
	wait_for has_children 32 tool
	stays 300 tool
	has_children 32 tool
	ends 5 tool
	[ "$(grep -c ' filtered$' tool.out)" -eq 100 ]
}

@test "-z: -w and --retry=TIME limit the look-up, and what that takes is no longer there for connecting" {
	printf '%s\n' 'nameserver 127.0.0.1' 'options timeout:1 attempts:1' 'search .' >resolv
	echo '127.0.0.1 late.test' >hosts
	# the name server's silence lasts for two seconds: with and without the domain
	echo 'hosts: dns files' >nsswitch
	make_network -b "$PWD/hosts:/etc/hosts" -b "$PWD/resolv:/etc/resolv.conf" \
		-b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg dns "${NET[@]}" "$HELPERS/fullbacklog" -u -p 53 dns.port
	start_bg deaf "${NET[@]}" "$HELPERS/fullbacklog" -p 4000 deaf.port
	wait_port dns.port
	wait_port deaf.port
	for option in -w300ms --retry=300ms; do
		# the port refuses, but that is not found out
		returns 5 "${NET[@]}" "$TCPTOOL" connect -z "$option" late.test 4001
		holds out 'late.test 4001 filtered\n'
	done
	for option in --timeout=2500ms --retry=2500ms; do
		# half a second is left for connecting; whoever took another whole TIME would meet the deadline
		returns 5 "${NET[@]}" "$TCPTOOL" connect -zv "$option" --deadline=3500ms late.test 4000
		holds out 'late.test 4000 filtered\n'
		one_line err "no answer within 2.5 s (${option%=*})"
	done
}

@test "-z --quiet says nothing at all" {
	peer_bg peer eof
	returns 0 "$TCPTOOL" connect -z --quiet 127.0.0.1 "$PORT"
	holds out ''
	returns 4 "$TCPTOOL" connect -z --quiet 127.0.0.1 "$("$HELPERS/peer" free)"
	holds out ''
	holds err ''
}

@test "-z --retry waits until all are open" {
	start_bg one "$HELPERS/peer" -n 1000 -t 15 listen one.port eof
	start_bg two "$HELPERS/peer" -n 1000 -t 15 -l go listen two.port eof
	wait_port one.port
	one=$PORT
	wait_port two.port
	start_bg tool "$TCPTOOL" connect -z --retry --retry-interval=50ms "127.0.0.1:$one" "127.0.0.1:$PORT"
	stays 300 tool
	touch go
	ends 0 tool
	[ "$(wc -l <tool.out)" -eq 2 ]
	[ "$(grep -c ' open ' tool.out)" -eq 2 ]
}

@test "-z leaves a server that speaks first with an end, not with a reset" {
	peer_bg peer -n 20 send:220-hello pause:5 eof
	for ((i = 0; i < 20; i++)); do
		returns 0 "$TCPTOOL" connect -z 127.0.0.1 "$PORT"
	done
	ends 0 peer
}

@test "-z: a peer that accepts and resets at once is open" {
	peer_bg peer -n 20 reset
	for ((i = 0; i < 20; i++)); do
		returns 0 "$TCPTOOL" connect -z 127.0.0.1 "$PORT"
		[[ $(<out) == "127.0.0.1 $PORT open "* ]]
	done
}

@test "-z on a full disk: status 7" {
	peer_bg peer eof
	returns 7 sh -c 'exec "$@" >/dev/full' sh "$TCPTOOL" connect -z 127.0.0.1 "$PORT"
	one_line err "write to stdout"
}

@test "-z: stdout's reader gone: quiet death by SIGPIPE, though nothing is left to print" {
	mkfifo out.fifo
	peer_bg peer eof
	start_bg reader head -n 1 out.fifo
	OUT=out.fifo start_bg tool env --default-signal=PIPE \
		"$TCPTOOL" connect -z --retry "127.0.0.1:$PORT" "127.0.0.1:$("$HELPERS/peer" free)"
	ends 0 reader
	[[ $(<reader.out) == "127.0.0.1 $PORT open "* ]]
	ends 141 tool
	holds tool.err ''
}

@test "-z: a reader that is late gets all lines, from a pipe that waits and from one that does not" {
	mkfifo out.fifo
	exec 6<>out.fifo
	for option in '' -n; do
		# shellcheck disable=SC2086 # no option is no word
		OUT=out.fifo start_bg tool "$HELPERS/fdflags" $option "$TCPTOOL" connect -z 127.0.0.1 20000-27999
		stays 300 tool
		start_bg reader head -n 8000 out.fifo
		ends 0 reader
		ends 4 tool
		holds tool.err ''
		cut -d ' ' -f 2 reader.out >ports
		seq 20000 27999 | cmp - ports
	done
}

@test "-z --deadline ends it while stdout's reader does not read: status 5" {
	mkfifo out.fifo
	exec 6<>out.fifo
	OUT=out.fifo start_bg tool "$TCPTOOL" connect -z --deadline=500ms 127.0.0.1 20000-27999
	ends 5 tool
	one_line tool.err 'write to stdout: the time for the whole run is over (--deadline)'
}
