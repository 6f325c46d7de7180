#!/usr/bin/env bats
# Guards COMMAND from both sides of a connection: all that it has sent arrives, whatever it left unread; its status
# is given, and is no success when bytes were lost; and what has to see the bytes sees them.

load helpers

# talk PORT STEP...: a client that does these steps.
talk() {
	local port=$1
	shift
	returns 0 "$HELPERS/peer" connect "$port" "$@"
}

# no_children NAME: a background command has none, not even one that waits to be reaped.
no_children() {
	! grep -q "^PPid:[[:space:]]*${PIDS[$1]}\$" /proc/[0-9]*/status 2>/dev/null
}

# The two ways in which a command is joined to a connection, as options: it has the socket itself, or its bytes are
# relayed, for one of the reasons there are.
DIRECT=--keepalive=60
RELAYED=--idle-timeout=1h

# --- all that it has sent arrives ----------------------------------------------------------------

@test "-k: an answer of 3,000,001 bytes to a request that is not read is whole, 20 of 20 times" {
	random answer 3000001
	for way in "$DIRECT" "$RELAYED"; do
		listen_bg tool -k "$way" 127.0.0.1 0 -- cat answer
		for ((i = 0; i < 20; i++)); do
			talk "$PORT" 'send:GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' sink:got
			cmp answer got
		done
		wait_for no_children tool
		holds tool.err ''
	done
}

@test "one connection: the same, to a client that reads slowly at first; the status is that of the command" {
	random answer 3000001
	for way in "$DIRECT" "$RELAYED"; do
		listen_bg tool "$way" 127.0.0.1 0 -c 'cat answer; touch over; exit 3'
		talk "$PORT" send:request wait:over pause:300 sink:got
		cmp answer got
		ends 3 tool
		holds tool.err ''
		rm over
	done
}

@test "a peer that goes on sending, long after the command has ended, gets all of the answer" {
	random answer 300001
	random request 5000000
	for way in "$DIRECT" "$RELAYED"; do
		listen_bg tool -k "$way" 127.0.0.1 0 -c 'cat answer; touch over'
		# more than any buffer holds, from before its end until after it
		talk "$PORT" file:request wait:over file:request shut sink:got
		cmp answer got
		rm over
		# an answer that is acknowledged at once, while the peer is in the middle of its request
		listen_bg short -k "$way" 127.0.0.1 0 -- echo short
		talk "$PORT" file:request file:request file:request shut 'rest:short\n'
	done
}

@test "connect: what is sent to a server whose banner is not read arrives whole" {
	random sent 4200000
	random banner 3000000
	for way in "$DIRECT" "$RELAYED"; do
		peer_bg peer send:banner sink:got
		returns 0 "$TCPTOOL" connect "$way" 127.0.0.1 "$PORT" -- cat sent
		ends 0 peer
		cmp sent got
		# a server that sends more than fits into any buffer, before it reads
		peer_bg peer file:banner shut sink:got
		returns 5 "$TCPTOOL" connect "$way" 127.0.0.1 "$PORT" -c 'cat sent; exit 5'
		ends 0 peer
		cmp sent got
		holds err ''
	done
}

@test "half-close: what a command answers to an end-of-file arrives, and its own end reaches the peer" {
	random sent 3000000
	for way in "$DIRECT" "$RELAYED"; do
		listen_bg tool -k "$way" 127.0.0.1 0 -c 'sha256sum'
		talk "$PORT" file:sent shut "rest:$(sha256sum <sent)\\n"
	done
}

# --- what it leaves behind ------------------------------------------------------------------------

@test "a process that the command has left behind with the connection still answers" {
	for way in "$DIRECT" "$RELAYED"; do
		for mode in -k --backlog=10; do
			rm -f go
			listen_bg tool "$mode" "$way" 127.0.0.1 0 -c '
				exec 3<&0; (until [ -e go ]; do "$HELPERS/pause" 10; done; cat <&3; echo late) & echo soon; exit 4'
			talk "$PORT" 'expect:soon\n' quiet:300 touch:go send:word shut 'rest:wordlate\n'
			[ "$mode" = -k ] || ends 4 tool
			[ "$mode" != -k ] || wait_for no_children tool
		done
		rm -f go
		peer_bg peer 'expect:soon\n' quiet:300 touch:go send:word shut 'rest:wordlate\n'
		returns 4 "$TCPTOOL" connect "$way" 127.0.0.1 "$PORT" -c '
			exec 3<&0; (until [ -e go ]; do "$HELPERS/pause" 10; done; cat <&3; echo late) & echo soon; exit 4'
		ends 0 peer
	done
}

@test "a process that was left behind without the connection does not keep it open" {
	for way in "$DIRECT" "$RELAYED"; do
		rm -f go pid
		listen_bg tool -k "$way" 127.0.0.1 0 -c '
			(exec <&- >&-; until [ -e go ]; do "$HELPERS/pause" 10; done) & echo $! >pid; echo soon'
		talk "$PORT" 'rest:soon\n'
		kill -0 "$(<pid)"
		touch go
		wait_for no_children tool
		rm -f go pid
		peer_bg peer 'rest:soon\n'
		returns 0 "$TCPTOOL" connect "$way" 127.0.0.1 "$PORT" -c '
			(exec <&- >&-; until [ -e go ]; do "$HELPERS/pause" 10; done) & echo $! >pid; echo soon'
		ends 0 peer
		kill -0 "$(<pid)"
		touch go
	done
}

# --- its status -----------------------------------------------------------------------------------

@test "the status of a relayed command is given as that of any other: 0, 3, 126, 127, a signal" {
	for command in 'cat:0' 'cat; exit 3:3' 'exec ./plain:126' 'exec ./none:127' 'cat; kill -KILL $$:137'; do
		touch plain
		listen_bg tool "$RELAYED" 127.0.0.1 0 -c "${command%:*}"
		talk "$PORT" shut eof
		ends "${command#*:}" tool
		peer_bg peer shut eof
		returns "${command#*:}" "$TCPTOOL" connect "$RELAYED" 127.0.0.1 "$PORT" -c "${command%:*}"
		ends 0 peer
	done
	returns 127 "$TCPTOOL" listen "$RELAYED" 127.0.0.1 0 -- ./none
	returns 126 "$TCPTOOL" connect "$RELAYED" 127.0.0.1 "$PORT" -- ./plain
}

@test "a command that succeeded is no success when a reset came before all was acknowledged" {
	random sent 100000
	for way in "$DIRECT" "$RELAYED"; do
		# a small window: the rest waits on this side
		listen_bg tool "$way" 127.0.0.1 0 -c 'cat sent; touch over'
		start_bg peer "$HELPERS/peer" -r 2048 connect "$PORT" wait:over pause:100 reset
		ends 0 peer
		ends 1 tool
		one_line tool.err 'connection from 127.0.0.1 port'
		grep -q 'not acknowledged: [1-9]' tool.err
		rm over
		peer_bg peer -r 2048 wait:over pause:100 reset
		returns 1 "$TCPTOOL" connect "$way" 127.0.0.1 "$PORT" -c 'cat sent; touch over'
		ends 0 peer
		one_line err 'connection to 127.0.0.1 port'
		rm over
	done
}

@test "a reset while the command waits for input ends a relayed one, with status 1" {
	listen_bg tool "$RELAYED" 127.0.0.1 0 -- cat
	talk "$PORT" send:x expect:x reset
	ends 1 tool
	one_line tool.err 'Connection reset by peer'
	listen_bg tool -k "$RELAYED" 127.0.0.1 0 -- cat
	talk "$PORT" send:x expect:x reset
	wait_for no_children tool
	talk "$PORT" send:y shut rest:y
}

# --- what has to see the bytes sees them ----------------------------------------------------------

@test "-x, -o and --report tell of a command's bytes, in listen and in connect" {
	listen_bg tool -k -x --report=report 127.0.0.1 0 -c 'read -r line; echo "got $line"'
	talk "$PORT" 'send:hello\n' 'rest:got hello\n'
	wait_for test -s report
	grep -q '"sent":10,"received":6,"sent_end":"eof",.*"status":0' report
	grep -q '< .*|hello' tool.err
	grep -q '> .*|got hello' tool.err
	peer_bg peer 'send:hello\n' 'rest:got hello\n'
	returns 0 "$TCPTOOL" connect -o trace --report 127.0.0.1 "$PORT" -c 'read -r line; echo "got $line"'
	ends 0 peer
	grep -q 'got hello' trace
	one_line_of_json err
	# input that is left unread is no failure of any kind
	peer_bg peer 'send:hello\n' 'rest:unasked\n'
	returns 0 "$TCPTOOL" connect --report 127.0.0.1 "$PORT" -c 'dd bs=1 count=1 2>&- >&2; echo unasked'
	ends 0 peer
	tail -n 1 err >report
	one_line_of_json report
	grep -q '"sent_end":"eof"' report
}

@test "-v and SIGUSR1 tell how many bytes a command with the socket itself has sent and received" {
	listen_bg tool -kv 127.0.0.1 0 -c 'read -r line; echo "got $line"; cat >read'
	start_bg peer "$HELPERS/peer" connect "$PORT" 'send:hello\n' 'expect:got hello\n' touch:there wait:go shut eof
	wait_for test -e there
	kill -USR1 "${PIDS[tool]}"
	wait_for grep -q '"sent":10,"received":6,' tool.err
	touch go
	ends 0 peer
	wait_for grep -q ': sent 10 bytes, received 6 bytes in ' tool.err
}

# one_line_of_json FILE: it is one, of a connection that ended well.
one_line_of_json() {
	[ "$(wc -l <"$1")" -eq 1 ] && grep -q '^{.*"status":0' "$1"
}

@test "-C and -t shape what a command sends and receives" {
	listen_bg tool -k -C 127.0.0.1 0 -c 'echo one; echo two'
	talk "$PORT" 'rest:one\r\ntwo\r\n'
	listen_bg tool -k -t 127.0.0.1 0 -- cat
	# DO ECHO is refused, and never reaches the command
	talk "$PORT" 'send:a\xff\xfd\x01b' 'expect:' gulp:5 shut eof
	peer_bg peer 'expect:one\r\n' eof
	returns 0 "$TCPTOOL" connect --crlf 127.0.0.1 "$PORT" -- echo one
	ends 0 peer
}

@test "--limit-rate, --delay and --chunk lose nothing of what a command sends" {
	random sent 300001
	for option in --limit-rate=1M --chunk=1000 --delay=1ms; do
		listen_bg tool "$option" 127.0.0.1 0 -- cat sent
		talk "$PORT" send:unread sink:got
		cmp sent got
		ends 0 tool
		peer_bg peer send:unread sink:got
		returns 0 "$TCPTOOL" connect "$option" 127.0.0.1 "$PORT" -- cat sent
		ends 0 peer
		cmp sent got
	done
}

@test "--send-only: the command's bytes arrive, it finds no input, and the peer is not reset" {
	random sent 3000001
	random request 3000000
	listen_bg tool --send-only 127.0.0.1 0 -c 'cat >read; cat sent'
	talk "$PORT" file:request shut sink:got
	ends 0 tool
	cmp sent got
	[ ! -s read ]
	peer_bg peer file:request sink:got
	returns 0 "$TCPTOOL" connect --send-only 127.0.0.1 "$PORT" -- cat sent
	ends 0 peer
	cmp sent got
}

@test "-i ends a command between whose bytes nothing comes, and tells it" {
	listen_bg tool -i 300ms 127.0.0.1 0 -c 'trap "echo told >told; exit" TERM; while :; do "$HELPERS/pause" 20; done'
	talk "$PORT" send:x eof
	ends 5 tool
	one_line tool.err --idle-timeout
	wait_for test -s told
	peer_bg peer send:x expect:x eof
	returns 5 "$TCPTOOL" connect -i 300ms 127.0.0.1 "$PORT" -- cat
	ends 0 peer
}

@test "-q: after the peer's end the command has so long to go on, and no longer" {
	listen_bg tool -k -q 0 127.0.0.1 0 -c 'cat; while echo more; do "$HELPERS/pause" 20; done'
	talk "$PORT" send:x shut sink
	wait_for no_children tool
	listen_bg slow -k -q 1h 127.0.0.1 0 -c 'cat; "$HELPERS/pause" 300; echo more'
	talk "$PORT" send:x shut 'rest:xmore\n'
}

# --- how many, and how it ends --------------------------------------------------------------------

@test "-m counts the commands, and a connection whose bytes are still on their way" {
	for way in "$DIRECT" "$RELAYED"; do
		rm -f one two go over
		listen_bg tool -k -m 1 "$way" 127.0.0.1 0 -c 'echo hi; cat'
		start_bg one "$HELPERS/peer" connect "$PORT" 'expect:hi\n' touch:one wait:go shut eof
		wait_for test -e one
		start_bg two "$HELPERS/peer" connect "$PORT" 'expect:hi\n' touch:two shut eof
		stays 200 one two
		[ ! -e two ]
		touch go
		ends 0 one
		ends 0 two
		wait_for no_children tool
	done
}

@test "SIGTERM to the listener reaches each command, relayed or not, and nothing waits for them" {
	for way in "$DIRECT" "$RELAYED"; do
		rm -f told.* there.*
		listen_bg tool -k "$way" 127.0.0.1 0 -c '
			trap "touch told.$TCPREMOTEPORT; exit" TERM; echo x; while :; do "$HELPERS/pause" 20; done'
		for i in 1 2 3; do
			start_bg "c$i" "$HELPERS/peer" connect "$PORT" 'expect:x\n' touch:"there.$i" sink
			wait_for test -e "there.$i"
		done
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
		wait_for are_told 3
		holds tool.err ''
		for i in 1 2 3; do
			ends 0 "c$i"
		done
	done
}

# are_told COUNT: so many commands have noticed the signal.
are_told() {
	[ "$(compgen -G 'told.*' | wc -l)" -eq "$1" ]
}

@test "--deadline ends relayed commands and those that have ended while bytes are on their way" {
	random sent 10000000
	for way in "$DIRECT" "$RELAYED"; do
		listen_bg tool --deadline=1 "$way" 127.0.0.1 0 -- cat sent
		# it reads nothing until then
		start_bg peer "$HELPERS/peer" -r 4096 connect "$PORT" hold
		ends 5 tool
		one_line tool.err --deadline
		kill "${PIDS[peer]}"
		ends 143 peer
		peer_bg peer hold
		returns 5 "$TCPTOOL" connect --deadline=300ms "$way" 127.0.0.1 "$PORT" -- cat
		one_line err --deadline
		kill "${PIDS[peer]}"
		ends 143 peer
	done
}

@test "no command stays a zombie, and no descriptor is left, after many of either way" {
	for way in "$DIRECT" "$RELAYED"; do
		listen_bg tool -k "$way" 127.0.0.1 0 -c 'sh -c "exit 0" & echo x'
		before=$(find "/proc/${PIDS[tool]}/fd" | wc -l)
		returns 0 "$HELPERS/peer" -n 50 connect "$PORT" 'rest:x\n'
		wait_for no_children tool
		wait_for descriptors_are "$before"
	done
}

descriptors_are() {
	[ "$(find "/proc/${PIDS[tool]}/fd" | wc -l)" -le "$1" ]
}

@test "a command reads the terminal by /dev/tty, and is not stopped for it" {
	need_terminal
	for way in "$DIRECT" "$RELAYED"; do
		peer_bg peer 'send:who\n' 'rest:who typed\n'
		returns 0 "$HELPERS/pty" -i see:ready 'type:typed\n' -- "$TCPTOOL" connect "$way" 127.0.0.1 "$PORT" \
			-c 'read -r asked; echo ready >/dev/tty; read -r answer </dev/tty; echo "$asked $answer"'
		ends 0 peer
	done
}
