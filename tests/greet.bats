#!/usr/bin/env bats
# Guards the greeting: byte for byte what the tutorial's client and server expect, however the network
# cuts it up, and never more than it may be.

load helpers

WELCOME='welcome 127.0.0.1 to bejing\0'
HELLO='hello,this is client\0'

@test "the server's side, byte for byte" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" "send:$HELLO" eof
	ends 0 tool
	holds tool.out 'hello,this is client\n'
	holds tool.err ''
}

@test "the client's side, byte for byte" {
	peer_bg peer "send:$WELCOME" "rest:$HELLO"
	returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	holds out 'welcome 127.0.0.1 to bejing\n'
	holds err ''
	ends 0 peer
}

@test "both sides together" {
	listen_bg server --greet 127.0.0.1 0
	returns 0 "$TCPTOOL" connect --greet 127.0.0.1 "$PORT"
	holds out 'welcome 127.0.0.1 to bejing\n'
	ends 0 server
	holds server.out 'hello,this is client\n'
}

@test "the tutorial's client: one recv, one send, close" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" once:100 "send:$HELLO" close
	holds out 'got welcome 127.0.0.1 to bejing\\0\n'
	ends 0 tool
	holds tool.out 'hello,this is client\n'
}

@test "the tutorial's server: one send, one recv, close" {
	peer_bg peer "send:$WELCOME" once:100 close
	returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	holds out 'welcome 127.0.0.1 to bejing\n'
	ends 0 peer
	grep -qx 'got hello,this is client\\0' peer.out
}

@test "a message may come a byte at a time" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" slow:1:28 "dribble:5:$HELLO" eof
	holds out 'slowly welcome 127.0.0.1 to bejing\\0\n'
	ends 0 tool
	holds tool.out 'hello,this is client\n'
	peer_bg peer "dribble:5:$WELCOME" "rest:$HELLO"
	returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	holds out 'welcome 127.0.0.1 to bejing\n'
}

@test "a message may end at end-of-file instead of its NUL byte" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" send:hello shut eof
	ends 0 tool
	holds tool.out 'hello\n'
	peer_bg peer send:welcome shut "rest:$HELLO"
	returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	holds out 'welcome\n'
	ends 0 peer
}

@test "what comes behind the NUL byte is dropped, and is no reason for a reset" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" 'send:hello\0more' eof
	ends 0 tool
	holds tool.out 'hello\n'
	peer_bg peer 'send:welcome\0more' "rest:$HELLO"
	returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	holds out 'welcome\n'
	ends 0 peer
}

@test "an empty message is a message" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" 'send:\0' "expect:$WELCOME" eof
	ends 0 tool
	holds tool.out '\n'
}

@test "a message may be 64 KiB long and not a byte longer" {
	head -c 65536 /dev/zero | tr '\0' m >longest
	{
		cat longest
		echo
	} >printed
	head -c 65537 /dev/zero | tr '\0' m >longer
	for last in 'send:\0' shut; do
		listen_bg tool -g 127.0.0.1 0
		returns 0 "$HELPERS/peer" connect "$PORT" file:longest "$last" "expect:$WELCOME" eof
		ends 0 tool
		cmp printed tool.out
		rm tool.port
		peer_bg peer file:longest "$last" "rest:$HELLO"
		returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
		cmp printed out
		rm peer.port
	done
	listen_bg tool -g 127.0.0.1 0
	start_bg sender "$HELPERS/peer" connect "$PORT" file:longer hold
	ends 1 tool
	one_line tool.err 65536
	holds tool.out ''
	peer_bg long file:longer hold
	returns 1 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
}

@test "nothing at all is no greeting: status 1" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" shut pause:100
	ends 1 tool
	one_line tool.err
	holds tool.out ''
	peer_bg peer close
	returns 1 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	one_line err
	holds out ''
}

@test "what had come of a greeting before a reset is printed" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" send:hel acked reset
	ends 1 tool
	holds tool.out 'hel\n'
	peer_bg peer send:wel acked reset
	returns 1 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	one_line err "Connection reset by peer"
	holds out 'wel\n'
	ends 0 peer
}

@test "a greeting cut off by a reset: status 1" {
	listen_bg tool -g 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" send:hel acked reset
	ends 1 tool
	one_line tool.err "Connection reset by peer"
	peer_bg peer "send:$WELCOME" touch:sent reset
	returns 1 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	one_line err
}

@test "the whole exchange has a time limit, which a slow peer cannot stretch" {
	peer_bg silent hold
	returns 5 "$TCPTOOL" connect -g -i 0.3 127.0.0.1 "$PORT"
	one_line err "300 ms"
	peer_bg slow "dribble:100:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	returns 5 "$TCPTOOL" connect -g -i 0.6 127.0.0.1 "$PORT"
	one_line err
	listen_bg tool -g --idle-timeout=300ms 127.0.0.1 0
	start_bg guest "$HELPERS/peer" connect "$PORT" hold
	ends 5 tool
	one_line tool.err
}

@test "without -i the time limit is 10 seconds" {
	peer_bg silent hold
	start_bg tool "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	stays 8000 tool
	ends 5 tool
	one_line tool.err "10 s"
}

@test "TEXT replaces what is sent: %a, %p and %% in it" {
	listen_bg tool '--greet=<%a>%%a%%%%<' 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" 'expect:<127.0.0.1>%a%%<\0' "send:$HELLO" eof
	ends 0 tool
	peer_bg peer "send:$WELCOME" sink:got
	returns 0 "$TCPTOOL" connect '-gto %a port %p' 127.0.0.1 "$PORT"
	ends 0 peer
	printf 'to 127.0.0.1 port %d\0' "$PORT" | cmp - got
}

@test "%a of an IPv4 guest is its IPv4 address, of an IPv6 guest its IPv6 address" {
	need_ipv6
	listen_bg tool -k -g 0
	returns 0 "$HELPERS/peer" -s 127.0.0.8 connect "$PORT" 'expect:welcome 127.0.0.8 to bejing\0' \
		"send:$HELLO" eof
	returns 0 "$HELPERS/peer" -a ::1 connect "$PORT" 'expect:welcome ::1 to bejing\0' "send:$HELLO" eof
}

@test "percent signs in a received greeting are printed as they are" {
	peer_bg peer 'send:%s%n%a%p%%\0' "rest:$HELLO"
	returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	holds out '%%s%%n%%a%%p%%%%\n'
}

@test "a server greets once, and with -k one after another" {
	listen_bg once -g 127.0.0.1 0
	returns 0 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	ends 0 once
	returns 4 "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	listen_bg tool -g -k 127.0.0.1 0
	for ((i = 0; i < 3; i++)); do
		returns 0 "$TCPTOOL" connect "-g$i" 127.0.0.1 "$PORT"
	done
	wait_for holds tool.out '0\n1\n2\n'
}

@test "-k: messages of many guests at the same time do not mix" {
	listen_bg tool -g -k 127.0.0.1 0
	for ((i = 100; i < 120; i++)); do
		head -c 20000 /dev/zero | tr '\0' a >"text$i"
		printf '%d\0' "$i" >>"text$i"
		start_bg "peer$i" "$HELPERS/peer" connect "$PORT" "file:text$i" "expect:$WELCOME" eof
	done
	for ((i = 100; i < 120; i++)); do
		ends 0 "peer$i"
	done
	wait_for test "$(wc -l <tool.out)" -eq 20
	# every line whole
	fails grep -v "^a*[0-9][0-9][0-9]$" tool.out
	[ "$(wc -c <tool.out)" -eq $((20 * 20004)) ]
	tr -d a <tool.out | sort >got
	seq 100 119 | cmp - got
}

@test "-k: a guest that fails is told under -v, the next is greeted" {
	listen_bg tool -g -kv 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" shut eof
	returns 0 "$HELPERS/peer" connect "$PORT" "expect:$WELCOME" "send:$HELLO" eof
	wait_for holds tool.out 'hello,this is client\n'
	grep -q 'ended before its greeting' tool.err
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

@test "stdin is left alone" {
	printf 'for others' >data
	peer_bg peer "send:$WELCOME" "rest:$HELLO"
	{
		"$TCPTOOL" connect -g 127.0.0.1 "$PORT" >got 3>&-
		cat >left
	} <data
	holds left 'for others'
}

@test "stdout on a full disk: status 7; its reader gone: quiet death by SIGPIPE" {
	peer_bg full "send:$WELCOME" hold
	OUT=/dev/full start_bg tool "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	ends 7 tool
	one_line tool.err "write to stdout: No space left on device"

	mkfifo out.fifo
	peer_bg peer wait:go "send:$WELCOME" hold
	start_bg reader head -c 0 out.fifo
	OUT=out.fifo start_bg tool env --default-signal=PIPE "$TCPTOOL" connect -g 127.0.0.1 "$PORT"
	ends 0 reader
	touch go
	ends 141 tool
	holds tool.err ''
}
