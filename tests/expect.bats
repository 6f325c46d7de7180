#!/usr/bin/env bats
# Guards the health checks in one line: --send, --expect, and --check with --settle.

load helpers

@test "--send and --expect: 0 on a match, and the connection ends politely" {
	peer_bg peer expect:'PING\r\n' send:'+PONG\r\n' eof
	returns 0 "$TCPTOOL" connect --send='PING\r\n' --expect='^\+PONG' 127.0.0.1 "$PORT"
	holds out ''
	holds err ''
	ends 0 peer
}

@test "--expect alone waits for what the peer says first" {
	peer_bg peer send:'220 mail ready\r\n' eof
	returns 0 "$TCPTOOL" connect --expect='^220 ' 127.0.0.1 "$PORT"
}

@test "--send alone sends the text in place of stdin" {
	peer_bg peer rest:'a\tb\0c\xff' send:back
	returns 0 "$TCPTOOL" connect --send='a\tb\0c\xff' 127.0.0.1 "$PORT" < <(printf ignored)
	holds out back
	ends 0 peer
}

@test "no match before the end: status 10, with what was received instead, escaped" {
	peer_bg peer send:'-ERR \x1b[31mno\n'
	returns 10 "$TCPTOOL" connect --expect=PONG 127.0.0.1 "$PORT"
	one_line err "expected 'PONG', received '-ERR \\x1b[31mno\\n'"
	peer_bg mute shut
	returns 10 "$TCPTOOL" connect --expect=PONG 127.0.0.1 "$PORT"
	one_line err "nothing was received, expected 'PONG'"
}

@test "what was received is shortened in the message" {
	head -c 5000 /dev/zero | tr '\0' x >long
	peer_bg peer file:long shut
	returns 10 "$TCPTOOL" connect --expect=y 127.0.0.1 "$PORT"
	one_line err "received 'xxxx"
	[ "$(wc -c <err)" -lt 300 ]
}

@test "a match may span any number of reads" {
	peer_bg peer dribble:5:'all systems are go\n' eof
	returns 0 "$TCPTOOL" connect --expect='systems.*go' 127.0.0.1 "$PORT"
}

@test "a match behind much else is found" {
	random noise 30000000
	printf 'needle-in-a-haystack' >needle
	peer_bg peer file:noise file:needle eof
	returns 0 "$TCPTOOL" connect --expect=needle-in-a-haystack 127.0.0.1 "$PORT"
}

@test "NUL bytes do not hide what comes behind them" {
	peer_bg peer send:'\0\0\0ready' eof
	returns 0 "$TCPTOOL" connect --expect=ready 127.0.0.1 "$PORT"
}

@test "-i and --deadline end the wait with status 5" {
	peer_bg peer send:hm hold
	returns 5 "$TCPTOOL" connect --expect=ready -i 300ms 127.0.0.1 "$PORT"
	one_line err 'no byte'
	peer_bg other send:hm hold
	returns 5 "$TCPTOOL" connect --expect=ready --deadline=300ms 127.0.0.1 "$PORT"
	one_line err 'deadline'
}

@test "-w bounds getting the connection, as ever" {
	start_bg full "$HELPERS/fullbacklog" full.port
	wait_port full.port
	returns 5 "$TCPTOOL" connect --expect=ready -w 300ms 127.0.0.1 "$PORT"
}

@test "a reset before the match is a loss, one behind it does no harm" {
	peer_bg peer send:hm reset
	returns 1 "$TCPTOOL" connect --expect=ready 127.0.0.1 "$PORT"
	one_line err 'Connection reset by peer'
	peer_bg other send:ready reset
	returns 0 "$TCPTOOL" connect --expect=ready 127.0.0.1 "$PORT"
}

@test "once the answer has come nothing else matters, not even what the peer has not read" {
	peer_bg deaf -r 4096 send:ready hold
	returns 0 "$TCPTOOL" connect --deadline=5 --send="$(head -c 100000 /dev/zero | tr '\0' x)" --expect=ready 127.0.0.1 "$PORT"
	[ ! -s err ]
}

@test "a peer that talks before it has read what is sent blocks nothing" {
	random much 4000000
	peer_bg peer -r 4096 file:much shut sink
	returns 10 "$TCPTOOL" connect --send="$(head -c 100000 /dev/zero | tr '\0' x)" --expect='^never$' 127.0.0.1 "$PORT"
	one_line err "expected '^never\$'"
}

@test "--deadline ends it, though the peer never stops talking and the pattern is a slow one" {
	tr '\0' x </dev/zero | head -c 50000000 >much
	for pattern in 'nomatch[0-9]' '[a-z]+ready' '(x|z)+1'; do
		peer_bg peer flood
		returns 5 "$TCPTOOL" connect --expect="$pattern" --deadline=0.5 127.0.0.1 "$PORT"
		one_line err --deadline
		peer_bg peer file:much hold
		returns 5 "$TCPTOOL" connect --expect="$pattern" --deadline=0.5 127.0.0.1 "$PORT"
	done
	# one byte at a time behind what takes long to look through
	peer_bg peer "send:$(head -c 8000 /dev/zero | tr '\0' x)" "dribble:1:$(head -c 20000 /dev/zero | tr '\0' x)"
	returns 5 "$TCPTOOL" connect --expect='[a-z]+ready' --deadline=0.5 127.0.0.1 "$PORT"
}

@test "a reset that sending meets is a loss, and no answer that was not met" {
	peer_bg peer -r 4096 pause:300 reset
	returns 1 "$TCPTOOL" connect -O sndbuf=4k --send="$(head -c 100000 /dev/zero | tr '\0' x)" \
		--expect=OK --deadline=10 127.0.0.1 "$PORT"
	one_line err 'reset by peer'
}

@test "bad texts and patterns are usage errors before a connection is made" {
	returns 2 "$TCPTOOL" connect --expect='a(' 127.0.0.1 1
	one_line err "--expect: 'a('"
	returns 2 "$TCPTOOL" connect --send='\q' 127.0.0.1 1
	one_line err "--send: '\\q' has an escape that does not exist"
}

# --- --settle ------------------------------------------------------------------------------------

@test "-z --settle: a peer that accepts and then closes or resets is dropped" {
	peer_bg stays hold
	stays=$PORT
	peer_bg closes close
	closes=$PORT
	peer_bg resets reset
	resets=$PORT
	returns 1 "$TCPTOOL" connect -z --settle=500ms 127.0.0.1:"$stays" 127.0.0.1:"$closes" 127.0.0.1:"$resets"
	awk '{ print $3 }' out >states
	holds states 'open\ndropped\ndropped\n'
}

@test "-z --settle: a service that speaks first is open" {
	peer_bg peer send:hello hold
	returns 0 "$TCPTOOL" connect -z --settle=200ms 127.0.0.1 "$PORT"
	grep -q ' open ' out
}

@test "-z --settle --retry: waits for a service that stays" {
	peer_bg first -p "$("$HELPERS/peer" free)" close
	port=$PORT
	start_bg check "$TCPTOOL" connect -z --settle=200ms --retry=15 127.0.0.1 "$port"
	ends 0 first
	start_bg second "$HELPERS/peer" -p "$port" -n 50 listen second.port hold
	ends 0 check
	grep -q ' open ' check.out
}

@test "-z --settle --retry: a reset of the first connection does not make the later refusals connections" {
	need_strace
	peer_bg peer reset
	# it has been reset by the time that it is looked at
	returns 4 strace -o /dev/null -e trace=getsockopt -e inject=getsockopt:delay_enter=300000 \
		"$TCPTOOL" connect -z --settle=100ms --retry=2 127.0.0.1 "$PORT"
	holds out "127.0.0.1 $PORT closed\n"
	ends 0 peer
}

@test "-z --settle: a peer that never pauses is open, once it has settled" {
	need_strace
	peer_bg peer send:x hold
	# there is always another byte
	returns 0 strace -o /dev/null -e trace=recvfrom -e inject=recvfrom:retval=1 \
		"$TCPTOOL" connect -z --settle=200ms 127.0.0.1 "$PORT"
	grep -q ' open ' out
}
