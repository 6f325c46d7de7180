#!/usr/bin/env bats
# Guards what a script sees of each way to end: the exit status, one line on stderr, silence under --quiet,
# and never a byte from outside that could upset a terminal.

load helpers

# tells STATUS TEXT COMMAND...: COMMAND ends with STATUS and one line with TEXT; with --quiet in it, with
# the same status and no line. The word QUIET stands where --quiet may go.
tells() {
	local status=$1 text=$2 word words=() quiet=()
	shift 2
	for word; do
		if [ "$word" = QUIET ]; then
			quiet+=(--quiet)
		else
			words+=("$word")
			quiet+=("$word")
		fi
	done
	returns "$status" "${words[@]}"
	one_line err "$text"
	returns "$status" "${quiet[@]}"
	holds err ''
}

# plain FILE: nothing but printable ASCII and newlines.
plain() {
	[ -z "$(tr -d '\n -~' <"$1")" ]
}

# --- one way after the other ---------------------------------------------------------------------

@test "0: all delivered, all written, nothing said" {
	peer_bg peer rest:question send:answer
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" < <(printf question)
	holds out answer
	holds err ''
}

@test "1: the connection was lost" {
	mkfifo in
	exec 5<>in
	peer_bg peer -n 2 send:x acked pause:50 reset
	tells 1 "127.0.0.1 port $PORT: Connection reset by peer" \
		"$TCPTOOL" connect QUIET 127.0.0.1 "$PORT" <in
	holds out x
}

@test "2: usage" {
	tells 2 not-a-port "$TCPTOOL" connect QUIET 127.0.0.1 not-a-port
	tells 2 not-a-port "$TCPTOOL" listen QUIET not-a-port
}

@test "3: a name without an address" {
	: >resolv
	echo 'hosts: files' >nsswitch
	make_network -b "$PWD/resolv:/etc/resolv.conf" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	tells 3 nowhere.test "${NET[@]}" "$TCPTOOL" connect QUIET nowhere.test 80
	tells 3 nowhere.test "${NET[@]}" "$TCPTOOL" listen QUIET nowhere.test 80
}

@test "4: refused, unreachable" {
	port=$("$HELPERS/peer" free)
	tells 4 "connect to 127.0.0.1 port $port: Connection refused" \
		"$TCPTOOL" connect QUIET 127.0.0.1 "$port"
	make_network -d
	tells 4 "Network is unreachable" "${NET[@]}" "$TCPTOOL" connect QUIET 127.0.0.1 80
}

@test "5: each limit of time says which it was" {
	start_bg deaf "$HELPERS/fullbacklog" port
	wait_port port
	tells 5 --timeout "$TCPTOOL" connect QUIET -w 100ms 127.0.0.1 "$PORT"
	tells 5 --deadline "$TCPTOOL" connect QUIET --deadline=100ms 127.0.0.1 "$PORT"
	tells 5 --timeout "$TCPTOOL" listen QUIET -w 100ms 127.0.0.1 0
	tells 5 --deadline "$TCPTOOL" listen QUIET --deadline=100ms 127.0.0.1 0
	# four in a row, of which none says anything
	peer_bg silent -n 4 eof
	mkfifo in
	exec 5<>in
	tells 5 --idle-timeout "$TCPTOOL" connect QUIET -i 100ms 127.0.0.1 "$PORT" <in
	tells 5 --deadline "$TCPTOOL" connect QUIET --deadline=100ms 127.0.0.1 "$PORT" <in
}

@test "5: a peer that reads slowly is not idle, however long the kernel takes nothing more" {
	gulps=()
	for i in {1..25}; do
		gulps+=(gulp:20000 pause:100)
	done
	head -c 3000000 /dev/zero >in
	peer_bg slow -r 4096 "${gulps[@]}" sink
	returns 0 "$TCPTOOL" connect -i 1 127.0.0.1 "$PORT" <in
	[ ! -s err ]
	peer_bg slow -r 4096 "${gulps[@]}" sink
	listen_bg tool -k -i 1 --forward="127.0.0.1:$PORT" 127.0.0.1 0
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <in
	[ ! -s tool.err ]
}

@test "6: cannot listen" {
	listen_bg tool
	tells 6 "listen on 127.0.0.1 port $PORT: Address already in use" \
		"$TCPTOOL" listen QUIET -w 5 127.0.0.1 "$PORT"
}

@test "7: stdin, stdout, a file named in an option" {
	peer_bg peer -n 4 send:x pause:50
	{
		tells 7 "read stdin: Is a directory" sh -c 'exec "$@" </' sh \
			"$TCPTOOL" connect QUIET 127.0.0.1 "$PORT"
		tells 7 "write to stdout: No space left on device" sh -c 'exec "$@" >/dev/full' sh \
			"$TCPTOOL" connect QUIET 127.0.0.1 "$PORT"
	}
	tells 7 "no/such: No such file" "$TCPTOOL" listen QUIET -w 5 --port-file=no/such 127.0.0.1 0
}

@test "11: out of descriptors" {
	# a sanitizer's search for leaks wants descriptors, too
	export ASAN_OPTIONS=detect_leaks=0
	# one is left after stdin, stdout and stderr: the dynamic loader wants it, too
	for command in connect listen; do
		tells 11 "Too many open files" env ASAN_OPTIONS=detect_leaks=0 sh -c 'ulimit -n 4 && exec "$@"' sh \
			"$TCPTOOL" $command QUIET localhost 4000
	done
}

@test "11: no process for looking a name up: the line names the name" {
	need_strace
	for words in 'connect' 'connect --retry=300ms' 'listen'; do
		# shellcheck disable=SC2086
		tells 11 "look up localhost: Resource temporarily unavailable" \
			strace -f -o /dev/null -e trace=clone,?fork \
			-e inject=clone,?fork:error=EAGAIN "$TCPTOOL" $words QUIET localhost 4000
	done
}

@test "11: the poll set takes no more" {
	need_strace
	peer_bg peer -n 2 hold
	for when in 1 2; do
		returns 11 strace -o /dev/null -e trace=epoll_ctl -e "inject=epoll_ctl:error=ENOSPC:when=$when+" \
			"$TCPTOOL" connect 127.0.0.1 "$PORT"
		one_line err "Too many open files"
	done
}

@test "128+N: ended by a signal, and really by it" {
	peer_bg peer -n 3 send:x eof
	mkfifo in
	exec 5<>in
	for signal in TERM INT HUP; do
		IN=in start_bg "tool$signal" env --default-signal=INT,HUP "$TCPTOOL" connect 127.0.0.1 "$PORT"
		wait_for holds "tool$signal.out" x
		kill -$signal "${PIDS[tool$signal]}"
		ends $((128 + $(kill -l $signal))) "tool$signal"
		holds "tool$signal.err" ''
	done
	ends 0 peer
}

# kill_first SIGNAL NAME: sends it to the first process of NAME, which ends of it.
kill_first() {
	kill -"$1" "$FIRST"
	ends $((128 + $(kill -l "$1"))) "$2"
	holds "$2.err" ''
}

@test "128+N: process 1 of a container ends by a signal, connected or still connecting" {
	peer_bg peer -n 3 send:x eof
	connected=$PORT
	start_bg deaf "$HELPERS/fullbacklog" deaf.port
	wait_port deaf.port
	mkfifo in
	exec 5<>in
	for signal in TERM INT HUP; do
		IN=in first_bg tool env --default-signal=INT,HUP "$TCPTOOL" connect 127.0.0.1 "$connected"
		wait_for holds tool.out x
		kill_first $signal tool
		first_bg command env --default-signal=INT,HUP "$TCPTOOL" connect 127.0.0.1 "$PORT" -- true
		wait_for hears $signal
		stays 100 command
		kill_first $signal command
	done
}

# hears SIGNAL: the process of FIRST has a handler for it.
hears() {
	local caught
	caught=0x$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$FIRST/status")
	((caught >> ($(kill -l "$1") - 1) & 1))
}

@test "128+N: process 1 of a container ends by a signal while it checks, with a command to follow" {
	port=$("$HELPERS/peer" free)
	for signal in TERM INT HUP; do
		first_bg tool env --default-signal=INT,HUP "$TCPTOOL" connect -z --retry 127.0.0.1 "$port" -- true
		wait_for hears $signal
		stays 100 tool
		kill_first $signal tool
	done
}

@test "128+N: process 1 of a container ends by a signal while it listens, and before" {
	mkfifo fifo
	for signal in TERM INT HUP; do
		first_bg tool env --default-signal=INT,HUP "$TCPTOOL" listen -k --port-file=port 127.0.0.1 0
		wait_port port
		kill_first $signal tool
		rm port
		# the port file waits for a reader
		first_bg early env --default-signal=INT,HUP "$TCPTOOL" listen -k --port-file=fifo 127.0.0.1 0
		wait_for hears $signal
		stays 100 early
		kill_first $signal early
		# a trace does
		first_bg trace env --default-signal=INT,HUP "$TCPTOOL" connect --trace=fifo 127.0.0.1 1
		wait_for hears $signal
		stays 100 trace
		kill_first $signal trace
	done
}

@test "128+N: process 1 of a container ends by SIGPIPE like any filter, without a line" {
	mkfifo gone
	peer_bg peer flood
	exec 5<>gone
	OUT=gone first_bg tool env --default-signal=PIPE "$TCPTOOL" connect 127.0.0.1 "$PORT"
	head -c 1 <&5 >/dev/null
	exec 5<&-
	ends 141 tool
	holds tool.err ''
}

@test "128+N: signals that were inherited as blocked are heard, in every mode and before it begins" {
	peer_bg peer -n 3 send:x eof
	start_bg deaf "$HELPERS/fullbacklog" deaf.port
	wait_port deaf.port
	mkfifo in
	exec 5<>in
	for signal in TERM INT HUP; do
		blocked=(env --default-signal=INT --default-signal=HUP --block-signal="$signal")
		IN=in start_bg tool "${blocked[@]}" "$TCPTOOL" connect 127.0.0.1 "$(<peer.port)"
		wait_for holds tool.out x
		kill -$signal "${PIDS[tool]}"
		ends $((128 + $(kill -l $signal))) tool
		start_bg check "${blocked[@]}" "$TCPTOOL" connect -z 127.0.0.1 "$(<deaf.port)"
		stays 100 check
		kill -$signal "${PIDS[check]}"
		ends $((128 + $(kill -l $signal))) check
		rm -f listen.port
		start_bg listen "${blocked[@]}" "$TCPTOOL" listen -k --port-file=listen.port 127.0.0.1 0
		wait_port listen.port
		kill -$signal "${PIDS[listen]}"
		ends $((128 + $(kill -l $signal))) listen
		# it has come already
		# shellcheck disable=SC2016
		returns $((128 + $(kill -l $signal))) "${blocked[@]}" sh -c 'kill -'$signal' $$; exec "$@"' sh \
			"$TCPTOOL" listen -w 10 127.0.0.1 0
	done
}

@test "a signal that was inherited as ignored stays so" {
	peer_bg peer send:x rest:y send:z
	mkfifo in
	exec 5<>in
	IN=in start_bg tool env --ignore-signal=HUP,INT,TERM "$TCPTOOL" connect 127.0.0.1 "$PORT"
	wait_for holds tool.out x
	for signal in TERM INT HUP; do
		kill -$signal "${PIDS[tool]}"
	done
	printf y >in
	exec 5<&-
	ends 0 tool
	holds tool.out xz
}

@test "ended by a signal, it still writes its report, with the status that the caller sees" {
	peer_bg peer send:x hold
	mkfifo in
	exec 5<>in
	IN=in start_bg tool "$TCPTOOL" connect --report=report 127.0.0.1 "$PORT"
	wait_for holds tool.out x
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	[ "$(grep -c '"received":1,.*"status":143' report)" -eq 1 ]
}

@test "SIGSEGV does not give status 0" {
	peer_bg peer send:x hold
	start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	wait_for holds tool.out x
	kill -SEGV "${PIDS[tool]}"
	wait_for gone tool
	status=0
	wait "${PIDS[tool]}" || status=$?
	[ "$status" -ne 0 ]
}

# --- saying it -----------------------------------------------------------------------------------

@test "-v tells each step with addresses, -vv more, on stderr only" {
	peer_bg peer -n 3 rest:abc send:wxyz
	printf abc >data
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <data
	holds err ''
	returns 0 "$TCPTOOL" connect -v 127.0.0.1 "$PORT" <data
	holds out wxyz
	grep -q "^tcptool: connected to 127.0.0.1 port $PORT" err
	grep -q "sent 3 bytes.*received 4 bytes" err
	steps=$(wc -l <err)
	returns 0 "$TCPTOOL" connect -vv 127.0.0.1 "$PORT" <data
	holds out wxyz
	[ "$(wc -l <err)" -gt "$steps" ]
	grep -q "^tcptool: .*rtt" err
	fails grep -v "^tcptool: " err
}

@test "a lost stderr is no failure" {
	peer_bg peer -n 2 send:x
	returns 0 sh -c 'exec "$@" 2>/dev/full' sh "$TCPTOOL" connect -vv 127.0.0.1 "$PORT"
	holds out x
	mkfifo err.fifo
	start_bg reader head -c 0 err.fifo
	returns 0 sh -c 'exec "$@" 2>err.fifo' sh "$TCPTOOL" connect -vv 127.0.0.1 "$PORT"
	holds out x
}

@test "words of the command line are shown escaped, on one line" {
	bytes=$(for ((i = 1; i < 256; i++)); do printf '\\x%02x' "$i"; done)
	printf -v nasty '%b' "$bytes"
	for words in "$nasty" "connect|$nasty|80" "connect|127.0.0.1|$nasty" "connect|$nasty" \
		"connect|-w|$nasty|127.0.0.1|80" "connect|-s|$nasty|127.0.0.1|80" "connect|--$nasty" \
		"connect|-$nasty" "connect|--quit-after=$nasty|127.0.0.1|80" "connect|1|2|$nasty" \
		"listen|$nasty" "listen|[$nasty|80" "listen|--keepalive=$nasty|0" \
		"listen|-w|1|--port-file=$PWD/no/$nasty|127.0.0.1|0"; do
		# the bar itself is one of the bytes: split by hand
		list=()
		if [ "$words" = "$nasty" ]; then
			list=("$words")
		else
			rest=${words//"$nasty"/$'\177NASTY'}
			IFS='|' read -r -a list <<<"$rest"
			list=("${list[@]//$'\177NASTY'/$nasty}")
		fi
		status=0
		timeout 20 "$TCPTOOL" "${list[@]}" >out 2>err </dev/null || status=$?
		echo "status $status: ${list[*]:0:1}"
		[ "$status" -eq 2 ] || [ "$status" -eq 7 ]
		one_line err
		plain err
	done
}

@test "a very long word in a message is cut" {
	long=$(head -c 100000 /dev/zero | tr '\0' x)
	for words in "connect $long 80" "connect 127.0.0.1 $long" "connect -w $long 1 2" "$long" \
		"connect --$long" "connect -n $long 80" "listen -w 1 --port-file=/$long 127.0.0.1 0"; do
		status=0
		# shellcheck disable=SC2086
		timeout 20 "$TCPTOOL" $words >out 2>err </dev/null || status=$?
		[ "$status" -eq 2 ] || [ "$status" -eq 7 ]
		one_line err
		[ "$(wc -c <err)" -le 2000 ]
	done
}

@test "percent signs in a message are printed as they are" {
	returns 2 "$TCPTOOL" connect '%s%n%p%x' 80
	one_line err '%s%n%p%x'
	returns 7 "$TCPTOOL" listen -w 5 --port-file='no/%n%s' 127.0.0.1 0
	one_line err 'no/%n%s'
}
