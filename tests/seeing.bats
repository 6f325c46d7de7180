#!/usr/bin/env bats
# Guards what is told about a connection: --report, SIGUSR1, --progress, -v and -vv. (Traces: trace.bats.)

load helpers

schema=$BATS_TEST_DIRNAME/../examples/report.schema.json

# member KEY... <FILE: a member of the report.
member() {
	"$HELPERS/json" get "$@"
}

# is VALUE KEY...: that member of the file report is VALUE.
is() {
	local value=$1
	shift
	[ "$(member "$@" <report)" = "$value" ] || {
		echo "$* is '$(member "$@" <report)', not '$value'"
		return 1
	}
}

# --- reports -------------------------------------------------------------------------------------

@test "--report: one line of JSON, valid by its schema, and true" {
	peer_bg peer expect:question send:answer rest:
	returns 0 "$TCPTOOL" connect --report=report 127.0.0.1 "$PORT" < <(printf question)
	"$HELPERS/json" schema "$schema" <report
	[ "$(wc -l <report)" -eq 1 ]
	is connect role
	is 127.0.0.1 host
	is "$PORT" port
	is "$PORT" peer port
	is 127.0.0.1 local address
	is 8 sent
	is 6 received
	is eof sent_end
	is eof received_end
	is 0 status
	[ "$(member tcp bytes_acked <report)" -ge 8 ]
	is - error
	# the durations are parts of one another
	for key in connect_ms first_byte_ms; do
		awk -v part="$(member $key <report)" -v all="$(member duration_ms <report)" \
			'BEGIN { exit !(part >= 0 && part <= all) }'
	done
}

@test "--report: the time is when the connection began, in UTC" {
	peer_bg peer send:hello wait:go eof
	before=$(date -u +%FT%T.%6NZ)
	start_bg tool "$TCPTOOL" connect --report=report 127.0.0.1 "$PORT"
	wait_for holds tool.out hello
	wait_for reported_live
	after=$(date -u +%FT%T.%6NZ)
	touch go
	ends 0 tool
	time=$(member time <report)
	[[ $time =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$ ]]
	[[ ! $time < $before && ! $time > $after ]]
}

# reported_live: the background command tool has told of its session on stderr when it was asked to.
reported_live() {
	kill -USR1 "${PIDS[tool]}" && [ -s tool.err ]
}

@test "--report appends to its file, and two runs at a time lose no line of each other" {
	echo '{"kept":1}' >log
	for name in one two; do
		listen_bg $name -k --recv-only --report=log 127.0.0.1 0
		ports+=("$PORT")
		returns 0 "$HELPERS/peer" connect "$PORT" send:x shut eof
		wait_for lines $((${#ports[@]} + 1)) log
	done
	for i in 2 3; do
		for port in "${ports[@]}"; do
			start_bg "client$i$port" "$HELPERS/peer" connect "$port" send:x shut eof
		done
		for port in "${ports[@]}"; do ends 0 "client$i$port"; done
	done
	wait_for lines 7 log
	[ "$(head -n 1 log)" = '{"kept":1}' ]
	tail -n +2 log | "$HELPERS/json" schema "$schema"
	for port in "${ports[@]}"; do
		[ "$(grep "\"local\":{\"address\":\"127.0.0.1\",\"port\":$port}" log | member connection | tr '\n' ' ')" = '1 2 3 ' ]
	done
}

@test "--report: the name of a descriptor means that descriptor, and nothing written to it is lost" {
	for name in - /dev/stdout /dev/fd/1 /proc/self/fd/1 /proc/thread-self/fd/1; do
		rm -f tool.out
		listen_bg tool -k --recv-only --report=$name 127.0.0.1 0
		for i in 1 2 3; do
			returns 0 "$HELPERS/peer" connect "$PORT" "send:received " shut eof
			wait_for lines $i tool.out
		done
		kill "${PIDS[tool]}"
		ends 143 tool
		[ "$(grep -c '^received {.*}$' tool.out)" -eq 3 ]
		sed 's/^received //' tool.out | "$HELPERS/json" schema "$schema"
	done
	for name in /dev/stderr /dev/fd/7 /proc/self/fd/7; do
		echo kept >log
		peer_bg peer expect:question send:answer rest:
		# shellcheck disable=SC2016 # the inner shell expands it
		returns 0 bash -c 'exec "$@" 2>>log 7>&2' bash "$TCPTOOL" connect -v --report=$name 127.0.0.1 "$PORT" \
			< <(printf question)
		holds out answer
		[ "$(head -n 1 log)" = kept ]
		grep '^{' log >report
		"$HELPERS/json" schema "$schema" <report
		grep -q '^tcptool: connection to .*: sent 8 bytes' log
	done
}

@test "--report without a file goes to stderr, one line a connection" {
	listen_bg tool -k --report --greet=hi 127.0.0.1 0
	for i in 1 2 3; do
		returns 0 "$HELPERS/peer" connect "$PORT" 'expect:hi\0' 'send:x\0' rest:
	done
	wait_for lines 3 tool.err
	"$HELPERS/json" schema "$schema" <tool.err
	[ "$(member connection <tool.err | tr '\n' ' ')" = '1 2 3 ' ]
	[ "$(member role <tool.err | sort -u)" = listen ]
}

lines() {
	[ "$(wc -l <"$2")" -eq "$1" ]
}

@test "--report tells failures as well: refused, reset, out of time" {
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect --report=report 127.0.0.1 "$port"
	"$HELPERS/json" schema "$schema" <report
	is 4 status
	is null tcp
	[[ $(member error <report) == *"Connection refused" ]]
	grep -qF '"tried":[{"address":"127.0.0.1","port":'"$port"',"result":"Connection refused"' report

	rm report
	peer_bg peer send:bye reset
	returns 1 "$TCPTOOL" connect --report=report --recv-only 127.0.0.1 "$PORT"
	"$HELPERS/json" schema "$schema" <report
	is 1 status
	is 3 received
	is 'Connection reset by peer' received_end

	rm report
	peer_bg silent hold
	returns 5 "$TCPTOOL" connect --report=report -i 300ms --recv-only 127.0.0.1 "$PORT"
	"$HELPERS/json" schema "$schema" <report
	is 5 status
	is open received_end
}

@test "--report of a forwarder names the upstream that was reached" {
	listen_bg upstream -k 127.0.0.1 0 -- cat
	upstream=$PORT
	listen_bg tool -k --report=report -F "127.0.0.1:$upstream" 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" send:hello shut rest:hello
	wait_for test -s report
	"$HELPERS/json" schema "$schema" <report
	is 127.0.0.1 forward_host
	is "$upstream" forward_port
	is 5 sent
	is 5 received
}

@test "--report: what the kernel has forgotten, as it does with -O mptcp, is null and not zero" {
	[ "$(cat /proc/sys/net/mptcp/enabled 2>/dev/null)" = 1 ] || skip "no MPTCP here"
	for _ in 1 2 3 4 5; do
		listen_bg tool -O mptcp --report 127.0.0.1 0
		returns 0 "$TCPTOOL" connect -O mptcp --report 127.0.0.1 "$PORT" < <(printf hello)
		ends 0 tool
		cat err tool.err >>reports
	done
	"$HELPERS/json" schema "$schema" <reports
	[ "$(wc -l <reports)" -eq 10 ]
	fails grep '"rtt_us":0,' reports
}

@test "a report that cannot be written is a failure, told in one line" {
	peer_bg peer expect:x send:y eof
	returns 7 "$TCPTOOL" connect --report=/dev/full 127.0.0.1 "$PORT" < <(printf x)
	holds out y
	one_line err 'report: No space left on device'
	returns 7 "$TCPTOOL" connect --report=no/such/file 127.0.0.1 1
	one_line err 'report no/such/file: No such file or directory'
}

@test "a report or an output that may not grow any more is a failure, too, and not the death by a signal" {
	random noise 300000
	peer_bg peer expect:x send:y eof
	# not even the line that tells of it can be written
	returns 7 bash -c 'ulimit -f 0; exec "$@"' bash "$TCPTOOL" connect --report=report 127.0.0.1 "$PORT" \
		< <(printf x)
	holds report ''
	peer_bg other file:noise hold
	returns 7 bash -c 'ulimit -f 100; exec "$@"' bash "$TCPTOOL" connect 127.0.0.1 "$PORT"
	one_line err 'write to stdout: File too large'
	[ "$(stat -c %s out)" -eq 102400 ]
}

@test "SIGUSR1: a report of each live session on stderr, which goes on" {
	peer_bg peer send:hello expect:more send:bye eof
	mkfifo in
	exec 5<>in
	IN=in start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	wait_for holds tool.out hello
	kill -USR1 "${PIDS[tool]}"
	wait_for test -s tool.err
	cp tool.err report
	"$HELPERS/json" schema "$schema" <report
	is 5 received
	is open received_end
	printf more >&5
	exec 5>&-
	ends 0 tool
	ends 0 peer
	holds tool.out hellobye
}

@test "SIGUSR1 of a server: a line for each connection that lives" {
	listen_bg upstream -k 127.0.0.1 0 -- cat
	listen_bg tool -k -F "127.0.0.1:$PORT" 127.0.0.1 0
	for i in 1 2 3; do
		start_bg "client$i" "$HELPERS/peer" connect "$PORT" send:x expect:x "touch:there$i" hold
	done
	for i in 1 2 3; do wait_for test -e "there$i"; done
	kill -USR1 "${PIDS[tool]}"
	wait_for lines 3 tool.err
	"$HELPERS/json" schema "$schema" <tool.err
	[ "$(member received <tool.err | sort -u)" = 1 ]
}

# --- the meter -----------------------------------------------------------------------------------

@test "--progress: a meter on the terminal, with share and time left, and a last line" {
	need_terminal
	random file 3000000
	peer_bg peer sink
	returns 0 "$HELPERS/pty" -- bash -c '"$0" connect --progress --limit-rate=4M 127.0.0.1 "$1" <file 2>&1 >/dev/null' \
		"$TCPTOOL" "$PORT"
	tr '\r' '\n' <out >shown
	grep -qE 'sent 2\.9 MiB, received 0 bytes, .*iB/s, 0:0[0-9]' shown
	grep -qE '[0-9]+%, 0:0[0-9] left' shown
	# the last line stays, the others are written over
	[ "$(grep -c . <(tr -d '\r' <out))" -eq 1 ]
}

@test "--progress: no share and no time left of a stdin that is not read" {
	need_terminal
	random file 3000000
	for option in --recv-only --send=hello; do
		peer_bg peer expect:"$([ $option = --recv-only ] || echo hello)" wait:go close
		# shellcheck disable=SC2016 # the inner shell expands it
		returns 0 "$HELPERS/pty" see:'sent' see:'0:01' touch:go -- \
			bash -c '"$0" connect --progress "$1" 127.0.0.1 "$2" <file 2>&1 >/dev/null' \
			"$TCPTOOL" $option "$PORT"
		grep -q 'received' out
		fails grep -q 'left' out
		rm go
	done
}

# lines_shown: what the terminal has shown, without the control characters, one line for each new beginning.
lines_shown() {
	tr '\r' '\n' <out | sed 's/\x1b\[K//'
}

@test "--progress: what is said on stderr gets lines of its own" {
	need_terminal
	peer_bg peer send:hello wait:go reset
	# shellcheck disable=SC2016 # the inner shell expands it
	returns 1 "$HELPERS/pty" see:sent kill:10 see:'"connection":1' touch:go -- \
		bash -c 'exec "$0" connect -v --progress 127.0.0.1 "$1" 2>&1 >/dev/null' "$TCPTOOL" "$PORT"
	lines_shown | grep '^{' | "$HELPERS/json" schema "$schema"
	lines_shown | grep -q '^tcptool: connection to .*: Connection reset by peer$'
	lines_shown | grep -q '^tcptool: connection to .*: sent 0 bytes, received 5 bytes in '
	# nothing is drawn behind the last line
	lines_shown | grep . | tail -n 1 | grep -q '^tcptool: '
}

@test "--progress draws no more than ten times a second" {
	need_terminal
	random file 2000000
	peer_bg peer sink
	returns 0 "$HELPERS/pty" -- bash -c '"$0" connect --progress --report=report --limit-rate=2M 127.0.0.1 "$1" <file 2>&1 >/dev/null' \
		"$TCPTOOL" "$PORT"
	awk -v drawn="$(tr -cd '\r' <out | wc -c)" -v ms="$(member duration_ms <report)" \
		'BEGIN { exit !(drawn >= 2 && drawn <= ms / 100 + 3) }'
}

@test "--progress is cut to the width of the terminal" {
	need_terminal
	random file 2000000
	peer_bg peer sink
	returns 0 "$HELPERS/pty" -- bash -c 'stty cols 30; "$0" connect --progress --limit-rate=4M 127.0.0.1 "$1" <file 2>&1 >/dev/null' \
		"$TCPTOOL" "$PORT"
	tr '\r' '\n' <out | sed 's/\x1b\[K//' >shown
	grep -q 'sent' shown
	awk 'length($0) > 29 { exit 1 }' shown
}

@test "--progress says nothing where stderr is no terminal" {
	peer_bg peer sink
	returns 0 "$TCPTOOL" connect --progress 127.0.0.1 "$PORT" < <(printf hello)
	holds err ''
}

# --- -v and -vv ----------------------------------------------------------------------------------

@test "-v: what was moved, how long it took and how fast, as people say it" {
	random file 300000
	peer_bg peer file:file sink
	returns 0 "$TCPTOOL" connect -v 127.0.0.1 "$PORT" <file
	grep -qE '^tcptool: connection to 127\.0\.0\.1 port [0-9]+: sent 293\.0 KiB, received 293\.0 KiB in [0-9.]+ (us|ms|s), [0-9.]+ [KMG]iB/s$' err
}

@test "-vv: every address with its result and milliseconds" {
	need_ipv6
	printf '::1 both.test\n127.0.0.1 both.test\n' >hosts
	echo 'hosts: files' >nsswitch
	make_network -b "$PWD/hosts:/etc/hosts" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	start_bg peer "${NET[@]}" "$HELPERS/peer" listen port expect:x eof
	wait_port port
	returns 0 "${NET[@]}" "$TCPTOOL" connect -vv both.test "$PORT" < <(printf x)
	grep -qE '::1 port [0-9]+: Connection refused .*[0-9.]+ ms' err
	grep -qE '127\.0\.0\.1 port [0-9]+: connected .*[0-9.]+ ms' err
	grep -qE 'rtt' err
}

@test "-vv: which side ended first, and how" {
	peer_bg peer send:bye shut eof
	mkfifo in
	exec 5<>in
	IN=in start_bg tool "$TCPTOOL" connect -vv 127.0.0.1 "$PORT"
	wait_for holds tool.out bye
	exec 5>&-
	ends 0 tool
	grep -q 'the peer ended first' tool.err
	peer_bg other rest: send:bye
	returns 0 "$TCPTOOL" connect -vv 127.0.0.1 "$PORT" </dev/null
	grep -q 'this side ended first' err
	peer_bg third send:bye reset
	returns 1 "$TCPTOOL" connect -vv --recv-only 127.0.0.1 "$PORT"
	grep -q 'from the peer Connection reset by peer' err
}
