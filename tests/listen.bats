#!/usr/bin/env bats
# Guards how connections are waited for: where, how others learn that and when, how many are served and
# in which order, and how it all ends.

load helpers

# talk PORT STEP...: a client that does these steps.
talk() {
	local port=$1
	shift
	returns 0 "$HELPERS/peer" connect "$port" "$@"
}

# descriptors NAME: how many a background command has open.
descriptors() {
	local all=("/proc/${PIDS[$1]}/fd"/*)
	echo "${#all[@]}"
}

# --- where ---------------------------------------------------------------------------------------

@test "without HOST it listens on all addresses of both families, on one port" {
	need_ipv6
	for operand in 0 :0 '*:0' '*'; do
		words=("$operand")
		[ "$operand" != '*' ] || words=('*' 0)
		listen_bg tool -k "${words[@]}"
		talk "$PORT" send:four shut eof
		returns 0 "$HELPERS/peer" -a ::1 connect "$PORT" send:six shut eof
		wait_for holds tool.out foursix
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
		rm tool.port
	done
}

@test "HOST may be an address of either family" {
	need_ipv6
	listen_bg four 127.0.0.2 0
	returns 0 "$HELPERS/peer" -a 127.0.0.2 connect "$PORT" send:x shut
	ends 0 four
	holds four.out x
	for words in '::1 0' '[::1]:0' '[::1] 0'; do
		# shellcheck disable=SC2086
		listen_bg six $words
		returns 0 "$HELPERS/peer" -a ::1 connect "$PORT" send:x shut
		ends 0 six
		holds six.out x
		rm six.port
	done
}

@test "it listens nowhere but where it was told to" {
	listen_bg tool -k 127.0.0.1 0
	returns 4 "$TCPTOOL" connect 127.0.0.2 "$PORT"
	need_ipv6
	returns 4 "$TCPTOOL" connect ::1 "$PORT"
}

@test "-4 and -6 choose the family" {
	need_ipv6
	listen_bg four -4 -k 0
	returns 0 "$TCPTOOL" connect -z 127.0.0.1 "$PORT"
	returns 4 "$TCPTOOL" connect -z ::1 "$PORT"
	listen_bg six --ipv6 -k 0
	returns 0 "$TCPTOOL" connect -z ::1 "$PORT"
	returns 4 "$TCPTOOL" connect -z 127.0.0.1 "$PORT"
}

@test "a name with several addresses is bound on each, on one port" {
	printf '%s\n' '127.0.0.1 both.test' '::1 both.test' '127.0.0.9 both.test' >hosts
	echo 'hosts: files' >nsswitch
	make_network -b "$PWD/hosts:/etc/hosts" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg tool "${NET[@]}" "$TCPTOOL" listen -k --port-file=port both.test 0
	wait_port port
	for address in 127.0.0.1 ::1 127.0.0.9; do
		returns 0 "${NET[@]}" "$HELPERS/peer" -a "$address" connect "$PORT" send:x shut eof
	done
	wait_for holds tool.out xxx
	returns 4 "${NET[@]}" "$TCPTOOL" connect 127.0.0.2 "$PORT"
	returns 3 "${NET[@]}" "$TCPTOOL" listen nowhere.test 0
	one_line err nowhere.test
}

@test "a name's IPv6 addresses that the machine does not have are passed over, if another remains" {
	printf '%s\n' '2001:db8::7 both.test' '127.0.0.1 both.test' '2001:db8::7 six.test' \
		'127.0.0.1 four.test' '10.9.8.7 four.test' >hosts
	echo 'hosts: files' >nsswitch
	make_network -b "$PWD/hosts:/etc/hosts" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg tool "${NET[@]}" "$TCPTOOL" listen --port-file=port both.test 0
	wait_port port
	returns 0 "${NET[@]}" "$HELPERS/peer" connect "$PORT" send:x shut eof
	ends 0 tool
	holds tool.out x
	for host in six.test four.test 2001:db8::7; do
		returns 6 "${NET[@]}" "$TCPTOOL" listen -w 5 "$host" 0
		one_line err "Cannot assign requested address"
	done
}

@test "two listeners on one port: status 6, unless both have --reuse-port" {
	listen_bg one
	returns 6 "$TCPTOOL" listen -w 5 127.0.0.1 "$PORT"
	one_line err "Address already in use"
	[[ $(<err) == *"127.0.0.1 port $PORT"* ]]
	returns 6 "$TCPTOOL" listen -w 5 --reuse-port 127.0.0.1 "$PORT"
	one_line err "Address already in use"
	listen_bg shared --reuse-port 127.0.0.1 0
	start_bg other "$TCPTOOL" listen --reuse-port --port-file=other.port 127.0.0.1 "$PORT"
	wait_for test -e other.port
	returns 6 "$TCPTOOL" listen -w 5 127.0.0.1 "$PORT"
	talk "$PORT" shut eof
	talk "$PORT" shut eof
	ends 0 shared
	ends 0 other
}

@test "the port of a server that has just ended can be listened on at once" {
	listen_bg first -q 0 127.0.0.1 0
	# the server closes first, so that its end lingers in TIME_WAIT
	talk "$PORT" send:x eof
	ends 0 first
	start_bg second "$TCPTOOL" listen --port-file=second.port 127.0.0.1 "$PORT"
	wait_for test -e second.port
	talk "$PORT" send:y shut eof
	ends 0 second
	holds second.out y
}

@test "an address this machine does not have: status 6" {
	make_network
	returns 6 "${NET[@]}" "$TCPTOOL" listen -w 5 10.9.8.7 0
	one_line err "listen on 10.9.8.7 port 0: Cannot assign requested address"
}

@test "a port that only root may have: status 6" {
	[ "$(id -u)" -ne 0 ] || skip "root may have them all"
	[ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 1 ] || skip "everybody may have it"
	returns 6 "$TCPTOOL" listen -w 5 127.0.0.1 1
	one_line err "Permission denied"
}

# --- who learns of it ----------------------------------------------------------------------------

@test "--port-file is written whole, and replaces what was there" {
	echo stale >port
	exec 5<port
	start_bg tool "$TCPTOOL" listen --port-file=port 127.0.0.1 0
	wait_for grep -qvx stale port
	[[ $(<port) =~ ^[0-9]+$ ]]
	[ "$(wc -l <port)" -eq 1 ]
	# the old file itself was never touched, and nothing else is left beside the new one
	[ "$(cat <&5)" = stale ]
	[ "$(echo port*)" = port ]
	talk "$(<port)" shut
	ends 0 tool
}

@test "--port-file: a FIFO without a reader holds up no SIGTERM" {
	mkfifo fifo
	start_bg tool "$TCPTOOL" listen -v --port-file=fifo 127.0.0.1 0
	wait_for grep -q 'listening on' tool.err
	stays 100 tool
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	[ -p fifo ]
}

@test "--port-file: a FIFO is written to, and what can be no port file stays what it is" {
	mkfifo fifo
	start_bg tool "$TCPTOOL" listen --port-file=fifo 127.0.0.1 0
	# it waits for the reader, who then gets the line and the end
	start_bg reader cat fifo
	ends 0 reader
	[[ $(<reader.out) =~ ^[0-9]+$ ]]
	[ -p fifo ]
	talk "$(<reader.out)" shut
	ends 0 tool
	[ "$(echo fifo*)" = fifo ]
	returns 5 "$TCPTOOL" listen -w 50ms --port-file=/dev/null 127.0.0.1 0
	[ -c /dev/null ]
	mkdir directory
	returns 7 "$TCPTOOL" listen -w 5 --port-file=directory 127.0.0.1 0
	one_line err "directory: Is a directory"
	start_bg manager "$HELPERS/notified" "$PWD/socket" ready
	wait_for test -e ready
	returns 7 "$TCPTOOL" listen -w 5 --port-file=socket 127.0.0.1 0
	one_line err "socket: No such device or address"
	[ -S socket ]
}

# fill FIFO: the FIFO has a reader, descriptor 6 of the test, and takes no byte more.
fill() {
	exec 6<>"$1"
	dd if=/dev/zero of="$1" oflag=nonblock bs=4096 2>dd.err || true
	"$HELPERS/full" >&6
}

@test "--port-file: --deadline limits the wait for the reader of a FIFO, and of a full pipe" {
	mkfifo fifo
	returns 5 "$TCPTOOL" listen --deadline=200ms --port-file=fifo 127.0.0.1 0
	one_line err deadline
	fill fifo
	returns 5 "$TCPTOOL" listen --deadline=200ms --port-file=fifo 127.0.0.1 0
	one_line err deadline
	# shellcheck disable=SC2016 # the inner shell expands it
	for option in --port-file=/dev/fd/4 --ready-fd=4; do
		returns 5 bash -c 'exec "$@" 4>fifo' bash "$TCPTOOL" listen --deadline=200ms $option 127.0.0.1 0
		one_line err deadline
	done
}

@test "--port-file and --ready-fd: a full pipe holds up no SIGTERM" {
	mkfifo fifo
	fill fifo
	# shellcheck disable=SC2016 # the inner shell expands it
	for option in --port-file=fifo --port-file=/dev/fd/4 --ready-fd=4; do
		rm -f tool.err
		start_bg tool bash -c 'exec "$@" 4>fifo' bash "$TCPTOOL" listen -v $option 127.0.0.1 0
		wait_for grep -q 'listening on' tool.err
		stays 100 tool
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
	done
}

@test "--port-file: the name of a descriptor means that descriptor, and nothing written to it is lost" {
	for name in - /dev/stdout /dev/fd/1 /proc/self/fd/1 /proc/thread-self/fd/1; do
		rm -f tool.out
		start_bg tool "$TCPTOOL" listen --port-file=$name 127.0.0.1 0
		wait_for test -s tool.out
		PORT=$(<tool.out)
		talk "$PORT" send:received shut
		ends 0 tool
		holds tool.out "$PORT\nreceived"
	done
	for name in /dev/stderr /dev/fd/2 /dev/fd/7 /proc/self/fd/7; do
		echo kept >log
		# shellcheck disable=SC2016 # the inner shell expands it
		start_bg tool bash -c 'exec "$@" 2>>log 7>&2' bash "$TCPTOOL" listen --port-file=$name -v 127.0.0.1 0
		wait_for lines 3 log
		PORT=$(tail -n 1 log)
		talk "$PORT" shut
		ends 0 tool
		[ "$(head -n 1 log)" = kept ]
		grep -q 'connection from' log
	done
}

lines() {
	[ "$(wc -l <"$2")" -eq "$1" ]
}

@test "--port-file: a link is replaced, and what it points to stays what it was" {
	mkdir elsewhere
	echo precious >elsewhere/file
	mkfifo elsewhere/pipe
	for target in elsewhere/file elsewhere/new elsewhere/pipe /dev/null; do
		ln -sf $target port
		start_bg tool "$TCPTOOL" listen --port-file=port 127.0.0.1 0
		wait_for test ! -L port
		talk "$(<port)" shut
		ends 0 tool
		holds elsewhere/file 'precious\n'
		[ "$(echo elsewhere/*)" = 'elsewhere/file elsewhere/pipe' ]
	done
}

@test "--port-file: a file that is mounted by itself is written in place" {
	echo 'longer than a port' >mounted
	touch port
	make_network -b "$PWD/mounted:$PWD/port"
	returns 5 "${NET[@]}" "$TCPTOOL" listen -w 50ms --port-file=port 127.0.0.1 0
	one_line err 'no connection'
	[[ $(<mounted) =~ ^[0-9]+$ ]]
	[ "$(wc -l <mounted)" -eq 1 ]
	[ -z "$(compgen -G '.tcptool*')" ]
}

@test "--port-file: the name may be as long as names can be" {
	name=$(printf '%0255d' 0)
	start_bg tool "$TCPTOOL" listen --port-file="$name" 127.0.0.1 0
	wait_port "$name"
	talk "$PORT" shut
	ends 0 tool
}

@test "once the port file exists, connecting succeeds" {
	for ((i = 0; i < 15; i++)); do
		start_bg tool "$TCPTOOL" listen --port-file="port$i" 127.0.0.1 0
		until [ -e "port$i" ]; do :; done
		talk "$(<"port$i")" send:x shut
		ends 0 tool
	done
}

@test "a port file that cannot be written: status 7" {
	returns 7 "$TCPTOOL" listen -w 5 --port-file=no/such/dir 127.0.0.1 0
	one_line err "no/such/dir: No such file or directory"
}

@test "--ready-fd gets one line, and is closed" {
	mkfifo ready
	start_bg reader cat ready
	start_bg tool sh -c 'exec "$@" 4>ready' sh "$TCPTOOL" listen --ready-fd=4 --port-file=port 127.0.0.1 0
	ends 0 reader
	wait_port port
	holds reader.out "$PORT\n"
	talk "$PORT" shut
	ends 0 tool
}

@test "\$NOTIFY_SOCKET gets READY=1, be it a file or abstract" {
	for socket in "$PWD/s" "@tcptool-test-$$-$RANDOM"; do
		rm -f ready port
		start_bg manager "$HELPERS/notified" "$socket" ready
		wait_for test -e ready
		start_bg tool env NOTIFY_SOCKET="$socket" "$TCPTOOL" listen --port-file=port 127.0.0.1 0
		ends 0 manager
		holds manager.out 'READY=1\n'
		# ready means ready
		wait_port port
		talk "$PORT" shut
		ends 0 tool
	done
}

@test "a service manager that is gone does not keep it from serving" {
	start_bg tool env NOTIFY_SOCKET="$PWD/nobody" "$TCPTOOL" listen --port-file=port 127.0.0.1 0
	wait_port port
	talk "$PORT" send:x shut
	ends 0 tool
	holds tool.out x
}

@test "-v tells where it listens" {
	listen_bg tool -v 127.0.0.1 0
	wait_for grep -qx "tcptool: listening on 127.0.0.1 $PORT" tool.err
	talk "$PORT" shut
	ends 0 tool
	grep -q 'connection from 127.0.0.1 port [0-9]' tool.err
}

# --- one -----------------------------------------------------------------------------------------

@test "it serves one connection and refuses others" {
	listen_bg tool
	start_bg one "$HELPERS/peer" connect "$PORT" send:one touch:sent wait:go shut eof
	wait_for holds tool.out one
	returns 4 "$TCPTOOL" connect 127.0.0.1 "$PORT"
	touch go
	ends 0 one
	ends 0 tool
	holds tool.out one
	holds tool.err ''
}

@test "-w limits the wait for a connection, not the session" {
	returns 5 "$TCPTOOL" listen -w 200ms 127.0.0.1 0
	one_line err "200 ms"
	returns 5 "$TCPTOOL" listen --deadline=200ms 127.0.0.1 0
	one_line err --deadline
	listen_bg tool -w 2 127.0.0.1 0
	talk "$PORT" send:a pause:2300 send:b shut
	ends 0 tool
	holds tool.out ab
}

@test "SIGTERM and SIGINT end waiting and serving, with -k and without, as deaths by that signal" {
	for signal in TERM INT; do
		status=$((128 + $(kill -l $signal)))
		start_bg waiting env --default-signal=INT "$TCPTOOL" listen --port-file=waiting.port 127.0.0.1 0
		start_bg serving env --default-signal=INT "$TCPTOOL" listen --port-file=serving.port 127.0.0.1 0
		start_bg keeping env --default-signal=INT "$TCPTOOL" listen -k --port-file=keeping.port 127.0.0.1 0
		wait_port serving.port
		start_bg peer1 "$HELPERS/peer" connect "$PORT" send:x hold
		wait_for holds serving.out x
		wait_port keeping.port
		start_bg peer2 "$HELPERS/peer" connect "$PORT" send:x hold
		wait_for holds keeping.out x
		wait_for test -e waiting.port
		for name in waiting serving keeping; do
			kill -"$signal" "${PIDS[$name]}"
			ends "$status" "$name"
			holds "$name.err" ''
			rm "$name.port"
		done
	done
}

@test "a signal that arrives ignored stays ignored (nohup)" {
	start_bg tool env --ignore-signal=INT "$TCPTOOL" listen --port-file=port 127.0.0.1 0
	wait_port port
	kill -INT "${PIDS[tool]}"
	stays 200 tool
	talk "$PORT" send:x shut
	ends 0 tool
	holds tool.out x
}

@test "--drain lets the running session end, and then it dies by the signal" {
	listen_bg tool -k --drain=30 127.0.0.1 0
	start_bg peer "$HELPERS/peer" connect "$PORT" send:a touch:sent wait:go send:b shut eof
	wait_for holds tool.out a
	kill -TERM "${PIDS[tool]}"
	stays 200 tool
	returns 4 "$TCPTOOL" connect 127.0.0.1 "$PORT"
	touch go
	ends 0 peer
	ends 143 tool
	holds tool.out ab
}

@test "--drain without -k: it dies by the signal, too, once the session has ended" {
	listen_bg tool --drain=30 127.0.0.1 0
	start_bg client "$HELPERS/peer" connect "$PORT" send:a touch:there wait:go shut eof
	wait_for test -e there
	kill -TERM "${PIDS[tool]}"
	stays 100 tool
	touch go
	ends 143 tool
	ends 0 client
}

@test "a connection that SIGTERM has ended is reported with that status" {
	listen_bg tool -k --report=report 127.0.0.1 0
	start_bg client "$HELPERS/peer" connect "$PORT" send:a touch:there hold
	wait_for test -e there
	wait_for grep -q a tool.out
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	grep -q '"status":143' report
}

@test "--deadline: when the time is over no connection of the backlog is accepted" {
	listen_bg tool -k --deadline=300ms --report=report --greet 127.0.0.1 0
	kill -STOP "${PIDS[tool]}"
	for i in 1 2 3; do
		start_bg "client$i" "$HELPERS/peer" connect "$PORT" touch:"there$i" hold
		wait_for test -e "there$i"
	done
	"$HELPERS/pause" 400
	kill -CONT "${PIDS[tool]}"
	ends 5 tool
	[ ! -s report ]
	one_line tool.err '--deadline'
}

@test "signals have their handlers before readiness is announced" {
	need_strace
	echo 127.0.0.1 >rules
	start_bg tool strace -o calls -e trace=rt_sigaction,rename env --default-signal=HUP \
		"$TCPTOOL" listen -k --allow-file=rules --port-file=tool.port 127.0.0.1 0
	wait_port tool.port
	returns 0 "$HELPERS/peer" connect "$PORT" shut eof
	for signal in TERM HUP USR1; do
		[ "$(grep -n "rt_sigaction(SIG$signal, {sa_handler=0x" calls | head -n 1 | cut -d : -f 1)" -lt \
			"$(grep -n 'rename(' calls | cut -d : -f 1)" ]
	done
	# strace would leave it behind
	kill -TERM "$(pgrep -P "${PIDS[tool]}")"
	ends 143 tool
}

@test "--drain does not last longer than was asked for" {
	listen_bg tool -k --drain=0.4 127.0.0.1 0
	start_bg peer "$HELPERS/peer" connect "$PORT" send:a hold
	wait_for holds tool.out a
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

# --- one after another ---------------------------------------------------------------------------

@test "-k: one connection after another over stdin and stdout, none is lost" {
	listen_bg tool -k 127.0.0.1 0
	for ((i = 100; i < 140; i++)); do
		start_bg "peer$i" "$HELPERS/peer" connect "$PORT" "send:<$i" pause:1 "send:>" shut eof
	done
	for ((i = 100; i < 140; i++)); do
		ends 0 "peer$i"
	done
	# each whole, in whatever order
	wait_for test "$(wc -c <tool.out)" -eq 200
	grep -o '<[0-9]*>' tool.out | sort >got
	seq 100 139 | sed 's/.*/<&>/' | cmp - got
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	holds tool.err ''
}

@test "-k: a session that fails is told under -v, and the next one is served" {
	listen_bg tool -kv 127.0.0.1 0
	talk "$PORT" send:a acked reset
	talk "$PORT" send:b shut eof
	wait_for holds tool.out ab
	grep -q "Connection reset by peer" tool.err
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

@test "-k: a connection stays in the backlog while another is served" {
	listen_bg tool -k 127.0.0.1 0
	start_bg first "$HELPERS/peer" connect "$PORT" send:first touch:sent wait:go shut eof
	wait_for holds tool.out first
	start_bg second "$HELPERS/peer" connect "$PORT" send:second quiet:400 touch:waited shut eof
	wait_for test -e waited
	holds tool.out first
	touch go
	ends 0 first
	ends 0 second
	wait_for holds tool.out firstsecond
}

@test "-k -w: no connection for that time after the last one: status 5" {
	listen_bg tool -k -w 1 127.0.0.1 0
	talk "$PORT" send:a shut eof
	talk "$PORT" send:b shut eof
	ends 5 tool
	holds tool.out ab
	one_line tool.err --timeout
}

@test "-k: stdout's reader gone ends it" {
	mkfifo out.fifo
	start_bg reader head -c 1 out.fifo
	OUT=out.fifo start_bg tool env --default-signal=PIPE "$TCPTOOL" listen -k --port-file=port 127.0.0.1 0
	wait_port port
	start_bg peer "$HELPERS/peer" connect "$PORT" flood
	ends 141 tool
	holds tool.err ''
}

@test "--backlog limits how many wait" {
	listen_bg tool -k --backlog=1 127.0.0.1 0
	start_bg first "$HELPERS/peer" connect "$PORT" send:x hold
	wait_for holds tool.out x
	# the kernel takes one or two more; without the option it would be thousands
	for ((i = 0; i < 8; i++)); do
		state=$("$TCPTOOL" connect -z -w 300ms 127.0.0.1 "$PORT" || true)
		[[ $state != *filtered* ]] || break
	done
	[[ $state == *filtered* ]]
}

# --- many at a time ------------------------------------------------------------------------------

@test "-m: more wait in the backlog and are served when there is room" {
	listen_bg tool -k --greet=hi -m 2 127.0.0.1 0
	start_bg one "$HELPERS/peer" connect "$PORT" 'expect:hi\0' touch:one wait:go 'send:1\0' eof
	start_bg two "$HELPERS/peer" connect "$PORT" 'expect:hi\0' touch:two wait:go 'send:2\0' eof
	wait_for test -e one
	wait_for test -e two
	start_bg three "$HELPERS/peer" connect "$PORT" quiet:400 touch:waited 'expect:hi\0' 'send:3\0' eof
	wait_for test -e waited
	touch go
	ends 0 one
	ends 0 two
	ends 0 three
	wait_for test "$(wc -l <tool.out)" -eq 3
}

@test "--max-per-host: one more of the same address is closed, others are served" {
	listen_bg tool -v -k --greet=hi --max-per-host=1 127.0.0.1 0
	start_bg one "$HELPERS/peer" connect "$PORT" 'expect:hi\0' touch:one wait:go 'send:1\0' eof
	wait_for test -e one
	talk "$PORT" eof
	grep -q max-per-host tool.err
	returns 0 "$HELPERS/peer" -s 127.0.0.7 connect "$PORT" 'expect:hi\0' 'send:2\0' eof
	touch go
	ends 0 one
	# and now there is room again
	wait_for "$HELPERS/peer" connect "$PORT" 'expect:hi\0' 'send:3\0' eof
}

@test "a silent peer does not hold up the others" {
	listen_bg tool -k --greet=hi 127.0.0.1 0
	for ((i = 0; i < 20; i++)); do
		start_bg "silent$i" "$HELPERS/peer" connect "$PORT" 'expect:hi\0' "touch:$i" hold
	done
	for ((i = 0; i < 20; i++)); do
		wait_for test -e "$i"
	done
	talk "$PORT" 'expect:hi\0' 'send:live\0' eof
	wait_for holds tool.out 'live\n'
}

@test "neither refused nor aborted connections leave a descriptor behind" {
	listen_bg tool -k --greet=hi -m 4 --max-per-host=4 127.0.0.1 0
	talk "$PORT" 'expect:hi\0' 'send:x\0' eof
	wait_for holds tool.out 'x\n'
	before=$(descriptors tool)
	returns 0 "$HELPERS/peer" -n 300 connect "$PORT" reset
	returns 0 "$HELPERS/peer" -n 300 connect "$PORT" 'expect:hi\0' reset
	for ((i = 0; i < 4; i++)); do
		start_bg "held$i" "$HELPERS/peer" connect "$PORT" 'expect:hi\0' "touch:held$i" hold
	done
	for ((i = 0; i < 4; i++)); do
		wait_for test -e "held$i"
		kill -KILL "${PIDS[held$i]}"
	done
	talk "$PORT" 'expect:hi\0' 'send:y\0' eof
	wait_for test "$(descriptors tool)" -le "$before"
}

@test "out of descriptors, the server neither spins nor ends, says so once, and recovers" {
	start_bg tool sh -c 'ulimit -n 16 && exec "$@"' sh \
		"$TCPTOOL" listen -k --greet=hi -i 60 --port-file=port 127.0.0.1 0
	wait_port port
	for ((i = 0; i < 20; i++)); do
		start_bg "held$i" "$HELPERS/peer" connect "$PORT" touch:"$i" hold
	done
	for ((i = 0; i < 20; i++)); do
		wait_for test -e "$i"
	done
	wait_for grep -q "ulimit -n" tool.err
	calm tool
	one_line tool.err "ulimit -n"
	for ((i = 0; i < 20; i++)); do
		kill -KILL "${PIDS[held$i]}"
	done
	talk "$PORT" 'expect:hi\0' 'send:back\0' eof
	wait_for grep -qx back tool.out
}
